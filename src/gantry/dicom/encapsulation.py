"""Fragments of encapsulated Pixel Data to frames and back (PS3.5 §A.4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from struct import error as StructError
from struct import pack, unpack_from

from gantry.dicom.layout import Buffer
from gantry.errors import FailedPrecondition, InvalidArgument

_MAX_FRAGMENTS = 1_000_000
_ITEM, _SEQUENCE_END = 0xE000FFFE, 0xE0DDFFFE
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")


def split_frames(value: Buffer, frames: int, one_fragment: bool, extended: tuple[bytes, bytes] | None) -> list[bytes]:
    """The frames of a Pixel Data value, which begins with the item of the Basic Offset Table.

    Frame borders come from the Extended Offset Table (PS3.3 §C.7.6.3.1.8), else from the basic one, else from the
    counts, else from fragments that begin as a bitstream does. A table that points beside the fragments is not used.
    """
    fragments = _fragments(value)
    if not fragments:
        raise InvalidArgument("the encapsulated pixel data has no items")
    (table_at, table_length), *rest = fragments
    if not rest:
        raise InvalidArgument("the encapsulated pixel data has no fragments")
    if extended and (found := _by_extended(value, rest, frames, extended)):
        return found
    starts = _table_starts(value[table_at : table_at + table_length], rest, frames)
    if starts is None:
        starts = _guessed_starts(value, rest, frames, one_fragment)
    ends = [*starts[1:], len(rest)]
    return [
        b"".join(value[at : at + length] for at, length in rest[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]


def _fragments(value: Buffer) -> list[tuple[int, int]]:
    """Place and length of the value of every item."""
    found: list[tuple[int, int]] = []
    at = 0
    while at + 8 <= len(value):
        tag, length = unpack_from("<II", value, at)
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM or at + 8 + length > len(value):
            raise InvalidArgument(f"the encapsulated pixel data is damaged at byte {at}")
        if len(found) >= _MAX_FRAGMENTS:
            raise FailedPrecondition(f"the pixel data has more than {_MAX_FRAGMENTS} fragments")
        found.append((at + 8, length))
        at += 8 + length
    return found


def _by_extended(
    value: Buffer, fragments: list[tuple[int, int]], frames: int, extended: tuple[bytes, bytes]
) -> list[bytes] | None:
    try:
        offsets, lengths = (unpack_from(f"<{frames}Q", table) for table in extended)
    except StructError:
        return None
    first = fragments[0][0] - 8
    sizes = {at - 8 - first: length for at, length in fragments}
    if any(sizes.get(offset, -1) < length for offset, length in zip(offsets, lengths, strict=True)):
        return None
    starts = [first + 8 + offset for offset in offsets]
    return [bytes(value[start : start + length]) for start, length in zip(starts, lengths, strict=True)]


def _table_starts(table: Buffer, fragments: list[tuple[int, int]], frames: int) -> list[int] | None:
    if len(table) != 4 * frames:
        return None
    offsets = unpack_from(f"<{frames}I", table)
    first = fragments[0][0]
    numbers = {at - first: number for number, (at, _) in enumerate(fragments)}
    starts = [numbers.get(offset, -1) for offset in offsets]
    grows = all(one < next_one for one, next_one in pairwise(starts))
    return starts if starts[0] == 0 and grows else None


def _guessed_starts(value: Buffer, fragments: list[tuple[int, int]], frames: int, one_fragment: bool) -> list[int]:
    count = len(fragments)
    if count == frames:
        return list(range(count))
    if frames == 1 and not one_fragment:
        return [0]
    starts = [number for number, (at, _) in enumerate(fragments) if bytes(value[at : at + 12]).startswith(_STARTS)]
    if one_fragment or len(starts) != frames or starts[0] != 0:
        raise InvalidArgument(f"{count} fragments do not make up the {frames} frames that NumberOfFrames declares")
    return starts


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
