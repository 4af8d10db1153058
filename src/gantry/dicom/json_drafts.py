"""Data sets as DICOM JSON, and what is alike in two of them (PS3.18 Annex F).

The headers of a series are much alike, and so are the items of a sequence that has one for each frame. A draft is a
data set that was written in full. From two of them comes a template: bytes that were the same in both and their text,
and between them the elements that differ. Another data set is compared with it in a few pieces, and only what differs
is read and written.
"""

from __future__ import annotations

from operator import lt
from typing import NamedTuple

from gantry.dicom.buffers import Buffer
from gantry.dicom.dictionary import vr_of
from gantry.dicom.elements import IMPLICIT_LE, MAX_DEPTH, DataSet, Element, Item, is_sequence, new_element
from gantry.dicom.json_values import Context, write_bulk, write_member, write_numbers, write_octets, write_texts
from gantry.dicom.tags import (
    CHARACTER_SET,
    META_VERSION,
    PIXEL_REPRESENTATION,
    PIXEL_TAGS,
    TRAILING_PADDING,
    is_group_length,
)
from gantry.dicom.vr import LONG, NUMBERS, OCTETS, SHORT
from gantry.errors import InvalidArgument

_LEFT_OUT = frozenset((META_VERSION, TRAILING_PADDING))
_BULK = frozenset(("OB", "OW", "UN"))
_BULK_MEMBER = '"BulkDataURI"'
CONTEXT_TAGS = frozenset((CHARACTER_SET, PIXEL_REPRESENTATION))
"""What the texts of later elements depend on."""

_PERHAPS_SEQUENCES = frozenset(("SQ", "", "UN"))
_ITEM_END = {"<": b"\xfe\xff\x0d\xe0\0\0\0\0", ">": b"\xff\xfe\xe0\x0d\0\0\0\0"}
_LONGEST_KEY, _MOST_HELD = 256, 32 << 20
_SEQUENCE = b"SQ"  # before the bytes of one, as a key
_LONG_SEQUENCE = 2048  # bytes: one for each frame, perhaps
_LEVELS_OF_A_KEY = _LONGEST_KEY // 16  # each level has the heads of an element and of an item
_MOST_NESTED = 16
"""Levels down to which items are compared: deeper ones are seldom many, and a comparison calls itself. A sequence that
is deeper is a leaf."""

_FEW_ITEMS = 2
"""Items that a template is made of. Those of a longer sequence are compared with each other, and not with those of
other data sets."""


class _Texts:
    """Members of short values that were made before, by what they depend on and their bytes; too many are forgotten."""

    def __init__(self) -> None:
        self._by_context: dict[tuple[object, ...], dict[bytes, str]] = {}
        self._held = 0

    def of(self, context: Context) -> dict[bytes, str]:
        key = (context.encoding, context.character_set, context.signed, not context.bulk_uri)
        found = self._by_context.get(key)
        if found is None:
            self._count(_LONGEST_KEY + len(context.character_set))
            found = self._by_context.setdefault(key, {})
        return found

    def keep(self, texts: dict[bytes, str], key: bytes, text: str) -> None:
        """Not what has an address: it is another one elsewhere."""
        if _BULK_MEMBER in text:
            return
        texts[key] = text
        self._count(_LONGEST_KEY + len(key) + len(text))

    def _count(self, size: int) -> None:
        """What two threads keep at a time may be counted wrong by one: that is no harm."""
        self._held += size
        if self._held > _MOST_HELD:
            self._by_context, self._held = {}, size


_texts = _Texts()


class Leaf(NamedTuple):
    """An element that was written as a whole, and which part of the text is its member.

    The address in its context is that below its draft. ``is_fixed``: something around it in the draft has a defined
    length, so that its own cannot be another one.
    """

    tag: int
    start: int
    end: int
    part: int
    context: Context
    is_fixed: bool


