"""The one reader of data sets in memory: elements and items, with their places, VRs and encodings (PS3.5 §7).

What it reads was walked before by ``walk.Walk``, which proves the structure of a whole object without holding it and
reads heads of elements with ``read_head`` too. Sequences of defined length were passed in one step there, so their
inside is proven here, when somebody looks: what is broken raises InvalidArgument and costs that sequence alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from gantry.dicom import forms
from gantry.dicom.buffers import Buffer
from gantry.dicom.dictionary import vr_of
from gantry.dicom.faults import malformed
from gantry.dicom.tags import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    PIXEL_TAGS,
    SEQUENCE_END,
    UNDEFINED,
    format_tag,
)
from gantry.dicom.vr import LONG, SHORT
from gantry.errors import InvalidArgument

MAX_DEPTH = 200
"""How deep sequences are told apart in DICOM JSON; what is deeper is one value of bytes there. Each level is three of
JSON, of which Python's own parser takes fewer than 1,000. Reading and rewriting need no limit: neither calls itself."""

_MOST_PLACES, _MOST_AHEAD = 500_000, 1000
_WORTH_KEEPING = 256  # bytes: the end of something shorter is found again as fast as it is looked up
_MOST_COMPARED = 4096  # bytes: longer sequences are seldom the same
PLACEHOLDERS = frozenset((b"  ", b"--", b"??"))
_LETTERS = SHORT.keys() | LONG.keys()


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How elements are written (PS3.5 §7.1); there are three of these, below.

    ``element`` unpacks group, element, VR and 16-bit length, in implicit VR group, element and length; ``item`` group,
    element and length.
    """

    explicit: bool
    order: str
    element: Struct
    item: Struct
    length: Struct


def _make_encoding(explicit: bool, order: str) -> Encoding:
    item = Struct(order + "HHI")
    return Encoding(explicit, order, Struct(order + "HH2sH") if explicit else item, item, Struct(order + "I"))


EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE = _make_encoding(True, "<"), _make_encoding(True, ">"), _make_encoding(False, "<")


def choose_encoding(explicit: bool, little: bool) -> Encoding:
    """Implicit VR is always little endian (PS3.5 §A.1)."""
    return IMPLICIT_LE if not explicit else EXPLICIT_LE if little else EXPLICIT_BE


def encoding_of(transfer_syntax: str) -> Encoding:
    """Unknown transfer syntaxes are explicit little endian, as all encapsulated ones are (PS3.5 §A.4)."""
    return choose_encoding(transfer_syntax != forms.IMPLICIT_LE, transfer_syntax != forms.EXPLICIT_BE)


class Element(NamedTuple):
    """``start`` of the tag, ``value`` and ``stop`` of the value, ``end`` behind its delimiter, if it has one.

    ``vr`` is empty where none is written. ``encoding`` is that of the head.
    """

    tag: int
    vr: str
    start: int
    value: int
    stop: int
    end: int
    encoding: Encoding

    @property
    def undefined_length(self) -> bool:
        return self.end != self.stop

    @property
    def inner(self) -> Encoding:
        return inner_encoding(self.vr, self.encoding)

    @property
    def is_big_endian(self) -> bool:
        """Whether the words of its value are; without a VR, or as UN, nothing is (PS3.5 §6.2.2)."""
        return self.encoding.order == ">" and self.vr not in ("", "UN")

    @property
    def has_fragments(self) -> bool:
        """Whether its items are fragments and hold no elements (PS3.5 §A.4)."""
        return self.undefined_length and are_fragments(self.tag, self.vr)


new_element = tuple.__new__
"""Half the price of the class's own constructor, where that matters."""


def inner_encoding(vr: str, encoding: Encoding) -> Encoding:
    """That of the items: without a VR, or as UN, they are implicit little endian (PS3.5 §6.2.2)."""
    return encoding if vr not in ("", "UN") else IMPLICIT_LE


def are_fragments(tag: int, vr: str) -> bool:
    """Whether a value of undefined length is encapsulated and no sequence."""
    return vr in ("OB", "OW") or (tag == PIXEL_DATA and vr in ("", "UN"))


