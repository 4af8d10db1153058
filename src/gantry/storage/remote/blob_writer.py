"""Writing instances into a bucket: small ones share segments, large ones are objects of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

import google_crc32c

from gantry.checksums import require_sum
from gantry.errors import Aborted, Cancelled, DeadlineExceeded, DiskAway, FailedPrecondition, StatusError
from gantry.late_writes import make_late
from gantry.resources import Uids
from gantry.seams import OpenedObject
from gantry.storage.extents import OWN_BYTES, parse_extent
from gantry.storage.freed import CHECKED, looks_freed
from gantry.storage.gathering import HELD_BYTES, find_first_bytes, gather
from gantry.storage.group_commit import GroupCommit
from gantry.storage.new_names import NewNames
from gantry.storage.own_objects import SUFFIX
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_freeing import free_extents
from gantry.storage.remote.blob_segments import Segment, discard_pending
from gantry.storage.remote.blob_sending import MOST_FLUSHES, Sending
from gantry.storage.remote.retrying import count_repeats
from gantry.storage.shared_flushes import Flushes, free_again

logger = logging.getLogger(__name__)


class RemoteWriter:
    """An object of its own is durable once it is written; a segment once it is sent, by the next flush at the latest.

    An instance in a segment is held in memory until then.
    """

    def __init__(self, bucket: BlobBucket, prefix: str) -> None:
        """Raises InvalidArgument for a prefix that no key can have."""
        self._bucket, self._prefix, self._names = bucket, prefix, NewNames(prefix)
        bucket.locate_new(f"{prefix}-")
        self._sending = Sending(bucket, self._names)
        self._flushes = Flushes[Segment](GroupCommit(self._sync, MOST_FLUSHES))
        self._lock = threading.Lock()
        self._unflushed: set[str] = set()  # objects of their own
        self._unwanted: set[str] = set()  # objects that were to be removed, and may still be there
        self._discarded: list[str] = []  # extents
        self._closed = False
        self._is_late = False  # a request that was given up, or sent again, may still be carried out
        self.left: tuple[str, ...] = ()
        self.late: tuple[str, ...] = ()

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        if uids is None:
            return self._write_own(lambda key: self._bucket.stream(key, chunks))
        held, rest = gather(chunks, HELD_BYTES)
        size = sum(map(len, held))
        if size < HELD_BYTES and not looks_freed(find_first_bytes(held)):
            return self._append(b"".join(held), uids), size
        return self._write_own(lambda key: self._bucket.stream(key, chain(held, rest)))

    def copy_from(self, source: OpenedObject, uids: Uids, written: int | None = None) -> str:
        if source.size < OWN_BYTES:
            held, _ = gather(source.chunks(), source.size + 1)  # to the end, where there is no more than that
            _require_size(sum(map(len, held)), source)
            data = b"".join(held)
            if not looks_freed(data[:CHECKED]):
                return self._append(data, uids, written)
        return self._write_own(lambda key: self._copy(key, source, written))[0]

    def _append(self, data: bytes, uids: Uids, written: int | None = None) -> str:
        crc32c = google_crc32c.value(data)
        require_sum(crc32c, written)
        segment, key = self._sending.append(data, uids, crc32c)
        self._flushes.note(segment)
        return key

    def _copy(self, key: str, source: OpenedObject, written: int | None) -> int:
        """By the provider itself where it can, and nobody knows a checksum that would have to be compared."""
        if written is None and self._bucket.copy(key, source):
            return source.size
        return self._bucket.stream(key, _check_chunks(source, written))

    def _write_own(self, fill: Callable[[str], int]) -> tuple[str, int]:
        self._require_open()
        key, repeats = self._names.make(SUFFIX), count_repeats()
        try:
            size = fill(key)
            with self._lock:
                self._require_open()
                self._unflushed.add(key)
        except BaseException as error:
            self._is_late |= _leaves_request(error)
            self._remove(key)  # where an answer was lost, the object may be there
            raise
        finally:
            self._is_late |= count_repeats() != repeats
        return key, size

    def _require_open(self) -> None:
        if self._closed:
            raise FailedPrecondition("the writer is closed")

    def discard(self, key: str) -> None:
        extent = parse_extent(key)
        if extent is None:
            self._unwanted.add(key)
            with self._bucket.marked():
                self._bucket.delete(key)
            self._unwanted.discard(key)
            with self._lock:
                self._unflushed.discard(key)
        elif not discard_pending(extent.segment, [extent]):
            self._discarded.append(key)
            with self._bucket.marked():
                for error in free_extents(self._bucket, extent.segment, [extent]).values():
                    raise error
            self._discarded.remove(key)

    def flush(self) -> None:
        self._flushes.flush()

    def _sync(self) -> None:
        with self._lock:
            own = set(self._unflushed)
        taken = self._sending.take()
        try:
            self._sending.sync(taken)
        finally:
            self._sending.settle(taken)
        with self._lock:
            self._unflushed -= own

    def close(self) -> tuple[str, ...]:
        """What cannot be removed now is ``left``; nothing that was removed comes back."""
        with self._lock:
            self._closed = True
            unflushed = sorted(self._unflushed)
        for key in (*unflushed, *self._sending.close(), *sorted(self._unwanted)):
            self._remove(key)
        self.left = (*self._free_discarded(), *sorted(self._unwanted))
        self.late = (make_late(self._prefix),) if self._is_late or self._sending.is_late else ()
        return tuple(self._sending.durable)

    def _remove(self, key: str) -> None:
        try:
            with self._bucket.marked():
                self._bucket.delete(key)
            self._unwanted.discard(key)
        except StatusError as error:
            self._unwanted.add(key)
            logger.warning("%s is not in use, but cannot be deleted now: %s", key, error.message)

    def _free_discarded(self) -> list[str]:
        """Once more; the keys of those that cannot be freed now."""
        try:
            if self._discarded:
                self._bucket.require_mark()
        except StatusError as away:
            logger.warning("%d instances are not in use, but cannot be freed: %s", len(self._discarded), away.message)
            return [*self._discarded]
        return free_again(self._discarded, partial(free_extents, self._bucket))


def _leaves_request(error: BaseException) -> bool:
    """Whether a write may still be on its way. What is no error of ours ends a call that hangs: a server that stops."""
    return isinstance(error, DiskAway | Cancelled | DeadlineExceeded) or not isinstance(error, StatusError)


def _require_size(size: int, source: OpenedObject) -> None:
    if size != source.size:
        raise Aborted(f"{size} bytes came where there should be {source.size}")


def _check_chunks(source: OpenedObject, written: int | None) -> Iterator[bytes]:
    """The bytes of an open object. Raises Aborted, DataLoss at the end where they are others."""
    crc = size = 0
    for chunk in source.chunks():
        size += len(chunk)
        crc = google_crc32c.extend(crc, chunk)
        yield chunk
    _require_size(size, source)
    require_sum(crc, written)
