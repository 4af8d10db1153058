"""Removes blobs that no row names, and deleted DICOM stores."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gantry.errors import StatusError
from gantry.operations.interruption import make_stop_check
from gantry.seams import Seams

logger = logging.getLogger(__name__)

GARBAGE_KEYS = 500  # blobs deleted in a row: 0.1 s on an idle disk


def sweep_garbage(seams: Seams, stopping: threading.Event | None = None) -> None:
    """Remove rows of deleted studies and series, then all blobs without a row. Safe to repeat after a crash.

    Each step is a short transaction, so that other writers have their turn.
    """
    last = ""

    def sweep_more() -> bool:
        nonlocal last
        last = sweep_some_garbage(seams, last)
        return not last

    if _in_pieces(seams.index.garbage.purge_removed, stopping):
        _in_pieces(sweep_more, stopping)


def _in_pieces(piece: Callable[[], bool], stopping: threading.Event | None) -> bool:
    """Call ``piece`` until it returns True; False where the server stops.

    In a server each piece is followed by a rest as long as itself: nobody waits for this work, and half of the time is
    left to those who do.
    """
    while True:
        begun = time.monotonic()
        if piece():
            return True
        if stopping is not None and stopping.wait(time.monotonic() - begun):
            return False


def sweep_some_garbage(seams: Seams, after: str = "") -> str:
    """Delete up to GARBAGE_KEYS blobs that follow the key ``after``. Returns the last key; empty when none was left.

    They are forgotten once they are gone from the disk for good. One that cannot be deleted, or is being read, stays
    listed for the next sweep. Does nothing while a backup is made.
    """
    keys = seams.index.garbage.list_blobs(after, GARBAGE_KEYS)
    if seams.is_held():  # asked last: what was listed before a copy of the index is not in the copy
        return ""
    failed = seams.blobs.delete_all(keys)
    if failed:
        key, error = next(iter(failed.items()))
        logger.warning(
            "%d blobs are no longer used, but cannot be deleted yet; the first: %s: %s", len(failed), key, error.message
        )
    if deleted := [key for key in keys if key not in failed]:
        seams.index.garbage.forget_blobs(deleted)
    return keys[-1] if keys else ""


def sweep_stores(seams: Seams, stopping: threading.Event, busy: set[int]) -> None:
    """Remove rows, then blobs, of deleted DICOM stores, except ``busy`` ones, which operations still write to.

    A store whose blobs cannot all be deleted is logged, and tried again by the next sweep. Raises Stopping.
    """
    for store_id in seams.index.garbage.list_deleted_stores():
        if seams.is_held():
            return
        if store_id in busy:
            continue
        with suppress(StatusError):  # a full disk holds up no deletion
            seams.records.forget(store_id)
        if not _in_pieces(partial(seams.index.garbage.purge_store, store_id), stopping):
            return
        try:
            for place in seams.places:
                seams.blobs.delete_prefix(f"{place}/{store_id}/", check=make_stop_check(stopping))
        except StatusError as error:
            logger.warning("store %d is deleted, but not all of its blobs: %s", store_id, error.message)
            continue
        seams.index.garbage.forget_store(store_id)
