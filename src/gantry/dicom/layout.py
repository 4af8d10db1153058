"""Where the top-level elements of a dataset lie, so that what a new encoding leaves alone can be copied as bytes.

The structure has been proven before, by ``part10.read_header``. What is unusual beyond that gives None, and the dataset
goes through pydicom instead. Little endian only.
"""

from __future__ import annotations

from struct import Struct, pack
from typing import NamedTuple, Protocol

Buffer = bytes | memoryview
"""Views spare the copies of large values."""


class Sliceable(Protocol):
    """A long value of which parts are read: a buffer, or a place in a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> Buffer: ...


_TAG = Struct("<HH")
_HEAD = Struct("<HH2sH")
_ITEM = Struct("<HHI")
_LENGTH = Struct("<I")
_UNDEFINED = 0xFFFFFFFF
_SHORT = {vr: vr.decode() for vr in b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()}
_LONG = {vr: vr.decode() for vr in b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()}
_MAX_DEPTH = 32
_MIN_VR, _PREFIX = 8, 132


class Readable(Protocol):
    """What is needed of an object open for reading."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the object."""
        ...


class FileValue:
    """A long value in a file: what is sliced out of it is read."""

    def __init__(self, opened: Readable, start: int, length: int) -> None:
        self._opened, self.start, self._length = opened, start, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(self._length)
        return self._opened.read_at(self.start + start, max(0, stop - start))


class Element(NamedTuple):
    """``start`` of the tag, ``value`` start, ``end`` after the value and its delimiter. ``length`` as declared."""

    tag: int
    vr: str
    start: int
    value: int
    length: int
    end: int

    @property
    def undefined_length(self) -> bool:
        return self.length == _UNDEFINED


class _Unusual(Exception):
    """Left to pydicom."""


def meta_elements(data: bytes) -> list[Element]:
    """The elements of the file meta group, wherever they end (PS3.10 §7.1). Empty for what cannot be walked."""
    found: list[Element] = []
    at = _PREFIX
    try:
        while at + 8 <= len(data) and data[at : at + 2] == b"\x02\x00":
            found.append(_element(data, at, True, 0))
            at = found[-1].end
    except _Unusual:
        return []
    return found


def top_level(data: Buffer, explicit: bool) -> list[Element] | None:
    """All elements in the order of the bytes; None where the walk is not as plain as can be."""
    found: list[Element] = []
    at, size, unpack, short = 0, len(data), _HEAD.unpack_from, _SHORT
    try:
        while at + 8 <= size:
            group, number, letters, length = unpack(data, at)
            if group in (0, 0xFFFE):
                break
            if explicit and letters in short:  # most elements, so not by a call each
                element = Element(group << 16 | number, short[letters], at, at + 8, length, at + 8 + length)
            else:
                element = _element(data, at, explicit, 0)
            found.append(element)
            at = element.end
    except _Unusual:
        return None
    return found if at == size or (at < size and not any(data[at:])) else None


def is_explicit(data: Buffer, declared: bool) -> bool:
    """VR letters or not at the first element, whatever the transfer syntax says."""
    letters = bytes(data[4:6])
    return letters in _SHORT or letters in _LONG if len(data) >= _MIN_VR else declared


def _element(data: Buffer, at: int, explicit: bool, depth: int) -> Element:
    if at + 8 > len(data):
        raise _Unusual
    group, number, letters, length = _HEAD.unpack_from(data, at)
    value = at + 8
    if not explicit:
        length, letters = _LENGTH.unpack_from(data, at + 4)[0], b""
    elif letters in _LONG:
        if at + 12 > len(data):
            raise _Unusual
        length, value = _LENGTH.unpack_from(data, at + 8)[0], at + 12
    elif letters not in _SHORT:
        raise _Unusual
    tag = group << 16 | number
    if length == _UNDEFINED:
        end = _after_items(data, value, explicit and letters != b"UN", tag, depth)
    else:
        end = value + length
    if end > len(data):
        raise _Unusual
    return Element(tag, letters.decode(), at, value, length, end)


def _after_items(data: Buffer, at: int, explicit: bool, tag: int, depth: int) -> int:
    """Past the Sequence Delimitation Item of a sequence or of fragments (PS3.5 §7.5, §A.4)."""
    if depth > _MAX_DEPTH:
        raise _Unusual
    while at + 8 <= len(data):
        group, number, length = _ITEM.unpack_from(data, at)
        at += 8
        if (group, number) == (0xFFFE, 0xE0DD):
            return at
        if (group, number) != (0xFFFE, 0xE000):
            raise _Unusual
        at = _after_item(data, at, explicit, depth) if length == _UNDEFINED else at + length
    raise _Unusual


def _after_item(data: Buffer, at: int, explicit: bool, depth: int) -> int:
    while at + 8 <= len(data):
        if _TAG.unpack_from(data, at) == (0xFFFE, 0xE00D):
            return at + 8
        at = _element(data, at, explicit, depth + 1).end
    raise _Unusual


def explicit_header(tag: int, vr: str, length: int) -> bytes:
    """Tag, VR and length in explicit VR little endian (PS3.5 §7.1.2)."""
    head = pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (pack("<HI", 0, length) if vr.encode() in _LONG else pack("<H", length))
