"""Removes blobs that no row names, and deleted DICOM stores."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from gantry.errors import StatusError
from gantry.late_writes import parse_late
from gantry.operations.blob_keys import parse_place
from gantry.operations.interruption import go_on, make_stop_check
from gantry.operations.unfinished_exports import is_unfinished
from gantry.rests import parse_rest
from gantry.seams import Seams
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

_BEHIND_SLASH = "0"  # the character that follows "/"
GARBAGE_KEYS = 500  # blobs deleted in a row: 0.1 s on an idle disk


def sweep_garbage(seams: Seams, stopping: threading.Event | None = None) -> None:
    """Remove rows of deleted studies and series, then all blobs without a row. Safe to repeat after a crash.

    Each step is a short transaction, so that other writers have their turn.
    """
    last = ""
    check = go_on if stopping is None else make_stop_check(stopping)

    def sweep_more() -> bool:
        nonlocal last
        last = sweep_some_garbage(seams, last, check)
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


def sweep_some_garbage(seams: Seams, after: str = "", check: Check | None = None) -> str:
    """Delete up to GARBAGE_KEYS blobs that follow the key ``after``. Returns where to go on; empty when none was left.

    They are forgotten once they are gone from the disk for good. One that cannot be deleted, or is being read, stays
    listed, and is tried again less and less often. Does nothing while a backup is made. What an operation has left may
    take long, so it stays without a ``check``, which is called meanwhile. Raises what ``check`` raises.
    """
    seams.index.settle()
    listed = seams.index.garbage.list_blobs(after, GARBAGE_KEYS)
    if seams.is_held():  # asked last: what was listed before a copy of the index is not in the copy
        return ""
    waiting = {key for key in listed if is_unfinished(key) or parse_late(key) is not None}
    due = [key for key in listed if key not in waiting and seams.undeletable.is_due(key)]
    keys = [key for key in due if check is not None or parse_rest(key) is None]
    failed = _delete(seams, keys, check)
    # While a disk is away nothing is said against any of its blobs: they go as soon as it is back.
    new = [key for key, error in failed.items() if error.waits_for is None and seams.undeletable.fail(key)]
    if new:
        logger.warning(
            "%d more blobs are no longer used, but cannot be deleted yet (%d in all); the first: %s",
            *(len(new), seams.undeletable.count, failed[new[0]].message),
        )
    if deleted := [key for key in keys if key not in failed]:
        seams.index.garbage.forget_blobs(deleted)
    for key in deleted:
        seams.undeletable.succeed(key)
    return _go_on_behind(listed[-1], keys, failed) if listed else ""


def _go_on_behind(last: str, keys: Sequence[str], failed: Mapping[str, StatusError]) -> str:
    """Behind the ``last`` key that was listed; behind all of its place where the disk of the place is away."""
    place = parse_place(last)
    errors = [failed.get(key) for key in keys if parse_place(key) == place]
    if errors and all(error is not None and error.waits_for is not None for error in errors):
        return f"{place}{_BEHIND_SLASH}"
    return last


def _delete(seams: Seams, keys: Sequence[str], check: Check | None) -> dict[str, StatusError]:
    """The errors of those that could not be deleted. Some keys stand for all that an operation has left."""
    rests = {key: rest for key in keys if (rest := parse_rest(key)) is not None}
    blobs = [key for key in keys if key not in rests]
    failed = dict(seams.blobs.delete_all(blobs)) if blobs else {}
    for key, (prefix, start_after) in rests.items():
        try:
            seams.blobs.delete_prefix(prefix, start_after, check)
        except StatusError as error:
            failed[key] = error
    return failed


def sweep_stores(seams: Seams, stopping: threading.Event, busy: set[int]) -> None:
    """Remove rows, then blobs, of deleted DICOM stores, except ``busy`` ones, which operations still write to.

    A store of which a blob cannot be deleted loses all others; it is logged, and tried again less and less often. It
    hinders no store beside it. Raises Stopping.
    """
    seams.index.settle()
    deleted = seams.index.garbage.list_deleted_stores()
    for store_id in deleted:
        with suppress(StatusError):  # a full disk holds up no deletion
            seams.records.forget(store_id)
    busy = busy | seams.members.find_busy_stores(deleted)
    for store_id in deleted:
        if seams.is_held():
            return
        name = f"store {store_id}"
        if store_id in busy or not seams.undeletable.is_due(name):
            continue
        if not _in_pieces(partial(seams.index.garbage.purge_store, store_id), stopping):
            return
        failed = _delete_store(seams, store_id, make_stop_check(stopping))
        if failed is None:
            seams.index.garbage.forget_store(store_id)
            seams.undeletable.succeed(name)
        elif failed.waits_for is None and seams.undeletable.fail(name):
            logger.warning("store %d is deleted, but not all of its blobs: %s", store_id, failed.message)


def _delete_store(seams: Seams, store_id: int, check: Check) -> StatusError | None:
    """The first error, after all else is deleted."""
    failed: StatusError | None = None
    for place in seams.places:
        try:
            seams.blobs.delete_prefix(f"{place}/{store_id}/", check=check)
        except StatusError as error:
            failed = failed or error
    return failed
