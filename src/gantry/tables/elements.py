"""Elements of a data set as members of a row, at every depth.

A member begins with its comma. Elements without a column, and the names of what was dropped, are set apart: all of
them go into one member of the row, or of the item.
"""

from __future__ import annotations

from typing import NamedTuple

from gantry.dicom.elements import IMPLICIT_LE, DataSet, Element, Encoding, Item, is_sequence
from gantry.dicom.json_drafts import is_in_order, put_in_order, update_context
from gantry.dicom.json_templates import Slot
from gantry.dicom.json_values import CONTEXT_TAGS, Context, depends_on_later
from gantry.dicom.tags import META_VERSION, PIXEL_TAGS, TRAILING_PADDING, is_group_length
from gantry.dicom.vr import OCTETS
from gantry.errors import InvalidArgument
from gantry.tables.columns import MAX_LEVELS, OTHER_ELEMENTS, ElementColumn, Tree, find_column, has_name, name_tag
from gantry.tables.values import Unfit, write_plain, write_values

MAX_BYTES = 1 << 20
"""Of an element's value; longer ones are dropped. The index cuts longer texts and sequences out of headers, too."""

_LEFT_OUT = frozenset((META_VERSION, TRAILING_PADDING, *PIXEL_TAGS))
_PERHAPS_SEQUENCES = frozenset(("SQ", "", "UN"))
_NAME_LEVELS = 2  # PN: a record of records
_LONGEST_KEY, _LONGEST_SEQUENCE = 256, 16 << 10
_MOST_HELD = 16 << 20
_DEEP = MAX_LEVELS - 5  # from here on what becomes of an element depends on its depth


class Member(NamedTuple):
    """What an element gives a row: its own ``text``, one of ``OtherElements``, and names of columns ``dropped``."""

    text: str = ""
    other: str = ""
    dropped: tuple[str, ...] = ()


NOTHING = Member()
_EMPTY = "{}"  # an item
_MOST_KNOWN = 1024  # members of one slot
_Key = bytes | tuple[int, bytes]


class SlotWriter:
    """The element in one slot of a template, at the top level. One that is short, and needs nothing but its own bytes,
    is not read as an element."""

    def __init__(self, writer: ElementWriter, slot: Slot, tree: Tree) -> None:
        self._writer, self._slot, self._tree = writer, slot, tree
        self._vr = slot.letters.decode("ascii", "replace")
        is_plain = slot.form is not None and self._vr not in _PERHAPS_SEQUENCES | OCTETS and slot.tag not in _LEFT_OUT
        self._column = find_column(slot.tag) if is_plain and not is_group_length(slot.tag) else None
        if self._column is not None and self._column.vr == "SQ":
            self._column = None
        self._known: dict[bytes, Member] = {}

    def write(self, data_set: DataSet, start: int, end: int) -> Member:
        """Raises InvalidArgument for what is no element."""
        raw = bytes(data_set.data[start:end])
        found = self._known.get(raw)
        if found is not None:
            return found
        slot, column = self._slot, self._column
        if column is None or len(raw) >= _LONGEST_KEY or start in data_set.cuts:
            element = data_set.read_element(start, len(data_set.data), slot.context.encoding)
            return self._writer.write(data_set, element, len(data_set.data), slot.context, self._tree)
        found = write_value(raw[slot.at_value :], self._vr, column, slot.context.encoding, slot.context)
        if len(self._known) < _MOST_KNOWN:
            self._known[raw] = found
        return found