def broken(tag: int, at: int) -> InvalidArgument:
    return malformed(f"{format_tag(tag)} at byte {at} of the dataset ends behind what it is in")


Head = tuple[int, str, int, int]
"""Tag, VR (empty where none is written, UN for letters that nobody knows), place of the value, declared length."""


def read_head(data: Buffer, at: int, end: int, encoding: Encoding) -> Head:
    """The head of the element, item or delimiter at a place; ``part10`` lists what is tolerated.

    Raises InvalidArgument. ``data`` holds 8 bytes from ``at`` on, and the enclosing value reaches to ``end``.
    """
    if not encoding.explicit:
        group, element, length = encoding.item.unpack_from(data, at)
        return group << 16 | element, "", at + 8, length
    group, element, letters, length = encoding.element.unpack_from(data, at)
    tag = group << 16 | element
    if group == 0xFFFE:
        return tag, "", at + 8, encoding.length.unpack_from(data, at + 4)[0]
    if vr := SHORT.get(letters):
        return tag, vr, at + 8, length
    if vr := LONG.get(letters):
        if at + 12 > end:
            raise broken(tag, at)
        return tag, vr, at + 12, encoding.length.unpack_from(data, at + 8)[0]
    if letters in PLACEHOLDERS:
        return tag, "", at + 8, length
    return _read_odd_head(data, at, end, tag, letters, length, encoding)


def _read_odd_head(data: Buffer, at: int, end: int, tag: int, letters: bytes, length: int, encoding: Encoding) -> Head:
    """Implicit form where there are no letters. Unknown ones have a 16-bit length, unless that is 0 and nothing follows
    it: then the 32-bit form of PS3.5 §7.1.2, which newer VRs have."""
    if not (letters.isalpha() and letters.isupper()):
        return tag, "", at + 8, encoding.length.unpack_from(data, at + 4)[0]
    if length or _follows(data, at + 8, end, encoding):
        return tag, "UN", at + 8, length
    if at + 12 > end:
        raise broken(tag, at)
    return tag, "UN", at + 12, encoding.length.unpack_from(data, at + 8)[0]


def _follows(data: Buffer, at: int, end: int, encoding: Encoding) -> bool:
    """Whether an element with a VR, a delimiter, or nothing stands at a place."""
    if at + 8 > end:
        return at >= end
    return encoding.item.unpack_from(data, at)[0] == 0xFFFE or bytes(data[at + 4 : at + 6]) in _LETTERS


class Item:
    """The content of an item: from ``start`` on, up to ``stop`` or, until somebody has read it, -1 for unknown.

    ``is_open``: its length is undefined, and a delimiter follows. ``limit`` is the end of what it is in.
    """

    __slots__ = ("_data_set", "encoding", "is_open", "limit", "start", "stop")

    def __init__(self, data_set: DataSet, start: int, length: int, limit: int, encoding: Encoding) -> None:
        self._data_set, self.start, self.limit, self.encoding = data_set, start, limit, encoding
        self.is_open = length == UNDEFINED
        self.stop = data_set.ends.get(start, -1) if self.is_open else start + length

    def elements(self) -> Iterator[Element]:
        """Raises InvalidArgument where they do not end as the item does."""
        if self.stop >= 0:
            return self._data_set.read_elements(self.start, self.stop, self.encoding)
        return self._read_open()

    def _read_open(self) -> Iterator[Element]:
        """Up to its delimiter, whose place is known then."""
        at = self.start
        for element in self._data_set.read_elements(at, self.limit, self.encoding, in_item=True):
            yield element
            at = element.end
        self.stop = at

    def find_stop(self) -> int:
        """Raises InvalidArgument."""
        if self.stop < 0:
            self.stop = self._data_set.find_end(self.start, self.limit, self.encoding, in_item=True)
        return self.stop


