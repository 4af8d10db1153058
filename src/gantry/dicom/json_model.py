"""DICOM JSON out of a header (PS3.18 Annex F), without a library between: this is what retrieving metadata costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gantry.dicom.buffers import Buffer
from gantry.dicom.elements import DataSet, Encoding
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_drafts import (
    draft_elements,
    is_in_order,
    put_in_order,
    update_context,
    write_filled,
    write_member_of,
)
from gantry.dicom.json_templates import Draft, Template
from gantry.dicom.json_values import CONTEXT_TAGS, Context

_FIRST = 0x00030000


def dicom_json(header_bytes: HeaderBytes, bulk_uri: str) -> str:
    """All elements as one JSON object, bulk data by address below ``bulk_uri`` (§F.2.2). Raises InvalidArgument."""
    return JsonWriter().write(header_bytes, bulk_uri)


class JsonWriter:
    """``dicom_json`` for headers that are much alike, as those of a series are.

    What was the same in the last two headers is expected in the next one. A header that is otherwise is written in
    full, and is what later ones are compared with. ``keeps_digits``: DS and IS are texts, as they are stored but for
    their padding, which DICOM JSON allows too (§F.2.3); other models need it.
    """

    def __init__(self, keeps_digits: bool = False) -> None:
        self._meta, self._body = _AlikeWriter(keeps_digits), _AlikeWriter(keeps_digits)

    def write(self, header_bytes: HeaderBytes, bulk_uri: str) -> str:
        """Raises InvalidArgument."""
        texts = (
            self._meta.write(header_bytes.meta_elements(), bulk_uri),
            self._body.write(header_bytes.data_set(), bulk_uri),
        )
        return f"{{{','.join(filter(None, texts))}}}"


class _AlikeWriter:
    """The members of data sets, one after the other."""

    def __init__(self, keeps_digits: bool) -> None:
        self._keeps_digits = keeps_digits
        self._last: tuple[Buffer, Draft] | None = None
        self._template: Template | None = None
        self._encoding: Encoding | None = None

    def write(self, data_set: DataSet, bulk_uri: str) -> str:
        """Raises InvalidArgument."""
        if self._template is not None and data_set.encoding is self._encoding and bulk_uri:
            size = len(data_set.data)
            found = self._template.compare(data_set, 0, size)
            if found is not None and found[1] == size:
                return write_filled(data_set, found[0], size, bulk_uri)
        return self.write_in_full(data_set, bulk_uri)

    def write_in_full(self, data_set: DataSet, bulk_uri: str) -> str:
        context = Context(data_set.encoding, "", -1, bulk_uri, keeps_digits=self._keeps_digits)
        draft = draft_elements(data_set, data_set.as_item(), context, takes_known=self._last is None)
        is_alike = self._last is not None and data_set.encoding is self._encoding
        self._template = Template.of(*self._last, data_set.data, draft) if is_alike and self._last else None
        self._last, self._encoding = (data_set.data, draft), data_set.encoding
        return draft.text()


def fragments(
    header_bytes: HeaderBytes, wanted: frozenset[int], bulk_uri: str = "", keeps_digits: bool = False
) -> dict[int, str]:
    """Tag → member of the JSON object, of those top-level elements ``wanted`` that are there.

    Without ``bulk_uri`` bulk data has no address: its member is empty, and so are those of what is always left out.
    Raises InvalidArgument.
    """
    found: dict[int, str] = {}
    context = Context(header_bytes.encoding, "", -1, bulk_uri, keeps_digits=keeps_digits)
    meta = _write_some(header_bytes.meta_elements(), wanted, context) if any(tag < _FIRST for tag in wanted) else ()
    for tag, text in chain(meta, _write_some(header_bytes.data_set(), wanted, context)):
        found.setdefault(tag, text)
    return found


def _write_some(data_set: DataSet, wanted: frozenset[int], context: Context) -> Iterator[tuple[int, str]]:
    context, end = context._replace(encoding=data_set.encoding), len(data_set.data)
    elements = list(data_set.elements(wanted | CONTEXT_TAGS))
    if not is_in_order(elements):
        elements, context = put_in_order(data_set, elements, context)
    for element in elements:
        if element.tag in wanted:
            yield element.tag, write_member_of(data_set, element, end, context)
        if element.tag in CONTEXT_TAGS:
            context = update_context(data_set, element, context)