class Draft:
    """A data set or item that was written in full: its text in parts, and its leaves in the order of the bytes.

    ``address`` is that of its bulk data, empty where it has none.
    ``is_plain``: its elements are in the order of their tags at every depth, and so are the parts.
    """

    __slots__ = ("address", "has_members", "is_plain", "leaves", "parts", "start", "stop")

    def __init__(self, start: int, address: str) -> None:
        self.start = self.stop = start
        self.address = address
        self.parts: list[str] = []
        self.leaves: list[Leaf] = []
        self.is_plain, self.has_members = True, False

    def text(self) -> str:
        return "".join(self.parts)

    def add_leaf(self, element: Element, text: str, context: Context, is_fixed: bool) -> None:
        parts = self.parts
        if text:
            if self.has_members:
                parts.append(",")
            self.has_members = True
        tag, _, start, _, _, end, _ = element
        self.leaves.append(new_element(Leaf, (tag, start, end, len(parts), context, is_fixed)))
        parts.append(text)

    def take_member(self, sequence: Draft) -> None:
        if self.has_members:
            self.parts.append(",")
        self.has_members = True
        self.take(sequence)

    def take(self, other: Draft) -> None:
        """The parts and leaves of another, behind its own."""
        shift = len(self.parts)
        for tag, start, end, part, context, is_fixed in other.leaves:
            self.leaves.append(new_element(Leaf, (tag, start, end, part + shift, context, is_fixed)))
        self.parts += other.parts
        self.is_plain = self.is_plain and other.is_plain

    def become_leaf(self, element: Element, context: Context, is_fixed: bool) -> None:
        """One leaf instead of all that are in it."""
        self.parts, self.is_plain = [self.text()], True
        self.leaves = [Leaf(element.tag, element.start, element.end, 0, context, is_fixed)]


def draft_elements(
    data_set: DataSet, item: Item, context: Context, is_fixed: bool = False, takes_known: bool = False
) -> Draft:
    """The elements of an item, or of a whole data set as one, by tag, whatever the order of the bytes.

    ``takes_known``: a short sequence that was written before is a leaf, which costs less, and is less alike than what
    is in it. Raises InvalidArgument where the elements cannot be told apart, before it looks at what is in them.
    """
    elements = list(item.elements())
    draft, end, data, cuts = Draft(item.start, context.bulk_uri), item.limit, data_set.data, data_set.cuts
    draft.stop, draft.is_plain = item.find_stop(), is_in_order(elements)
    context_changes = draft.is_plain
    if not draft.is_plain:
        elements, context = put_in_order(data_set, elements, context)
    texts = _texts.of(context)
    longest = _LONGEST_KEY if context.depth < MAX_DEPTH - _LEVELS_OF_A_KEY else 0
    for element in elements:
        tag, vr, start, _, _, stop, _ = element
        key = bytes(data[start:stop]) if stop - start < longest and start not in cuts else b""
        text = texts.get(key)
        if text is None and vr in _PERHAPS_SEQUENCES:
            text = texts.get(_SEQUENCE + key) if takes_known else None
            if text is None and _is_readable_sequence(data_set, element, end, context):
                sequence = _draft_sequence(data_set, element, context, is_fixed)
                if sequence is not None:
                    draft.take_member(sequence)
                    if key and takes_known:
                        _texts.keep(texts, _SEQUENCE + key, sequence.text())
                    continue
                text = write_bulk(tag, "UN", context)
        if text is None:
            text = _write_value(data_set, element, end, context)
            if key and not _depends_on_later(tag, vr, context):
                _texts.keep(texts, key, text)
        draft.add_leaf(element, text, context, is_fixed)
        if tag in CONTEXT_TAGS and context_changes:
            context = update_context(data_set, element, context)
            texts = _texts.of(context)
    return draft


def is_in_order(elements: list[Element]) -> bool:
    """Whether each tag is greater than the one before it (PS3.5 §7.1)."""
    tags = [element[0] for element in elements]
    return all(map(lt, tags, tags[1:]))


def put_in_order(data_set: DataSet, elements: list[Element], context: Context) -> tuple[list[Element], Context]:
    """By tag, the first of those with the same one; and what they depend on, which may stand behind them."""
    first: dict[int, Element] = {}
    for element in elements:
        first.setdefault(element.tag, element)
    for tag in CONTEXT_TAGS & first.keys():
        context = update_context(data_set, first[tag], context)
    return [first[tag] for tag in sorted(first)], context


def _depends_on_later(tag: int, vr: str, context: Context) -> bool:
    """Whether a PixelRepresentation that may follow decides the VR: the bytes alone do not say the text."""
    return context.signed < 0 and vr in ("", "UN") and " or " in vr_of(tag)


def _is_readable_sequence(data_set: DataSet, element: Element, end: int, context: Context) -> bool:
    if element.start in data_set.cuts or is_group_length(element.tag) or context.depth >= MAX_DEPTH:
        return False
    return is_sequence(element, data_set.resolve_vr(element, context.signed, end))


