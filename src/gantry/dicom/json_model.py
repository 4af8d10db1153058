"""DICOM JSON out of a header (PS3.18 Annex F), without a library between: this is what retrieving metadata costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gantry.dicom.elements import DataSet, Encoding
from gantry.dicom.json_drafts import CONTEXT_TAGS, Draft, Template, draft_elements, update_context, write_member_of
from gantry.dicom.json_values import Context
from gantry.dicom.skeleton import Skeleton

_FIRST = 0x00030000


def dicom_json(skeleton: Skeleton, bulk_uri: str) -> str:
    """All elements as one JSON object, bulk data by address below ``bulk_uri`` (§F.2.2). Raises InvalidArgument."""
    return JsonWriter().write(skeleton, bulk_uri)


class JsonWriter:
    """``dicom_json`` for headers that are much alike, as those of a series are.

    What was the same in the last two headers is expected in the next one. A header that is otherwise is written in
    full, and is what later ones are compared with.
    """

    def __init__(self) -> None:
        self._last: tuple[bytes, Draft] | None = None
        self._template: Template | None = None
        self._encoding: Encoding | None = None

    def write(self, skeleton: Skeleton, bulk_uri: str) -> str:
        """Raises InvalidArgument."""
        meta = _write_meta(skeleton, bulk_uri)
        text = self._write_alike(skeleton, bulk_uri)
        if text is None:
            text = self._write_in_full(skeleton, bulk_uri)
        return f"{{{meta}{',' if meta and text else ''}{text}}}"

    def _write_alike(self, skeleton: Skeleton, bulk_uri: str) -> str | None:
        if self._template is None or skeleton.encoding is not self._encoding:
            return None
        size = len(skeleton.body)
        found = self._template.fill(skeleton.data_set(), 0, size, bulk_uri)
        return found[0] if found and found[1] == size else None

    def _write_in_full(self, skeleton: Skeleton, bulk_uri: str) -> str:
        draft = _draft(skeleton.data_set(), bulk_uri, takes_known=self._last is None)
        is_alike = self._last is not None and skeleton.encoding is self._encoding
        self._template = Template.of(*self._last, skeleton.body, draft) if is_alike and self._last else None
        self._last, self._encoding = (skeleton.body, draft), skeleton.encoding
        return draft.text()


def _draft(data_set: DataSet, bulk_uri: str, takes_known: bool = False) -> Draft:
    context = Context(data_set.encoding, "", -1, bulk_uri)
    return draft_elements(data_set, data_set.as_item(), context, takes_known=takes_known)


def _write_meta(skeleton: Skeleton, bulk_uri: str) -> str:
    return _draft(skeleton.meta_elements(), bulk_uri).text()


def fragments(skeleton: Skeleton, wanted: frozenset[int], bulk_uri: str = "") -> dict[int, str]:
    """Tag → member of the JSON object, of those top-level elements ``wanted`` that are there.

    Without ``bulk_uri`` bulk data has no address: its member is empty, and so are those of what is always left out.
    Raises InvalidArgument.
    """
    found: dict[int, str] = {}
    meta = _write_some(skeleton.meta_elements(), wanted, bulk_uri) if any(tag < _FIRST for tag in wanted) else ()
    for tag, text in chain(meta, _write_some(skeleton.data_set(), wanted, bulk_uri)):
        found.setdefault(tag, text)
    return found


def _write_some(data_set: DataSet, wanted: frozenset[int], bulk_uri: str) -> Iterator[tuple[int, str]]:
    context, end = Context(data_set.encoding, "", -1, bulk_uri), len(data_set.data)
    looked_at = wanted | CONTEXT_TAGS
    for element in data_set.elements():
        if element.tag not in looked_at:  # most of them
            continue
        if element.tag in wanted:
            yield element.tag, write_member_of(data_set, element, end, context)
        if element.tag in CONTEXT_TAGS:
            context = update_context(data_set, element, context)
