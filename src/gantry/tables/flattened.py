"""``schemaFlattened``: a column for each element of a header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gantry.dicom.elements import DataSet, Element, Encoding
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_drafts import is_in_order, put_in_order, update_context
from gantry.dicom.json_templates import Draft, Place, Template
from gantry.dicom.json_values import CONTEXT_TAGS, Context
from gantry.dicom.tags import SERIES, SOP_INSTANCE, STUDY
from gantry.errors import InvalidArgument
from gantry.table_schema import Columns
from gantry.tables.columns import Tree, list_columns, name_tag
from gantry.tables.elements import ElementWriter, Member
from gantry.tables.values import write_dropped, write_others

MAX_ROW = 16 << 20
"""Characters of the elements of a row: the longest are dropped first. A line has to fit into memory several times."""

_GROWTH = 16  # characters made of a byte at most, names of columns included

_UIDS = frozenset((STUDY, SERIES, SOP_INSTANCE))  # the row of the index says them
_OTHER, _DROPPED = "\1", "\2"
"""They enclose what stands elsewhere: one of ``OtherElements``, names of what was dropped. JSON has no such character.
"""

_ADDRESS = "-"  # templates are only made of what has one; nothing is written below it


class _Common(NamedTuple):
    """What data sets that are alike have in common: one object for all of them."""

    text: str = ""
    others: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


Parts = tuple[_Common, Sequence[Member]]
"""What a data set has in common with others, and what is its own."""


class FlattenedBody:
    """Members of rows; see ``rows.Body``. Headers are compared with those before them (``json_templates``)."""

    def __init__(self) -> None:
        self._tree: Tree = {}
        writer = ElementWriter()
        self._meta, self._body = _AlikeWriter(writer, self._tree), _AlikeWriter(writer, self._tree)
        self._last = (_Common(), _Common())
        self._texts = _join(*self._last)

    def write(self, header: HeaderBytes) -> tuple[str, str]:
        """Raises InvalidArgument."""
        meta, of_meta = self._meta.write(header.meta_elements())
        body, of_body = self._body.write(header.data_set())
        if meta is not self._last[0] or body is not self._last[1]:
            self._last, self._texts = (meta, body), _join(meta, body)
        own, plain = [*of_meta, *of_body], self._texts[1]
        text = "".join([member.text for member in own])
        others = [member.other for member in own if member.other]
        dropped = [name for member in own for name in member.dropped]
        if not (others or dropped):
            return text, self._texts[0]
        return text + write_others((*meta.others, *body.others, *others)) + write_dropped(
            (*meta.dropped, *body.dropped, *dropped)
        ), plain

    def list_columns(self) -> Columns:
        return list_columns(self._tree)


def _join(meta: _Common, body: _Common) -> tuple[str, str]:
    """Members with ``OtherElements`` and ``DroppedTags``, and without them, for rows that have some of their own."""
    plain = meta.text + body.text
    ends = write_others((*meta.others, *body.others)) + write_dropped((*meta.dropped, *body.dropped))
    return plain + ends, plain


class _Pattern:
    """A template, what all have in common who are like it, and a writer for each of its slots; UIDs have none."""

    def __init__(self, template: Template, writer: ElementWriter, tree: Tree) -> None:
        self._template, self.common = template, _read_parts(template.text)
        self._writers = [None if slot.tag in _UIDS else writer.find_slot_writer(slot, tree) for slot in template.slots]

    def write(self, data_set: DataSet) -> list[Member] | None:
        """None where it is not like it."""
        places = self._template.locate(data_set)
        if places is None:
            return None
        found = zip(self._writers, places, strict=True)
        try:
            return [writer.write(data_set, *place) for writer, place in found if writer is not None]
        except InvalidArgument:
            return None  # something else stands there: all is read, which says what it is


class _AlikeWriter:
    """The top level of data sets, one after the other."""

    def __init__(self, writer: ElementWriter, tree: Tree) -> None:
        self._writer, self._tree = writer, tree
        self._last: tuple[bytes, Draft] | None = None
        self._pattern: _Pattern | None = None
        self._encoding: Encoding | None = None

    def write(self, data_set: DataSet) -> Parts:
        """Raises InvalidArgument."""
        common, own = self._write(data_set)
        if len(data_set.data) * _GROWTH <= MAX_ROW:
            return common, own
        size = len(common.text) + sum(len(member.text) + len(member.other) for member in own)
        if size + sum(map(len, common.others)) <= MAX_ROW:
            return common, own
        return _read_parts(_shorten(self._draft(data_set))), ()

    def _write(self, data_set: DataSet) -> Parts:
        if self._pattern is not None and data_set.encoding is self._encoding:
            own = self._pattern.write(data_set)
            if own is not None:
                return self._pattern.common, own
        return self._write_in_full(data_set), ()

    def _write_in_full(self, data_set: DataSet) -> _Common:
        draft = self._draft(data_set)
        template = None
        if self._last is not None and data_set.encoding is self._encoding:
            template = Template.of(*self._last, data_set.data, draft)
        self._pattern = _Pattern(template, self._writer, self._tree) if template is not None else None
        self._last, self._encoding = (bytes(data_set.data), draft), data_set.encoding
        return _read_parts(draft.text())

    def _draft(self, data_set: DataSet) -> Draft:
        """Every element is a leaf, sequences too."""
        elements, context = list(data_set.elements()), Context(data_set.encoding, "", -1, _ADDRESS)
        draft, size = Draft(0, _ADDRESS), len(data_set.data)
        draft.stop, draft.is_plain = size, is_in_order(elements)
        if not draft.is_plain:
            elements, context = put_in_order(data_set, elements, context)
        for element in elements:
            draft.leaves.append((element, len(draft.parts), Place(context, False)))
            draft.parts.append(self._write_leaf(data_set, element, size, context))
            if element.tag in CONTEXT_TAGS:
                context = update_context(data_set, element, context)
        return draft

    def _write_leaf(self, data_set: DataSet, element: Element, size: int, context: Context) -> str:
        if element.tag in _UIDS:
            return ""
        return _to_text(self._writer.write(data_set, element, size, context, self._tree))


def _shorten(draft: Draft) -> str:
    """Without the longest elements, as many as are too many."""
    size, parts = sum(map(len, draft.parts)), draft.parts
    for element, part, _ in sorted(draft.leaves, key=lambda leaf: len(parts[leaf[1]]), reverse=True):
        if size <= MAX_ROW:
            break
        size -= len(parts[part])
        parts[part] = _to_text(Member(dropped=(name_tag(element.tag),)))
    return draft.text()


def _to_text(member: Member) -> str:
    if member.other:
        return f"{_OTHER}{member.other}{_OTHER}"
    return member.text + "".join(f"{_DROPPED}{name}{_DROPPED}" for name in member.dropped)


def _read_parts(text: str) -> _Common:
    """What ``_to_text`` wrote, of many elements."""
    plain, *others = _split(text, _OTHER)
    plain, *dropped = _split(plain, _DROPPED)
    return _Common(plain, tuple(others), tuple(dropped))


def _split(text: str, mark: str) -> list[str]:
    """What stands outside of marks, and each that stands between two."""
    if mark not in text:
        return [text]
    parts = text.split(mark)
    return ["".join(parts[::2]), *parts[1::2]]