class DataSet:
    """A data set as it lies in a buffer. ``cuts``: place of an element → bytes of its value that are not here.

    ``ends`` remembers where values and items of undefined length end, so that no level is walked twice.
    """

    __slots__ = ("_ahead", "_recent", "cuts", "data", "encoding", "ends")

    def __init__(
        self,
        data: Buffer,
        encoding: Encoding,
        cuts: Iterable[tuple[int, int]] = (),
        ends: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.data, self.encoding = data, encoding
        self.cuts, self.ends = dict(cuts), dict(ends)
        self._recent: dict[tuple[int, Encoding], bytes] = {}
        self._ahead: dict[int, tuple[set[int], int]] = {}

    def as_item(self) -> Item:
        """The top level as if it were one."""
        return Item(self, 0, len(self.data), len(self.data), self.encoding)

    def elements(self, wanted: Container[int] | None = None) -> Iterator[Element]:
        """All elements of the top level, or those with a tag ``wanted``, in the order of the bytes.

        Raises InvalidArgument.
        """
        return self.read_elements(0, len(self.data), self.encoding, wanted=wanted)

    def read_elements(
        self, at: int, end: int, encoding: Encoding, in_item: bool = False, wanted: Container[int] | None = None
    ) -> Iterator[Element]:
        """The elements between two places; those of an ``in_item`` end with its delimiter. Raises InvalidArgument."""
        data, cuts, explicit, short = self.data, self.cuts, encoding.explicit, SHORT
        unpack = encoding.element.unpack_from
        while at + 8 <= end:
            if at not in cuts:  # most elements, so not by a call each
                vr: str | None
                if explicit:
                    group, number, letters, length = unpack(data, at)
                    vr = short.get(letters)
                else:
                    group, number, length = unpack(data, at)
                    vr = "" if length != UNDEFINED else None
                if vr is not None and group != 0xFFFE:
                    value = at + 8
                    stop = value + length
                    tag = group << 16 | number
                    if stop > end:
                        raise broken(tag, at)
                    if wanted is None or tag in wanted:
                        yield new_element(Element, (tag, vr, at, value, stop, stop, encoding))
                    at = stop
                    continue
            element = self.read_element(at, end, encoding)
            if element.tag >> 16 == 0xFFFE:
                if element.tag == ITEM_END and (in_item or element.value == end):
                    return
                raise broken(element.tag, at)
            if wanted is None or element.tag in wanted:
                yield element
            at = element.end
        if at != end or in_item:
            raise broken(0, at)

    def read_element(self, at: int, end: int, encoding: Encoding) -> Element:
        """The element at a place, or a delimiter as if it were one. Raises InvalidArgument."""
        tag, vr, value, length = read_head(self.data, at, end, encoding)
        if at in self.cuts:
            return Element(tag, vr, at, value, value, value, encoding)
        if length == UNDEFINED and tag >> 16 != 0xFFFE:
            stop = self._find_end_of(tag, vr, at, value, end, encoding)
            return Element(tag, vr, at, value, stop, stop + 8, encoding)
        stop = value + length if tag >> 16 != 0xFFFE else value
        if stop > end:
            raise broken(tag, at)
        return new_element(Element, (tag, vr, at, value, stop, stop, encoding))

    def _find_end_of(self, tag: int, vr: str, at: int, value: int, end: int, encoding: Encoding) -> int:
        """The delimiter of an element of undefined length: its own bytes alone say where it ends, so that one which
        begins as a whole other one with the same encoding ends as that did."""
        if value in self.ends or not isinstance(self.data, bytes):
            return self.find_end(value, end, inner_encoding(vr, encoding))
        recent = self._recent.get((tag, encoding))
        if recent and self.data.startswith(recent, at) and at + len(recent) <= end:
            return at + len(recent) - 8
        stop = self.find_end(value, end, inner_encoding(vr, encoding))
        if stop - at < _MOST_COMPARED:
            self._recent[tag, encoding] = self.data[at : stop + 8]
        return stop

    def read_items(self, element: Element) -> Iterator[Item]:
        """The items of a sequence, or the fragments of a value. Raises InvalidArgument.

        A stray Item Delimitation Item between items is passed over, as dcmtk does.
        """
        at, end, encoding = element.value, element.stop, element.inner
        while at + 8 <= end:
            tag, _, value, length = read_head(self.data, at, end, encoding)
            if tag == ITEM:
                item = Item(self, value, length, end, encoding)
                if item.stop > end:
                    raise broken(element.tag, at)
                yield item
                at = item.find_stop() + 8 * item.is_open
            elif tag == ITEM_END or (tag == SEQUENCE_END and value == end):
                at = value
            else:
                raise broken(element.tag, at)
        if at != end:
            raise broken(element.tag, at)

    def find_end(self, start: int, end: int, encoding: Encoding, in_item: bool = False) -> int:
        """The place of the delimiter of a value, or item, of undefined length that begins at ``start``.

        No recursion, so no depth is too much. Raises InvalidArgument.
        """
        if start in self.ends:
            return self.ends[start]
        data, at, begun = self.data, start, start
        outer: list[tuple[int, Encoding]] = []  # what is around: where each begins, and the encoding before it
        while at + 8 <= end:
            tag, vr, value, length = read_head(data, at, end, encoding)
            if tag == (ITEM_END if in_item else SEQUENCE_END):
                if at - begun >= _WORTH_KEEPING and len(self.ends) < _MOST_PLACES:
                    self.ends[begun] = at
                if not outer:
                    return at
                begun, encoding = outer.pop()
                at, in_item = value, not in_item
            elif (tag == ITEM) == in_item or (tag >> 16 == 0xFFFE and tag != ITEM):
                raise broken(tag, at)
            elif length != UNDEFINED:
                at = value + length
            else:
                outer.append((begun, encoding))
                encoding = inner_encoding(vr, encoding) if in_item else encoding
                begun, at, in_item = value, value, not in_item
        raise broken(0, start)

    # --- what elements mean

    def resolve_vr(self, element: Element, signed: int, end: int) -> str:
        """The VR as written, else that of the dictionary, decided where it leaves a choice (PS3.5 §A.1, §6.2.2).

        ``signed`` is PixelRepresentation, -1 where it has not been met before this element; ``end`` is that of the
        data set or item that the element is in.
        """
        vr = resolve_vr(element.tag, element.vr, signed)
        if signed < 0 and vr in ("US", "SS") and element.vr in ("", "UN") and "or" in vr_of(element.tag):
            return "SS" if self._find_pixel_representation(element.end, end, element.encoding) == 1 else "US"
        return vr

    def _find_pixel_representation(self, at: int, end: int, encoding: Encoding) -> int:
        """That of an element from ``at`` on. For the places that were passed it is the same, and is remembered: those
        between elements of this data set, as an item that ends where it does may have another one."""
        passed, signed = self._ahead.get(end, (set[int](), -1))
        if at in passed:
            return signed
        passed, signed = {at}, -1
        try:
            for element in self.read_elements(at, end, encoding):
                if element.tag == PIXEL_REPRESENTATION:
                    signed = self.read_signed(element)
                    break
                if len(passed) < _MOST_PLACES:
                    passed.add(element.end)
        except InvalidArgument:
            pass  # the rest of this data set cannot be read: nobody knows
        if len(self._ahead) >= _MOST_AHEAD:
            self._ahead.clear()
        self._ahead[end] = passed, signed
        return signed

    def read_signed(self, element: Element) -> int:
        """0 or 1 of PixelRepresentation, -1 where it is neither."""
        value = self.read_number(element)
        return value if value < 0 else value & 1

    def read_number(self, element: Element) -> int:
        """The one US that it holds, -1 where it holds something else."""
        if element.stop - element.value != 2:
            return -1
        value = self.data[element.value : element.stop]
        return int.from_bytes(value, "big" if element.is_big_endian else "little")


def resolve_vr(tag: int, vr: str, signed: int) -> str:
    """As ``DataSet.resolve_vr``, of what is known without looking ahead."""
    if vr and vr != "UN":
        return vr
    known = vr_of(tag)  # public elements and private creators that somebody wrote as UN (PS3.5 §6.2.2, §7.8.1)
    if len(known) == 2:
        return known
    if "OW" in known:
        return "OW"
    return "SS" if signed == 1 else "US"


def is_sequence(element: Element, vr: str) -> bool:
    """Whether the value holds items with elements that can be told apart; ``vr`` as ``resolve_vr`` gives it."""
    if element.undefined_length:
        return not element.has_fragments and element.tag not in PIXEL_TAGS and vr != "UN"
    return vr == "SQ"
