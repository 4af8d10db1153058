"""The attributes of an instance as a table, sequences below what they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gantry.dicom.dictionary import keyword_of

_MAX_VALUES, _MAX_CHARACTERS, _MAX_DEPTH = 20, 300, 20


class Tag(NamedTuple):
    """``depth`` is how many sequences it lies in."""

    depth: int
    tag: str
    keyword: str
    vr: str
    value: str


def list_tags(found: dict[str, Any], depth: int = 0) -> Iterator[Tag]:
    """Of an instance in the DICOM JSON model (PS3.18 §F.2), one after the other as they are asked for."""
    for tag, element in sorted(found.items()):
        vr, values = element.get("vr", ""), element.get("Value", ())
        label, keyword = f"({tag[:4]},{tag[4:]})", keyword_of(int(tag, 16))
        if vr != "SQ":
            yield Tag(depth, label, keyword, vr, _value(element, values))
            continue
        yield Tag(depth, label, keyword, vr, f"{len(values)} item{'' if len(values) == 1 else 's'}")
        if depth < _MAX_DEPTH:
            for number, item in enumerate(values, 1):
                yield Tag(depth + 1, "", f"Item {number}", "", "")
                yield from list_tags(item, depth + 2)


def _value(element: dict[str, Any], values: Any) -> str:
    if "BulkDataURI" in element:
        return "(bulk data)"
    if "InlineBinary" in element:
        return f"({len(element['InlineBinary']) * 3 // 4:,} bytes)"
    texts = map(_text, values[:_MAX_VALUES])
    text = "\\".join(texts) + (f"\\… ({len(values):,} values)" if len(values) > _MAX_VALUES else "")
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(filter(None, value.values()))
    return "" if value is None else str(value)


def filter_tags(rows: Iterable[Tag], query: str) -> Iterator[Tag]:
    """Those with a text in tag, keyword or value; all for none."""
    wanted = query.lower()
    digits = wanted.strip("()").replace(",", "")
    for row in rows:
        texts = (row.keyword, row.value, row.tag, row.tag.strip("()").replace(",", ""))
        if any(part in text.lower() for part in (wanted, digits or wanted) for text in texts):
            yield row
