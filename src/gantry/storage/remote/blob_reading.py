"""Blobs in a bucket, open for reading: ranges of segments, and objects of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from gantry.errors import Aborted, NotFound, StatusError, Unreadable
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.extents import OWN_BYTES, Extent
from gantry.storage.freed import CHECKED, looks_freed
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.checking import Comparison, compare
from gantry.storage.remote.reading import HEAD_BYTES, RemoteObject

WHOLE_BYTES = 1 << 20
"""Up to here an instance is read whole by one request. Of a longer one often a frame is wanted alone."""
LEAST_AHEAD, MOST_AHEAD = 64 << 10, 4 << 20
_TRIES = 4  # reads of an object that is replaced again and again, or comes spoilt
_GONE = "was deleted while it was read"


class HeldObject(OpenedObject):
    """Bytes in memory."""

    def __init__(self, key: str, data: bytes) -> None:
        self.key, self.size, self._data = key, len(data), data

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def chunks(self) -> Iterator[bytes]:
        yield self._data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._data = b""


class Ahead:
    """Reads more than is asked for, each time twice as much: whoever looks for the frames of an instance reads a few
    bytes of each, one after the other, and every request takes its time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held, self._length = (0, b""), LEAST_AHEAD

    def read_at(self, offset: int, length: int, fetch: Callable[[int, int], bytes]) -> bytes:
        start, data = self._held
        if not (start <= offset and offset + length <= start + len(data)):
            wanted = min(max(length, self._length), self._size - offset)
            start, data = self._held = offset, fetch(offset, wanted)
            self._length = min(2 * self._length, MOST_AHEAD)
        return data[offset - start : offset - start + length]


class StoredExtent(OpenedObject):
    """A range of a segment. Its bytes never change, but it may be freed, and then they are zeros. So all reads are of
    the version whose first bytes were looked at; where there is another one now, they are looked at again."""

    def __init__(self, bucket: BlobBucket, extent: Extent) -> None:
        """Raises NotFound where there are no such bytes any more, Unavailable, DiskAway."""
        self._bucket, self._extent = bucket, extent
        self.key, self.size = str(extent), extent.length
        if not 0 < extent.length < OWN_BYTES:
            raise NotFound("no such object")  # no writer makes such a range
        self._head = self._look(self.size if self.size <= WHOLE_BYTES else HEAD_BYTES)
        self._ahead = Ahead(self.size)

    def _look(self, length: int) -> bytes:
        """The first bytes, of the version that is read from now on. Zeros are asked for twice: bytes that were spoilt
        on their way are not freed, and who took them for that would let other bytes take their place."""
        for _ in range(2):
            try:
                found = self._bucket.get(self._extent.segment, "", self._extent.offset, length)
            except Aborted:
                raise NotFound("no such object") from None  # the segment is shorter
            if not looks_freed(found.data[:CHECKED]):
                self._tag = found.tag
                return found.data
        raise NotFound("no such object")

    def read_at(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - offset))
        if not wanted or offset + wanted <= len(self._head):
            return self._head[offset : offset + wanted]
        return self._ahead.read_at(offset, wanted, self._fetch)

    def _fetch(self, offset: int, length: int) -> bytes:
        for _ in range(_TRIES):
            try:
                found = self._bucket.get(self._extent.segment, self._tag, self._extent.offset + offset, length)
                if self._tag:
                    return found.data
                self._look_again()
                return found.data
            except Aborted as error:
                if error.what == _GONE:
                    raise
            except NotFound:
                raise Aborted(_GONE) from None
            self._look_again()
        raise Unreadable("its bytes cannot be read: their object is replaced again and again")

    def _look_again(self) -> None:
        try:
            self._look(min(CHECKED, self.size))
        except NotFound:
            raise Aborted(_GONE) from None

    def read_anew(self) -> bool:
        """Nobody has compared them: what a provider says of an object is not about a range."""
        self._head = self._look(len(self._head))
        self._ahead = Ahead(self.size)
        return True

    def chunks(self) -> Iterator[bytes]:
        yield self._head
        if len(self._head) < self.size:
            yield self._fetch(len(self._head), self.size - len(self._head))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._head, self._ahead = b"", Ahead(0)


class StoredObject(RemoteObject):
    """An instance that is an object of its own."""

    held_bytes = WHOLE_BYTES

    def __init__(self, bucket: BlobBucket, key: str, found: ObjectMeta) -> None:
        self._bucket = bucket
        with bucket.reading():
            super().__init__(bucket.client, found)
        self.key = key
        self._ahead = Ahead(self.size)

    def read_at(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - offset))
        try:
            if self.is_held or offset + wanted <= HEAD_BYTES:
                return super().read_at(offset, wanted)
            return self._ahead.read_at(offset, wanted, super().read_at)
        except StatusError as error:
            raise self._translate(error) from None

    def chunks(self) -> Iterator[bytes]:
        try:
            yield from super().chunks()
        except StatusError as error:
            raise self._translate(error) from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        self._ahead = Ahead(0)

    def _translate(self, error: StatusError) -> StatusError:
        if isinstance(error, Aborted | NotFound):  # servers of Azure say of a missing one that it is another version
            return self._bucket.judge_absence(Aborted(_GONE))
        return self._bucket.translate_read(error)


def open_object(bucket: BlobBucket, key: str) -> StoredObject:
    """Raises NotFound, Unavailable, DiskAway, Unreadable."""
    try:
        return StoredObject(bucket, key, bucket.head(key))
    except Aborted:
        return StoredObject(bucket, key, bucket.head(key))  # a write whose answer was lost has come once more


class Whole(NamedTuple):
    """All bytes of a segment. ``is_compared``: they are those that the provider has."""

    found: ObjectMeta
    data: bytes
    is_compared: bool


def read_whole(bucket: BlobBucket, segment: str) -> Whole:
    """Raises NotFound, Unavailable, DiskAway, and Unreadable where they come spoilt again and again."""
    for _ in range(_TRIES):
        found = bucket.head(segment)
        try:
            data = bucket.get(segment, found.tag, 0, found.size).data
            with bucket.reading():
                outcome = compare(data, found, bucket.client.get_checksums)
        except Aborted:
            continue  # something in it was freed meanwhile
        if outcome is not Comparison.DIFFERENT:
            return Whole(found, data, outcome is Comparison.EQUAL)
    raise Unreadable("its bytes cannot be read: they come spoilt, or are replaced, again and again")
