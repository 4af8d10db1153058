"""Blobs of uploads: ``PLACE/STORE/stow/LOT/REQUEST/NUMBER.dcm``. A lot is a group of requests.

A lot has a row in the index from before its first blob until all its requests have ended. So the blobs that a crash
leaves behind are in the lots whose rows exist at the next start. A lot also keeps its row if a blob of it could not be
deleted, or if it is not known whether a row names the blob.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice

from gantry.dicom.part10 import read_header
from gantry.errors import StatusError, Unavailable
from gantry.ingest import AWAY
from gantry.resources import Instance, Uids
from gantry.seams import BlobStore, Seams, without_gaps

logger = logging.getLogger(__name__)

LOT_REQUESTS, LOT_SECONDS = 1000, 600  # one commit for so many requests, and little to search after a crash
_CHUNK = 200  # blobs looked up in one query


@dataclass(frozen=True, slots=True)
class Request:
    """An upload; ``directory`` is the prefix of its blobs."""

    store_id: int
    directory: str
    _lot: _Lot

    def settle(self, seams: Seams, written: Sequence[Instance]) -> set[str]:
        """After a commit that raised an error: delete the blobs without rows; the keys of blobs that have rows.

        An error may be raised although the rows were written. Where the index cannot be read, nothing is deleted
        before the next start, and the result is empty.
        """
        try:
            stored = seams.index.instances.find_stored(self.store_id, [item.uids for item in written])
        except Exception:
            logger.exception("%s: which of %d blobs have rows is not known; they stay", self.directory, len(written))
            self._lot.unsettled = True
            return set()
        kept = {item.blob_key for item in stored.values()} & {item.blob_key for item in written}
        for item in written:
            if item.blob_key not in kept:
                self.discard(seams.blobs, item.blob_key)
        return kept

    def discard(self, blobs: BlobStore, key: str) -> None:
        """Delete a blob that no row names; where that fails, the next start does it."""
        try:
            blobs.delete(key)
        except StatusError as error:
            logger.warning("%s has no row, but cannot be deleted before the next start: %s", key, error.message)
            self._lot.unsettled = True


@dataclass
class _Lot:
    id: int
    begun: float = field(default_factory=time.monotonic)
    requests: int = 0
    open: int = 0
    unsettled: bool = False

    @property
    def is_full(self) -> bool:
        return self.requests >= LOT_REQUESTS or time.monotonic() - self.begun > LOT_SECONDS


class Uploads:
    """The lots of this process. Safe to use from many threads."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._lock = threading.Lock()
        self._current: dict[int, _Lot] = {}

    @contextmanager
    def request(self, store_id: int, storage_class: str) -> Iterator[Request]:
        """A new directory for the blobs of a request, while the block runs."""
        with self._lock:
            lot = self._current.get(store_id)
            if lot is None or lot.is_full:
                self._retire(lot)
                lot = self._current[store_id] = _Lot(self._seams.index.uploads.begin_upload(store_id))
            lot.requests += 1
            lot.open += 1
            number = lot.requests
        place = self._seams.place_of(storage_class)
        try:
            yield Request(store_id, f"{place}/{store_id}/stow/{lot.id}/{number:04d}", lot)
        finally:
            with self._lock:
                lot.open -= 1
                if self._current.get(store_id) is not lot:
                    self._retire(lot)

    def close(self) -> None:
        """Remove the rows of lots that no request uses any more."""
        with self._lock:
            for lot in self._current.values():
                self._retire(lot)
            self._current.clear()

    def _retire(self, lot: _Lot | None) -> None:
        if lot is not None and not lot.open and not lot.unsettled:
            with suppress(StatusError):  # the next start removes it
                self._seams.index.uploads.end_upload(lot.id)


def sweep_uploads(seams: Seams, left: list[tuple[int, int]], stopping: threading.Event) -> None:
    """Remove blobs without rows of an earlier process. ``left``: its lots, removed from the list one by one.

    Raises the errors of the blob store and the index; the lot then stays in ``left``.
    """
    while left and not stopping.is_set():
        lot, store_id = left[0]
        for place in seams.places:
            for keys in _list_batches(seams, f"{place}/{store_id}/stow/{lot}/"):
                if stopping.is_set():
                    return
                _sweep(seams, store_id, keys)
        if not seams.blobs.exists():
            raise Unavailable("a directory of blobs is not there any more; is it mounted?")
        seams.index.uploads.end_upload(lot)
        left.pop(0)


def _list_batches(seams: Seams, prefix: str) -> Iterator[list[str]]:
    entries = without_gaps(seams.blobs.list(prefix))
    while keys := [item.key for item in islice(entries, _CHUNK)]:
        yield keys


def _sweep(seams: Seams, store_id: int, keys: list[str]) -> None:
    uids = (found for key in keys if (found := _read_uids(seams, key)) is not None)
    named = {item.blob_key for item in seams.index.instances.find_stored(store_id, uids).values()}
    for key in keys:
        if key not in named:
            seams.blobs.delete(key)


def _read_uids(seams: Seams, key: str) -> Uids | None:
    """The UIDs in a blob; None for an incomplete file. Raises one of AWAY where the blob cannot be read now."""
    try:
        with seams.blobs.open(key) as blob:
            found = read_header(blob.read_at, blob.size)
            return found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid
    except AWAY:
        raise
    except StatusError:
        return None