def _draft_sequence(data_set: DataSet, element: Element, context: Context, is_fixed: bool) -> Draft | None:
    """None where nobody can tell its items apart."""
    tag, uri = element.tag, context.bulk_uri
    inner = context._replace(encoding=element.inner, depth=context.depth + 1)
    is_fixed_inside = is_fixed or not element.undefined_length
    found, last, template = Draft(element.start, uri), None, None
    number, is_short = -1, element.stop - element.value < _LONG_SEQUENCE
    try:
        for number, item in enumerate(data_set.read_items(element)):
            found.parts.append(",{" if number else f'"{tag:08X}":{{"vr":"SQ","Value":[{{')
            address = f"{uri}/{tag:08X}/{number}" if uri else ""
            text = template.fill_item(data_set, item, element.stop, address) if template else None
            if text is None:
                in_item = inner._replace(bulk_uri=address)
                is_fixed_item = is_fixed_inside or not item.is_open
                draft = draft_elements(data_set, item, in_item, is_fixed_item, is_short or number >= _FEW_ITEMS)
                template = Template.of(data_set.data, last, data_set.data, draft) if last else None
                last = draft
                if number < _FEW_ITEMS:
                    found.take(draft)
                else:  # of so many nobody asks for leaves
                    found.parts.append(draft.text())
            else:
                found.parts.append(text)
            found.parts.append("}")
    except InvalidArgument:
        return None
    found.parts.append("]}" if number >= 0 else write_member(tag, "SQ"))
    if number >= _FEW_ITEMS or context.depth >= _MOST_NESTED:
        found.become_leaf(element, context, is_fixed)
    return found


def update_context(data_set: DataSet, element: Element, context: Context) -> Context:
    """What is known behind an element of ``CONTEXT_TAGS``."""
    if element.tag == CHARACTER_SET:
        value = bytes(data_set.data[element.value : element.stop])
        return context._replace(character_set=value.decode("latin-1").strip("\0 "))
    return context._replace(signed=data_set.read_signed(element))


# --- one element


def write_member_of(data_set: DataSet, element: Element, end: int, context: Context) -> str:
    """The member of an element in a data set or item that reaches to ``end``; empty for what is left out."""
    start, stop = element.start, element.end
    if stop - start >= _LONGEST_KEY or start in data_set.cuts or context.depth >= MAX_DEPTH - _LEVELS_OF_A_KEY:
        return _write_value(data_set, element, end, context)
    key, texts = bytes(data_set.data[start:stop]), _texts.of(context)
    text = texts.get(key)
    if text is None:
        text = _write_value(data_set, element, end, context)
        if not _depends_on_later(element.tag, element.vr, context):
            _texts.keep(texts, key, text)
    return text


def _write_value(data_set: DataSet, element: Element, end: int, context: Context) -> str:
    tag, start, stop = element.tag, element.value, element.stop
    if is_group_length(tag) or tag in _LEFT_OUT:
        return ""
    vr = element.vr
    if vr == "" or vr == "UN":
        vr = data_set.resolve_vr(element, context.signed, end)
    if element.start in data_set.cuts:
        return write_bulk(tag, "UN" if vr == "SQ" else vr, context)
    if is_sequence(element, vr):
        found = _draft_sequence(data_set, element, context, False) if context.depth < MAX_DEPTH else None
        return write_bulk(tag, "UN", context) if found is None else found.text()
    if element.undefined_length or tag in PIXEL_TAGS:
        return write_bulk(tag, vr, context)
    if start == stop:
        return write_member(tag, vr)
    if vr in _BULK:
        return write_bulk(tag, vr, context)
    if context.encoding.order == ">" and not element.is_big_endian:
        context = context._replace(encoding=IMPLICIT_LE)
    value = bytes(data_set.data[start:stop])
    if vr in OCTETS:
        return write_octets(value, tag, vr, context)
    return (write_numbers if vr in NUMBERS else write_texts)(value, tag, vr, context)


# --- what is alike


class _Slot(NamedTuple):
    """An element that differs: what has to stand there again, and what its text depends on.

    ``address`` is that below the data set; ``length`` in bytes, or -1 where any will do. ``letters`` are those of its
    VR, which an unknown VR before it may depend on; empty in implicit VR.
    """

    tag: int
    context: Context
    address: str
    length: int
    letters: bytes


_Step = tuple[bytes, str, _Slot | None]
"""Bytes that have to stand there, their text, and the slot behind them."""


