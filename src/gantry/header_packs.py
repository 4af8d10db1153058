"""Headers of a series, or of several small studies, compressed together: they are so much alike that each costs some
hundred bytes."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError

import zstandard

from gantry.errors import DataLoss

PACK_ITEMS, PACK_BYTES = 64, 1 << 20
"""How many headers, and bytes of headers, go into one pack: all of them are read to get at one."""
FEW_ITEMS, SHARED_ITEMS, SHARED_BYTES = 16, 32, 1 << 18
"""How many instances of a batch a study has at most to share packs with others, and what goes into such a pack: less,
since who reads one of its headers will seldom want another. A radiograph's needs 950 bytes alone, 240 among 16, 205
among 32 and 190 among 64."""

_LENGTH = Struct("<I")
_LEVEL = 1
_MAX_BYTES = 64 << 20


def pack(entries: Sequence[bytes]) -> bytes:
    lengths = (_LENGTH.pack(len(entry)) for entry in entries)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join((_LENGTH.pack(len(entries)), *lengths, *entries)))


def unpack(data: bytes) -> list[bytes]:
    """Raises DataLoss for what ``pack`` has not written."""
    try:
        if zstandard.frame_content_size(data) > _MAX_BYTES:  # it is allocated at once, and max_output_size not asked
            raise DataLoss("headers in the index are damaged: they claim to be longer than any pack is")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
    except zstandard.ZstdError:
        raise DataLoss("headers in the index are damaged") from None
    try:
        (count,) = _LENGTH.unpack_from(plain)
        at = _LENGTH.size * (count + 1)
        lengths = [length for (length,) in _LENGTH.iter_unpack(plain[_LENGTH.size : at])]
    except StructError:
        raise DataLoss("headers in the index are damaged: their lengths are cut off") from None
    if len(lengths) != count or at + sum(lengths) != len(plain):
        raise DataLoss("headers in the index are damaged: they are not as long as they should be")
    entries = []
    for length in lengths:
        entries.append(plain[at : at + length])
        at += length
    return entries
