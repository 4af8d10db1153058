"""Headers of a series, or of several small studies, compressed together: they are so similar that each takes a few
hundred bytes."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError

import zstandard

from gantry.errors import DataLoss

PACK_ITEMS, PACK_BYTES = 64, 1 << 20
"""Headers, and bytes of headers, in one pack at most: reading one header means reading its whole pack."""
FEW_ITEMS, SHARED_ITEMS, SHARED_BYTES = 16, 32, 1 << 18
"""How many instances of a batch a study has at most to share packs with others, and what goes into such a pack: less,
since who reads one of its headers will seldom want another. A radiograph's needs 950 bytes alone, 240 among 16, 205
among 32 and 190 among 64."""

_LENGTH = Struct("<I")
_LEVEL = 1  # of Zstandard: the fastest; headers of a series are similar enough for it
_MAX_BYTES = 64 << 20  # far more than any pack holds: a limit for damaged data


def pack(entries: Sequence[bytes]) -> bytes:
    lengths = (_LENGTH.pack(len(entry)) for entry in entries)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join((_LENGTH.pack(len(entries)), *lengths, *entries)))


def unpack(data: bytes) -> list[bytes]:
    """The entries of a pack. Raises DataLoss for data that ``pack`` did not write."""
    try:
        if (
            zstandard.frame_content_size(data) > _MAX_BYTES
        ):  # a declared size is allocated without a look at max_output_size
            raise DataLoss("headers in the index are damaged: their declared size is too large")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
    except zstandard.ZstdError:
        raise DataLoss("headers in the index are damaged") from None
    try:
        (count,) = _LENGTH.unpack_from(plain)
        at = _LENGTH.size * (count + 1)
        lengths = [length for (length,) in _LENGTH.iter_unpack(plain[_LENGTH.size : at])]
    except StructError:
        raise DataLoss("headers in the index are damaged: their lengths are incomplete") from None
    if len(lengths) != count or at + sum(lengths) != len(plain):
        raise DataLoss("headers in the index are damaged: their lengths are wrong")
    entries = []
    for length in lengths:
        entries.append(plain[at : at + length])
        at += length
    return entries
