"""What is alike in two data sets that were written as DICOM JSON, and whether a third one is like them.

The headers of a series are much alike, and so are the items of a sequence that has one for each frame. A draft is a
data set, or an item, that was written in full. From two of them comes a template: bytes that were the same in both and
their text, and between them the elements that differ. Another data set is compared with it in a few pieces, and only
what differs is read and written (see ``json_drafts``).
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from gantry.dicom.buffers import Buffer
from gantry.dicom.elements import DataSet, Element, Encoding, Item
from gantry.dicom.json_values import BULK_MEMBER, CONTEXT_TAGS, Context, depends_on_later
from gantry.dicom.vr import LONG, SHORT
from gantry.errors import InvalidArgument

_WORDS = {order: Struct(f"{order}H") for order in "<>"}
_ITEM_END = {"<": b"\xfe\xff\x0d\xe0\0\0\0\0", ">": b"\xff\xfe\xe0\x0d\0\0\0\0"}


class Place(NamedTuple):
    """Where elements of a draft stand. The address in ``context`` is that below the draft.

    ``is_fixed``: something around them in the draft has a defined length, so that their own cannot be another one.
    """

    context: Context
    is_fixed: bool


Leaf = tuple[Element, int, Place]
"""An element that was written as a whole, and which part of the text is its member. Plain, as there are many."""


class Draft:
    """A data set or item that was written in full: its text in parts, and its leaves in the order of the bytes.

    ``address`` is that of its bulk data, empty where it has none.
    ``is_plain``: its elements are in the order of their tags at every depth, and so are the parts.
    """

    __slots__ = ("address", "is_plain", "leaves", "parts", "start", "stop")

    def __init__(self, start: int, address: str) -> None:
        self.start = self.stop = start
        self.address = address
        self.parts: list[str] = []
        self.leaves: list[Leaf] = []
        self.is_plain = True

    def text(self) -> str:
        return "".join(self.parts)

    def take(self, other: Draft) -> None:
        """The parts and leaves of another, behind its own."""
        shift = len(self.parts)
        self.leaves += [(element, part + shift, place) for element, part, place in other.leaves]
        self.parts += other.parts
        self.is_plain = self.is_plain and other.is_plain

    def become_leaf(self, element: Element, place: Place) -> None:
        """One leaf instead of all that are in it."""
        self.parts, self.is_plain = [self.text()], True
        self.leaves = [(element, 0, place)]


class Slot(NamedTuple):
    """An element that differs: what has to stand there again, and what its text depends on.

    ``address`` is that below the data set; ``length`` in bytes, or -1 where any will do. ``letters`` are those of its
    VR, which an unknown VR before it may depend on; empty in implicit VR. ``head`` are the bytes of tag and letters;
    from ``at_length`` on stands the length, as ``form`` unpacks it, and from ``at_value`` on the value. Without a
    ``form``, for letters that nobody knows, that is open.
    """

    tag: int
    context: Context
    address: str
    length: int
    letters: bytes
    head: bytes
    form: Struct | None
    at_length: int
    at_value: int


Step = tuple[bytes, str, Slot | None]
"""Bytes that have to stand there, their text, and the slot behind them."""

Filled = tuple[str, Slot | None, Element | None]
"""Text, and the element behind it that is to be written."""


class Template:
    """What two drafts of the same elements have in common."""

    __slots__ = ("_steps",)

    def __init__(self, steps: list[Step]) -> None:
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
        steps: list[Step] = []
        at, other_at, part = one.start, other.start, 0
        begun, first_part = other.start, 0  # of the next step
        for leaf, twin in zip(one.leaves, other.leaves, strict=True):
            (_, _, start, _, _, end, _), leaf_part, _ = leaf
            (_, _, twin_start, _, _, twin_end, _), twin_part, _ = twin
            if data[at:start] != other_data[other_at:twin_start] or not _are_twins(leaf, twin):
                return None
            if one.parts[part:leaf_part] != other.parts[part:twin_part]:
                return None
            if data[start:end] != other_data[twin_start:twin_end] or BULK_MEMBER in other.parts[twin_part]:
                slot = _make_slot(other_data, other, twin)
                if slot is None:
                    return None
                raw = bytes(other_data[begun:twin_start])
                steps.append((raw, "".join(other.parts[first_part:twin_part]), slot))
                begun, first_part = twin_end, twin_part + 1
            at, other_at, part = end, twin_end, leaf_part + 1
        if data[at : one.stop] != other_data[other_at : other.stop] or one.parts[part:] != other.parts[part:]:
            return None
        steps.append((bytes(other_data[begun : other.stop]), "".join(other.parts[first_part:]), None))
        return cls(steps)

    def compare(self, data_set: DataSet, start: int, limit: int) -> tuple[list[Filled], int] | None:
        """What there is to write from ``start`` on, and where it ends; None where the elements are not as expected.

        All that comes before a place is as it was, or an element with the same tag, so that what comes there means the
        same, too. Nothing is written before all is compared: where that failed late, all levels would be written twice.
        """
        data, at, found = data_set.data, start, list[Filled]()
        for raw, text, slot in self._steps:
            if data[at : at + len(raw)] != raw:
                return None
            at += len(raw)
            element = None
            if slot is not None:
                element = _read_slot(data_set, at, limit, slot)
                if element is None:
                    return None
                at = element.end
            found.append((text, slot, element))
        return found, at

    @property
    def text(self) -> str:
        """What there is between the slots."""
        return "".join(text for _, text, _ in self._steps)

    @property
    def slots(self) -> list[Slot]:
        return [slot for _, _, slot in self._steps if slot is not None]

    def locate(self, data_set: DataSet) -> list[tuple[int, int]] | None:
        """Where the element of each slot begins and ends, None for a data set that is not as expected.

        They are not read, which is far sooner done: one with the same bytes as another in the same slot is the same.
        """
        data, cuts, at, found = data_set.data, data_set.cuts, 0, list[tuple[int, int]]()
        size = len(data)
        for raw, _, slot in self._steps:
            start = at + len(raw)
            if data[at:start] != raw:
                return None
            if slot is None:
                return found if start == size else None
            _, _, _, fixed, _, head, form, at_length, at_value = slot
            at = -1
            if form is not None and data[start : start + len(head)] == head and start not in cuts:
                value = start + at_value
                if value <= size:
                    at = value + form.unpack_from(data, start + at_length)[0]
            if not 0 < at <= size:
                element = _read_slot(data_set, start, size, slot)
                if element is None:
                    return None
                at = element.end
            elif fixed not in (-1, at - start):
                return None
            found.append((start, at))
        return None

    def compare_item(self, data_set: DataSet, item: Item, limit: int) -> list[Filled] | None:
        """As ``compare``, of an item: None too where it does not end there."""
        found = self.compare(data_set, item.start, limit if item.is_open else item.stop)
        if found is None:
            return None
        filled, at = found
        if item.is_open and data_set.data[at : at + 8] == _ITEM_END[item.encoding.order]:
            item.stop = at
        return filled if at == item.stop else None


def _read_slot(data_set: DataSet, at: int, limit: int, slot: Slot) -> Element | None:
    """None for another element, and for one that cannot be read."""
    if at + 8 > limit or (slot.letters and data_set.data[at + 4 : at + 6] != slot.letters):
        return None
    try:
        element = data_set.read_element(at, limit, slot.context.encoding)
    except InvalidArgument:
        return None
    return element if element.tag == slot.tag and slot.length in (-1, element.end - at) else None


def _are_twins(leaf: Leaf, twin: Leaf) -> bool:
    (one, part, place), (other, other_part, other_place) = leaf, twin
    if one.tag != other.tag or part != other_part or place.is_fixed != other_place.is_fixed:
        return False
    return place.context[:3] == other_place.context[:3] and place.context.depth == other_place.context.depth


def _make_slot(data: Buffer, draft: Draft, leaf: Leaf) -> Slot | None:
    """None for what the texts of other elements depend on, or that depends on later ones."""
    (tag, _, start, _, _, end, _), _, (context, is_fixed) = leaf
    letters = bytes(data[start + 4 : start + 6]) if context.encoding.explicit else b""
    vr = SHORT.get(letters) or LONG.get(letters) or ""
    if tag in CONTEXT_TAGS or depends_on_later(tag, vr, context):
        return None
    length = end - start if is_fixed else -1
    form, at_length, at_value = _find_length(letters, context.encoding)
    address, head = context.bulk_uri[len(draft.address) :], bytes(data[start : start + 4]) + letters
    return Slot(tag, context, address, length, letters, head, form, at_length, at_value)


def _find_length(letters: bytes, encoding: Encoding) -> tuple[Struct | None, int, int]:
    """How the length of an element is written, where, and where its value begins (PS3.5 §7.1)."""
    if letters in SHORT:
        return _WORDS[encoding.order], 6, 8
    if letters and letters not in LONG:
        return None, 0, 0
    return encoding.length, *((8, 12) if letters else (4, 8))
