"""Blobs of uploads: ``PLACE/STORE/stow/LOT/…``. A lot is a group of requests that write into the same segments.

A lot has a row in the index from before its first blob until all its requests have ended. So what a crash leaves behind
is in the lots whose rows exist at the next start (``upload_sweeps``). A blob without a row that cannot be deleted is
garbage from the end of its lot on. A lot keeps its row where it is not known whether all its blobs have rows, or where
it cannot be ended now. It gets no more requests, and is swept in the background once its last one has ended
(``Seams.left_lots``), or at the next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from gantry.errors import StatusError
from gantry.operations.batch_writers import close_all
from gantry.operations.blob_keys import parse_place
from gantry.resources import Instance
from gantry.seams import BlobWriter, Seams

logger = logging.getLogger(__name__)

LOT_REQUESTS, LOT_SECONDS = 10_000, 600
"""One commit of the index for so many requests, and little to search after a crash."""

MOST_LOTS = 100
"""Of a process, but for those in use: each holds a file open, and a process may have 1,024 (the usual limit)."""


@dataclass(slots=True)
class Request:
    """An upload to a DICOM store, with the writers of its lot."""

    seams: Seams
    store_id: int
    _lot: _Lot
    _used: list[BlobWriter] = field(default_factory=list)

    def writer(self, storage_class: str) -> BlobWriter:
        """For the bytes of instances of a storage class."""
        place = self.seams.place_of(storage_class)
        self.seams.records.keep([self.store_id], place)  # outside of all locks: the disk of a class may hang
        writer = self._lot.writer(self.seams, self.store_id, place)
        if writer not in self._used:
            self._used.append(writer)
        return writer

    def flush(self) -> None:
        """Return when all that this request has written is durable; requests that wait together share a sync."""
        for writer in self._used:
            writer.flush()

    def settle(self, written: Sequence[Instance]) -> set[str]:
        """After a commit that raised an error: delete the blobs without rows; the keys of blobs that have rows.

        An error may be raised although the rows were written. Where the index cannot be read, nothing is deleted now,
        and the result is empty: the lot is swept once the index can be written again.
        """
        try:
            self.seams.index.settle()
            stored = self.seams.index.instances.find_stored(self.store_id, [item.uids for item in written])
        except StatusError as error:
            return self._leave_all(len(written), error.message)
        except Exception:
            logger.exception("lot %d: an unexpected error in the index", self._lot.id)
            return self._leave_all(len(written), "an unexpected error")
        kept = {item.blob_key for item in stored.values()} & {item.blob_key for item in written}
        for item in written:
            if item.blob_key not in kept:
                self.discard(item.blob_key)
        return kept

    def _leave_all(self, count: int, why: str) -> set[str]:
        logger.warning("lot %d: which of %d blobs have rows is not known; they stay: %s", self._lot.id, count, why)
        self._lot.unsettled = True
        return set()

    def discard(self, key: str) -> None:
        """Delete a blob that no row names; where that fails, its writer tries it again at the end of the lot."""
        try:
            self._lot.writer(self.seams, self.store_id, parse_place(key)).discard(key)
        except StatusError as error:
            logger.warning("%s has no row, but cannot be deleted now: %s", key, error.message)


@dataclass
class _Lot:
    id: int
    store_id: int
    begun: float = field(default_factory=time.monotonic)
    requests: int = 0
    open: int = 0
    unsettled: bool = False
    _writers: dict[str, BlobWriter] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_full(self) -> bool:
        """Whether it gets no more requests."""
        return self.unsettled or self.requests >= LOT_REQUESTS or time.monotonic() - self.begun > LOT_SECONDS

    def writer(self, seams: Seams, store_id: int, place: str) -> BlobWriter:
        with self._lock:
            if place not in self._writers:
                self._writers[place] = seams.blobs.writer(f"{place}/{store_id}/stow/{self.id}/")
            return self._writers[place]

    def close(self) -> tuple[str, ...]:
        """The segments that were written, and what could not be removed."""
        return close_all(list(self._writers.values()))


class Uploads:
    """The lots of this process. Safe to use from many threads."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._lock = threading.Lock()
        self._current: dict[int, _Lot] = {}

    @contextmanager
    def request(self, store_id: int) -> Iterator[Request]:
        """A request that writes to the store while the block runs."""
        with self._lock:
            lot = self._current.get(store_id)
            if lot is None or lot.is_full:
                lot = self._begin(store_id)
            self._current.pop(store_id, None)
            self._current[store_id] = lot  # the last one: the least recently used come first
            lot.requests += 1
            lot.open += 1
        try:
            yield Request(self._seams, store_id, lot)
        finally:
            with self._lock:
                lot.open -= 1
                if lot.unsettled and self._current.get(store_id) is lot:
                    del self._current[store_id]
                if self._current.get(store_id) is not lot:
                    self._retire(lot)

    def _begin(self, store_id: int) -> _Lot:
        """A new lot of a store. Lots whose time is over end, of whatever store: it may get no upload any more."""
        begun = _Lot(self._seams.index.uploads.begin_upload(store_id), store_id)
        over = [number for number, lot in self._current.items() if lot.is_full]
        rest = [number for number in self._current if number not in over]
        over += rest[: max(0, len(rest) - MOST_LOTS + 1)]
        for number in over:
            self._retire(self._current.pop(number))
        return begun

    def end_deleted(self) -> None:
        """End the lots of stores that were deleted: the disk keeps the bytes of their open files."""
        deleted = self._seams.index.garbage.list_deleted_stores()
        with self._lock:
            for store_id in self._current.keys() & set(deleted):
                self._retire(self._current.pop(store_id))

    def close(self) -> None:
        """Remove the rows of lots that no request uses any more."""
        with self._lock:
            for lot in self._current.values():
                self._retire(lot)
            self._current.clear()

    def _retire(self, lot: _Lot) -> None:
        """Seal the segments of a lot that nobody uses, and remove its row; where that cannot be done now, leave it to
        the sweep of lots."""
        if lot.open:
            return
        try:
            keys = lot.close()
            if not lot.unsettled:
                self._seams.index.uploads.end_upload(lot.id, keys)
                return
        except StatusError as error:
            logger.warning("lot %d cannot be ended now: %s", lot.id, error.message)
        except Exception:  # such as too few threads: no error of the upload that happens to end it
            logger.exception("lot %d cannot be ended now", lot.id)
        self._seams.left_lots.append((lot.id, lot.store_id))