class ElementWriter:
    """Members of the elements of many data sets. The same bytes come again and again, so they are remembered."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], dict[_Key, Member]] = {}
        self._held = 0
        self._slots: dict[Slot, SlotWriter] = {}

    def find_slot_writer(self, slot: Slot, tree: Tree) -> SlotWriter:
        """Templates of several series have the same slots."""
        found = self._slots.get(slot)
        if found is None:
            found = self._slots[slot] = SlotWriter(self, slot, tree)
        return found

    def write(self, data_set: DataSet, element: Element, end: int, context: Context, tree: Tree) -> Member:
        """An element of a data set or item that reaches to ``end``; ``tree`` gets what occurs."""
        tag, vr, start, _, _, stop, _ = element
        below = tree.get(tag)
        if below is None:
            below = tree[tag] = {}
        longest = (_LONGEST_SEQUENCE if vr == "SQ" else _LONGEST_KEY) if context.depth < _DEEP else 0
        if stop - start >= longest or start in data_set.cuts or depends_on_later(tag, vr, context):
            return self._make(data_set, element, end, context, below)
        data = bytes(data_set.data[start:stop])
        key = (id(below), data) if vr in _PERHAPS_SEQUENCES else data  # elsewhere its columns are other ones
        known = self._known_of(context)
        found = known.get(key)
        if found is None:
            found = known[key] = self._make(data_set, element, end, context, below)
            self._count(stop - start + len(found.text))
        return found

    def _known_of(self, context: Context) -> dict[_Key, Member]:
        key = (context.encoding, context.character_set, context.signed)
        found = self._known.get(key)
        if found is None:
            self._count(len(context.character_set))
            found = self._known[key] = {}
        return found

    def _count(self, size: int) -> None:
        self._held += size + _LONGEST_KEY
        if self._held > _MOST_HELD:
            self._known, self._held = {}, 0

    def _make(self, data_set: DataSet, element: Element, end: int, context: Context, below: Tree) -> Member:
        tag, vr = element.tag, element.vr
        if is_group_length(tag) or tag in _LEFT_OUT:
            return NOTHING
        if vr == "" or vr == "UN":
            vr = data_set.resolve_vr(element, context.signed, end)
        column, has_items = find_column(tag), is_sequence(element, vr)
        if vr in OCTETS and not has_items and (column is None or vr == "UN"):
            return NOTHING  # bulk data is no part of a table
        if element.start in data_set.cuts or element.stop - element.value > MAX_BYTES:
            return Member(dropped=(name_tag(tag),))
        if not has_name(tag):
            return _write_other(data_set, element, vr, context)
        if column is None or has_items != (column.vr == "SQ"):
            return Member(dropped=(name_tag(tag),)) if element.stop > element.value else NOTHING
        if has_items:
            return self._write_sequence(data_set, element, column.name, context, below)
        value = bytes(data_set.data[element.value : element.stop])
        return write_value(value, vr, column, _encoding_of(element, context), context)

    def _write_sequence(self, data_set: DataSet, element: Element, name: str, context: Context, below: Tree) -> Member:
        """Dropped where it is too deep, and where nobody can tell its items apart."""
        if context.depth >= MAX_LEVELS:
            return Member(dropped=(name,))
        inner = context._replace(encoding=element.inner, depth=context.depth + 1)
        texts, dropped = list[str](), dict[str, None]()
        try:
            for item in data_set.read_items(element):
                texts.append(self._write_item(data_set, item, inner, below, dropped))
        except InvalidArgument:
            return Member(dropped=(name,))
        text = f',"{name}":[{",".join(texts)}]' if any(text != _EMPTY for text in texts) else ""
        return Member(text, dropped=tuple(f"{name}.{each}" for each in dropped))

    def _write_item(self, data_set: DataSet, item: Item, context: Context, tree: Tree, dropped: dict[str, None]) -> str:
        """An item as an object; ``dropped`` gets names. Raises InvalidArgument."""
        elements, texts, others = list(item.elements()), list[str](), list[str]()
        if not is_in_order(elements):
            elements, context = put_in_order(data_set, elements, context)
        for element in elements:
            member = self.write(data_set, element, item.limit, context, tree)
            texts.append(member.text)
            if member.other:
                others.append(member.other)
            dropped.update(dict.fromkeys(member.dropped))
            if element.tag in CONTEXT_TAGS:
                context = update_context(data_set, element, context)
        if others:
            texts.append(f',"{OTHER_ELEMENTS}":[{",".join(others)}]')
        return f"{{{''.join(texts)[1:]}}}"


def write_value(value: bytes, vr: str, column: ElementColumn, encoding: Encoding, context: Context) -> Member:
    """The value of an element that has this column, by the VR that is written there."""
    if not value:
        return NOTHING
    if column.vr == "PN" and context.depth + _NAME_LEVELS > MAX_LEVELS:
        return Member(dropped=(column.name,))
    try:
        text = write_values(value, vr, column.vr, column.repeated, encoding, context.character_set)
    except Unfit:
        return Member(dropped=(column.name,))
    return Member(f',"{column.name}":{text}') if text else NOTHING


def _write_other(data_set: DataSet, element: Element, vr: str, context: Context) -> Member:
    """An element without a column, as one of ``OtherElements``; sequences have no STRING."""
    name = name_tag(element.tag)
    if vr == "SQ" or context.depth >= MAX_LEVELS:
        return Member(dropped=(name,))
    value, encoding = bytes(data_set.data[element.value : element.stop]), _encoding_of(element, context)
    try:
        texts = write_plain(value, vr, encoding, context.character_set)
    except Unfit:
        return Member(dropped=(name,))
    return Member(other=f'{{"Tag":"{name}","Data":[{",".join(texts)}]}}')


def _encoding_of(element: Element, context: Context) -> Encoding:
    """Of its value: see ``Element.is_big_endian``."""
    return IMPLICIT_LE if context.encoding.order == ">" and not element.is_big_endian else context.encoding
