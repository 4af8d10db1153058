"""Addresses of blobs that share a segment: ``KEY.seg@OFFSET+LENGTH``, in bytes.

A segment is one object that holds the bytes of several instances, each from an offset that is a multiple of ALIGNMENT.
Only the storage makes such addresses, so a blob's key is either one of them or the key of an object of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from gantry.errors import InvalidArgument
from gantry.resources import Uids

ALIGNMENT = 4096
"""The block of the usual file systems: an instance shares no block with another, so its blocks can be freed alone."""

OWN_BYTES = 8 << 20
"""Instances of so many bytes or more get an object of their own: docs/decisions/0016-segments.md."""

SMALL_BYTES = 1 << 20
"""A segment that has less when it is sealed is a small one: an eighth of a full one in a bucket."""

SUFFIX = ".seg"
_ADDRESS = re.compile(rf"(.+{re.escape(SUFFIX)})@([0-9]{{1,15}})\+([0-9]{{1,15}})", re.DOTALL)


class Extent(NamedTuple):
    """``length`` bytes from ``offset`` in the object ``segment``."""

    segment: str
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.segment}@{self.offset}+{self.length}"

    @property
    def end(self) -> int:
        """Where the next instance may begin."""
        return align(self.offset + self.length)


class Entry(NamedTuple):
    """What a segment says of one instance: the key of its bytes, its UIDs, and the CRC32C of the bytes (RFC 3720
    §12.1) where they passed through us."""

    key: str
    uids: Uids
    crc32c: int | None


@lru_cache(1024)  # a batch asks several times for each of its keys
def parse_extent(key: str) -> Extent | None:
    """The extent that a blob's key names; None for an object of its own."""
    match = _ADDRESS.fullmatch(key)
    return Extent(match[1], int(match[2]), int(match[3])) if match else None


def parse_inside(segment: str, key: str) -> Extent:
    """The extent that a blob's key names, in this segment. Raises InvalidArgument where it lies elsewhere."""
    extent = parse_extent(key)
    if extent is None or extent.segment != segment:
        raise InvalidArgument(f"{key} does not lie in {segment}")
    return extent


def group_by_segment(keys: Sequence[str]) -> Iterator[tuple[str, list[Extent]]]:
    """The extents among the keys by their segment, in the order of their offsets."""
    extents = sorted(extent for key in keys if (extent := parse_extent(key)))
    for segment, found in groupby(extents, lambda extent: extent.segment):
        yield segment, list(found)


def align(size: int) -> int:
    """The next multiple of ALIGNMENT, ``size`` itself where it is one."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def object_of(key: str) -> str:
    """The object that holds a blob: its segment, or the blob itself."""
    extent = parse_extent(key)
    return extent.segment if extent else key
