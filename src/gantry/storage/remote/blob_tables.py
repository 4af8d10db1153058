"""The end of a segment, where its table of contents stands, without the instances before it."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from gantry.seams import OpenedObject
from gantry.storage.extents import ALIGNMENT, align
from gantry.storage.remote.blob_bucket import BlobBucket

TAIL_BYTES = 256 << 10
"""Some 2,000 instances, of which each takes about 100 bytes once their table is compressed."""


class Tail(OpenedObject):
    """A segment of which the last bytes alone are read: zeros stand for the others, as if they had been freed."""

    def __init__(self, bucket: BlobBucket, segment: str) -> None:
        """Raises NotFound, Unavailable, DiskAway, and Aborted where the segment is replaced meanwhile."""
        found = bucket.head(segment)
        self.key, self.size = segment, found.size
        self._start = align(max(0, found.size - TAIL_BYTES))
        self._data = bucket.get(segment, found.tag, self._start, self.size - self._start).data

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        blank = bytes(max(0, min(end, self._start) - offset))
        return blank + self._data[max(0, offset - self._start) : max(0, end - self._start)]

    def chunks(self) -> Iterator[bytes]:
        for offset in range(0, self.size, ALIGNMENT):
            yield self.read_at(offset, ALIGNMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._data = b""