class Template:
    """What two drafts of the same elements have in common."""

    __slots__ = ("_steps",)

    def __init__(self, steps: list[_Step]) -> None:
        self._steps = steps

    @classmethod
    def of(cls, data: Buffer, one: Draft, other_data: Buffer, other: Draft) -> Template | None:
        """None where they do not have the same elements in the same items, are not in order, or have no address.

        Addresses of bulk data differ, so that an element with one is a slot.
        """
        if not (one.is_plain and other.is_plain and one.address and other.address):
            return None
        if len(one.parts) != len(other.parts) or len(one.leaves) != len(other.leaves):
            return None
        steps: list[_Step] = []
        at, other_at, part = one.start, other.start, 0
        other_begun, first_part = other.start, 0  # of the next step
        for leaf, twin in zip(one.leaves, other.leaves, strict=True):
            if data[at : leaf.start] != other_data[other_at : twin.start] or not _are_twins(leaf, twin):
                return None
            if one.parts[part : leaf.part] != other.parts[part : twin.part]:
                return None
            text = other.parts[twin.part]
            is_same = data[leaf.start : leaf.end] == other_data[twin.start : twin.end]
            if not is_same or _BULK_MEMBER in text:
                raw = bytes(other_data[other_begun : twin.start])
                slot = _slot(other_data, other, twin)
                vr = SHORT.get(slot.letters) or LONG.get(slot.letters) or ""
                if leaf.tag in CONTEXT_TAGS or _depends_on_later(leaf.tag, vr, leaf.context):
                    return None
                steps.append((raw, "".join(other.parts[first_part : twin.part]), slot))
                other_begun, first_part = twin.end, twin.part + 1
            at, other_at, part = leaf.end, twin.end, leaf.part + 1
        if data[at : one.stop] != other_data[other_at : other.stop] or one.parts[part:] != other.parts[part:]:
            return None
        steps.append((bytes(other_data[other_begun : other.stop]), "".join(other.parts[first_part:]), None))
        return cls(steps)

    def fill(self, data_set: DataSet, start: int, limit: int, address: str) -> tuple[str, int] | None:
        """The text of the elements from ``start`` on, and where they end; None where they are not as expected.

        All that comes before a place is as it was, or an element with the same tag, so that what comes there means the
        same, too. Nothing is written before all is compared: where that failed late, all levels would be written twice.
        """
        found = self._compare(data_set, start, limit)
        if found is None:
            return None
        elements, stop = found
        texts = list[str]()
        for (_, text, slot), element in zip(self._steps, elements, strict=True):
            texts.append(text)
            if slot is not None and element is not None:
                encoding, character_set, signed, _, depth = slot.context
                context = new_element(Context, (encoding, character_set, signed, address + slot.address, depth))
                texts.append(write_member_of(data_set, element, limit, context))
        return "".join(texts), stop

    def _compare(self, data_set: DataSet, start: int, limit: int) -> tuple[list[Element | None], int] | None:
        """The elements in the slots, and where all ends."""
        data, at, elements = data_set.data, start, list[Element | None]()
        for raw, _, slot in self._steps:
            if data[at : at + len(raw)] != raw:
                return None
            at += len(raw)
            element = None
            if slot is not None:
                element = _read_slot(data_set, at, limit, slot)
                if element is None:
                    return None
                at = element.end
            elements.append(element)
        return elements, at

    def fill_item(self, data_set: DataSet, item: Item, limit: int, address: str) -> str | None:
        """As ``fill``, of an item: None too where it does not end there."""
        found = self.fill(data_set, item.start, limit if item.is_open else item.stop, address)
        if found is None:
            return None
        text, at = found
        if item.is_open and data_set.data[at : at + 8] == _ITEM_END[item.encoding.order]:
            item.stop = at
        return text if at == item.stop else None


def _read_slot(data_set: DataSet, at: int, limit: int, slot: _Slot) -> Element | None:
    """None for another element, and for one that cannot be read."""
    if at + 8 > limit or (slot.letters and data_set.data[at + 4 : at + 6] != slot.letters):
        return None
    try:
        element = data_set.read_element(at, limit, slot.context.encoding)
    except InvalidArgument:
        return None
    return element if element.tag == slot.tag and slot.length in (-1, element.end - at) else None


def _are_twins(leaf: Leaf, twin: Leaf) -> bool:
    return (
        leaf.tag == twin.tag
        and leaf.part == twin.part
        and leaf.is_fixed == twin.is_fixed
        and leaf.context[:3] == twin.context[:3]
        and leaf.context.depth == twin.context.depth
    )


def _slot(data: Buffer, draft: Draft, leaf: Leaf) -> _Slot:
    length = leaf.end - leaf.start if leaf.is_fixed else -1
    letters = bytes(data[leaf.start + 4 : leaf.start + 6]) if leaf.context.encoding.explicit else b""
    return _Slot(leaf.tag, leaf.context, leaf.context.bulk_uri[len(draft.address) :], length, letters)
