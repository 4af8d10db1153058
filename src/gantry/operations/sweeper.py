"""Removes bytes that nothing points to any more."""

from __future__ import annotations

import threading

from gantry.seams import Seams


def sweep_garbage(seams: Seams, stopping: threading.Event | None = None) -> None:
    """Delete all blobs that transactions gave up, then forget them; safe to repeat after a crash."""
    while sweep_some_garbage(seams):
        if stopping is not None and stopping.is_set():
            return


def sweep_some_garbage(seams: Seams) -> bool:
    """A bounded piece of that work; False when nothing was there to do."""
    keys = seams.index.garbage()
    for key in keys:
        seams.blobs.delete(key)
    seams.index.forget_garbage(keys)
    return bool(keys)


def sweep_stores(seams: Seams, stopping: threading.Event, busy: set[int]) -> None:
    """Remove rows, then bytes, of deleted DICOM stores, but of none that an operation still writes to."""
    for store_id in seams.index.deleted_dicom_stores():
        if store_id in busy:
            continue
        while not seams.index.purge_instances(store_id):
            if stopping.is_set():
                return
        for place in seams.places:
            seams.blobs.delete_prefix(f"{place}/{store_id}/")
        seams.index.forget_dicom_store(store_id)
