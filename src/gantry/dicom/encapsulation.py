"""Fragments of encapsulated Pixel Data to frames and back (PS3.5 §A.4)."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from struct import pack, unpack_from

from gantry.dicom.buffers import Buffer, Sliceable
from gantry.errors import FailedPrecondition, InvalidArgument

_MAX_FRAGMENTS = 1_000_000
_MAX_TABLE = 80 << 20
_RLE_HEADER = 64
_ITEM, _SEQUENCE_END = 0xE000FFFE, 0xE0DDFFFE
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_INFLATED_CHUNK = 1 << 20  # bytes in memory
_LONGEST_START = max(map(len, _STARTS))
Extent = tuple[int, int]
"""Place and length of the value of a fragment."""


class FrameTable:
    """Which fragments of a Pixel Data value are a frame. The value begins with the item of the Basic Offset Table.

    Frame borders come from the Extended Offset Table (PS3.3 §C.7.6.3.1.8), else from the basic one, else from the
    counts, else from fragments that begin as a bitstream does, from ``frame_size``, the bytes of each frame where all
    have the same, or from the ends of deflate streams, each a frame of up to ``inflated_size`` bytes. A table that
    points beside the fragments is not used. Empty fragments belong to no frame.
    With a table, only what belongs to a frame is looked at. Raises InvalidArgument, FailedPrecondition.
    """

    def __init__(
        self,
        value: Sliceable,
        frames: int,
        is_rle: bool,
        extended: tuple[bytes, bytes] | None = None,
        frame_size: int | None = None,
        inflated_size: int | None = None,
    ) -> None:
        table = _read_item(value, 0)
        if table is None:
            raise InvalidArgument("the encapsulated pixel data has no items")
        self.frames, self._is_rle, self._frame_size, self._inflated_size = frames, is_rle, frame_size, inflated_size
        self._first = table[0] + table[1]
        self._extended = extended if extended and min(map(len, extended)) >= 8 * frames else None
        self._basic = _read_offsets(value, table, frames)
        self._starts: array[int] | None = None
        self._fragments: list[Extent] = []
        if self._extended is None and self._basic is None:
            self._walk(value)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        held = sum(map(len, self._extended or ())) + 4 * len(self._basic or ())
        return held + 120 * len(self._fragments) + 1000

    def extents(self, value: Sliceable, number: int) -> list[Extent]:
        """The fragments of frame ``number`` from 0."""
        found = self._find_by_extended(value, number) or self._find_by_basic(value, number)
        if found:
            return found
        starts = self._walk(value)
        end = starts[number + 1] if number + 1 < len(starts) else len(self._fragments)
        return self._fragments[starts[number] : end]

    def _find_by_extended(self, value: Sliceable, number: int) -> list[Extent] | None:
        if self._extended is None:
            return None
        offset, length = (unpack_from("<Q", table, 8 * number)[0] for table in self._extended)
        try:
            found = _read_item(value, self._first + offset)
        except InvalidArgument:
            return None
        return [(found[0], length)] if found and length <= found[1] else None

    def _find_by_basic(self, value: Sliceable, number: int) -> list[Extent] | None:
        if self._basic is None:
            return None
        at = self._first + self._basic[number]
        end = self._first + self._basic[number + 1] if number + 1 < self.frames else None
        found: list[Extent] = []
        try:
            while at != end and (item := _read_item(value, at)) is not None:
                found.append(item)
                at = sum(item)
                if (end is not None and at > end) or len(found) > _MAX_FRAGMENTS:
                    return None
        except InvalidArgument:
            return None
        return found if at == end or end is None else None

    def _walk(self, value: Sliceable) -> array[int]:
        """Numbers of the fragments that frames begin with, from the fragments alone."""
        if self._starts is None:
            self._fragments = list(fragments(value, self._first))
            if not self._fragments:
                raise InvalidArgument("the encapsulated pixel data has no fragments")
            self._starts = array("I", self._guess_starts(value))
        return self._starts

    def _guess_starts(self, value: Sliceable) -> Sequence[int]:
        found, frames = self._fragments, self.frames
        if len(found) == frames:
            return range(frames)
        if len(found) < frames:
            raise self._refuse_undivided()
        filled = [number for number, (_, length) in enumerate(found) if length]
        if frames == 1:
            return [0]
        if len(filled) == frames:
            return filled
        is_deflated = self._inflated_size is not None
        starts = list((self._starts_of_streams if is_deflated else self._starts_by_content)(value, filled))
        if len(starts) != frames or starts[0] != filled[0]:
            raise self._refuse_undivided()
        return starts

    def _starts_by_content(self, value: Sliceable, filled: Sequence[int]) -> Iterator[int]:
        """Fragments that begin as a frame does; of uncompressed frames, those that come when one is full."""
        missing = 0
        for number in filled:
            length = self._fragments[number][1]
            if self._frame_size is not None:
                if missing <= 0:
                    missing = self._frame_size
                    yield number
                missing -= length
            elif self._is_rle:
                if _begins_rle(self._read_head(value, number, _RLE_HEADER)):
                    yield number
            elif self._read_head(value, number, _LONGEST_START).startswith(_STARTS):
                yield number

    def _starts_of_streams(self, value: Sliceable, filled: Sequence[int]) -> Iterator[int]:
        """Each frame has one fragment (PS3.5 §A.4.13). Where somebody made more of it, its stream still says where it
        ends (RFC 1951 §3.2.3)."""
        stream: _DeflateStream | None = None
        for number in filled:
            if stream is None:
                yield number
                stream = _DeflateStream(self._inflated_size or 0)
            at, length = self._fragments[number]
            if stream.ends_in(value[at : at + length]):
                stream = None
        if stream is not None:
            raise self._refuse_undivided()

    def _read_head(self, value: Sliceable, number: int, size: int) -> bytes:
        """The first bytes of a fragment, and of those behind it where it is shorter."""
        head = b""
        while len(head) < size and number < len(self._fragments):
            at, length = self._fragments[number]
            head += bytes(value[at : at + min(length, size - len(head))])
            number += 1
        return head

    def _refuse_undivided(self) -> InvalidArgument:
        count, frames = len(self._fragments), self.frames
        return InvalidArgument(f"{count} fragments do not make up the {frames} frames that NumberOfFrames declares")


class _DeflateStream:
    """Finds the end of a stream that inflates to no more than ``most`` bytes, which are not kept."""

    def __init__(self, most: int) -> None:
        self._inflater, self._left = zlib.decompressobj(-zlib.MAX_WBITS), most

    def ends_in(self, data: Buffer) -> bool:
        """Whether the stream ends in the next fragment. Raises InvalidArgument."""
        try:
            while True:
                chunk = self._inflater.decompress(data, _INFLATED_CHUNK)
                data, self._left = self._inflater.unconsumed_tail, self._left - len(chunk)
                if self._left < 0:
                    raise InvalidArgument("a frame inflates to more bytes than are declared")
                if self._inflater.eof or not (chunk or data):
                    return self._inflater.eof
        except zlib.error:
            raise InvalidArgument("a frame does not inflate: its bitstream is damaged") from None


def _begins_rle(head: bytes) -> bool:
    """It is the header of an RLE frame: a count, so many offsets that grow from 64, and zeros (PS3.5 §G.5)."""
    if len(head) < _RLE_HEADER:
        return False
    count, *offsets = unpack_from("<16I", head)
    used = offsets[:count]
    return used[:1] == [_RLE_HEADER] and used == sorted(set(used)) and len(used) == count and not any(offsets[count:])


class EncodedFrames(Sequence[bytes]):
    """The bitstreams of frames, each read when it is asked for."""

    def __init__(self, value: Sliceable, table: FrameTable) -> None:
        self._value, self._table = value, table

    def __len__(self) -> int:
        return self._table.frames

    def __getitem__(self, number: int) -> bytes:  # type: ignore[override]
        if not 0 <= number < self._table.frames:
            raise IndexError(number)
        return b"".join(self._value[at : at + length] for at, length in self._table.extents(self._value, number))


def _read_item(value: Sliceable, at: int) -> Extent | None:
    """The item at a place; None at the end. Raises InvalidArgument for something else."""
    if at + 8 > len(value):
        return None
    tag, length = unpack_from("<II", bytes(value[at : at + 8]))
    if tag == _SEQUENCE_END:
        return None
    if tag != _ITEM or at + 8 + length > len(value):
        raise InvalidArgument(f"the encapsulated pixel data is damaged at byte {at}")
    return at + 8, length


def fragments(value: Sliceable, at: int = 0) -> Iterator[Extent]:
    """Items from a place on; from 0 on the first is the Basic Offset Table. Raises as ``FrameTable`` does."""
    for _ in range(_MAX_FRAGMENTS):
        found = _read_item(value, at)
        if found is None:
            return
        yield found
        at = sum(found)
    raise FailedPrecondition(f"the pixel data has more than {_MAX_FRAGMENTS} fragments")


def _read_offsets(value: Sliceable, table: Extent, frames: int) -> array[int] | None:
    """The Basic Offset Table, where there is one and it grows."""
    at, length = table
    if length != 4 * frames or length > _MAX_TABLE:
        return None
    offsets = array("I", bytes(value[at : at + length]))
    if sys.byteorder == "big":
        offsets.byteswap()
    grows = all(one < following for one, following in pairwise(offsets))
    return offsets if grows and not offsets[0] else None


def encapsulate(frames: Sequence[bytes]) -> bytes:
    """A Pixel Data value with a Basic Offset Table and one fragment per frame, without the sequence delimiter."""
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    offsets, at = [], 0
    for frame in padded:
        offsets.append(at)
        at += 8 + len(frame)
    table = pack(f"<{len(offsets)}I", *offsets)
    items = (pack("<II", _ITEM, len(item)) + item for item in (table, *padded))
    return b"".join(items)
