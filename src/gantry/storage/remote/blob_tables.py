"""The end of a segment, where its table of contents stands, without the instances before it; and what the end says of
these: a segment that is written anew because something in it was freed gets one byte more behind its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.contents import Table, read_tables
from gantry.storage.extents import ALIGNMENT, align
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_reading import HeldObject

TAIL_BYTES = 256 << 10
"""Some 2,000 instances, of which each takes about 100 bytes once their table is compressed."""


class Tail(OpenedObject):
    """A segment of which the last bytes alone are read: zeros stand for the others, as if they had been freed."""

    def __init__(self, bucket: BlobBucket, found: ObjectMeta, length: int = TAIL_BYTES) -> None:
        """``found`` is the segment, by its key; so many bytes are read, or a block fewer. Raises NotFound, Unavailable,
        DiskAway, and Aborted where the segment is replaced meanwhile."""
        self.key, self.size = found.key, found.size
        self.start = align(max(0, found.size - length))
        self._data = bucket.get(found.key, found.tag, self.start, self.size - self.start).data

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        blank = bytes(max(0, min(end, self.start) - offset))
        return blank + self._data[max(0, offset - self.start) : max(0, end - self.start)]

    def chunks(self) -> Iterator[bytes]:
        for offset in range(0, self.size, ALIGNMENT):
            yield self.read_at(offset, ALIGNMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._data = b""


def is_as_written(size: int, tables: Sequence[Table]) -> bool:
    """Whether a segment of ``size`` bytes was never written anew, as far as its end tells."""
    return bool(tables) and tables[-1].end == size


def mark_rewritten(segment: str, data: bytes) -> bytes:
    """The bytes of a segment in which something was freed: their length says so."""
    tables = list(read_tables(HeldObject(segment, data)))
    return data + b"\0" if is_as_written(len(data), tables) else data
