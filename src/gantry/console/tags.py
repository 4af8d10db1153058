"""The attributes of an instance as rows of a table, with the items of sequences indented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gantry.console.formats import size
from gantry.console.plurals import counted
from gantry.dicom.dictionary import keyword_of
from gantry.languages import _

_MAX_VALUES, _MAX_CHARACTERS, _MAX_DEPTH = 20, 300, 20  # shown of one element; deeper sequences show their length


class Tag(NamedTuple):
    """A row of the table. ``depth`` is its indent."""

    depth: int
    tag: str
    keyword: str
    vr: str
    value: str


def list_tags(data_set: dict[str, Any], depth: int = 0) -> Iterator[Tag]:
    """The rows of an instance in the DICOM JSON model (PS3.18 §F.2), made one by one."""
    for tag, element in sorted(data_set.items()):
        vr, values = element.get("vr", ""), element.get("Value", ())
        label, keyword = f"({tag[:4]},{tag[4:]})", keyword_of(int(tag, 16))
        if vr != "SQ":
            yield Tag(depth, label, keyword, vr, _value(element, values))
            continue
        yield Tag(depth, label, keyword, vr, counted(len(values), "item"))
        if depth < _MAX_DEPTH:
            for number, item in enumerate(values, 1):
                yield Tag(depth + 1, "", _("Item {number}").format(number=number), "", "")
                yield from list_tags(item, depth + 2)


def _value(element: dict[str, Any], values: Any) -> str:
    if "BulkDataURI" in element:
        return _("(bulk data)")
    if "InlineBinary" in element:
        return f"({size(len(element['InlineBinary']) * 3 // 4)})"
    texts = map(_text, values[:_MAX_VALUES])
    text = "\\".join(texts) + (f"\\… ({counted(len(values), 'value')})" if len(values) > _MAX_VALUES else "")
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(filter(None, value.values()))
    return "" if value is None else str(value)


def filter_tags(rows: Iterable[Tag], query: str) -> Iterator[Tag]:
    """The rows that have ``query`` in tag, keyword or value; all for an empty query."""
    wanted = query.lower()
    digits = wanted.strip("()").replace(",", "")
    for row in rows:
        texts = (row.keyword, row.value, row.tag, row.tag.strip("()").replace(",", ""))
        if any(part in text.lower() for part in (wanted, digits or wanted) for text in texts):
            yield row
