"""Removes bytes that nothing points to any more."""

from __future__ import annotations

import logging
import threading

from gantry.errors import StatusError
from gantry.operations.interruption import until
from gantry.seams import Seams

logger = logging.getLogger(__name__)

GARBAGE_KEYS = 500  # blobs deleted in a row: 0.1 s where nothing else uses the disk


def sweep_garbage(seams: Seams, stopping: threading.Event | None = None) -> None:
    """Remove rows of deleted studies and series, then all blobs without a row; safe to repeat after a crash.

    Each step is a short transaction, so that others can write in between.
    """
    while not seams.index.garbage.purge_removed():
        if stopping is not None and stopping.is_set():
            return
    last = ""
    while last := sweep_some_garbage(seams, last):
        if stopping is not None and stopping.is_set():
            return


def sweep_some_garbage(seams: Seams, after: str = "") -> str:
    """A bounded piece of that work: the blobs that follow the key ``after``. The last key; empty: none was left.

    A blob that cannot be deleted is told of and stays in the list for the next time.
    """
    keys = seams.index.garbage.list_blobs(after, GARBAGE_KEYS)
    deleted = []
    for key in keys:
        try:
            seams.blobs.delete(key)
            deleted.append(key)
        except StatusError as error:
            logger.warning("%s holds nothing any more, but cannot be deleted: %s", key, error.message)
    if deleted:
        seams.index.garbage.forget_blobs(deleted)
    return keys[-1] if keys else ""


def sweep_stores(seams: Seams, stopping: threading.Event, busy: set[int]) -> None:
    """Remove rows, then bytes, of deleted DICOM stores, but of none that an operation still writes to.

    A store whose bytes cannot all be deleted is told of and stays for the next time. Raises Stopping.
    """
    for store_id in seams.index.garbage.list_deleted_stores():
        if store_id in busy:
            continue
        while not seams.index.garbage.purge_store(store_id):
            if stopping.is_set():
                return
        try:
            for place in seams.places:
                seams.blobs.delete_prefix(f"{place}/{store_id}/", check=until(stopping))
        except StatusError as error:
            logger.warning("store %d is deleted, but not all of its bytes: %s", store_id, error.message)
            continue
        seams.index.garbage.forget_store(store_id)
