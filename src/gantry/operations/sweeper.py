"""Removes bytes that nothing points to any more."""

from __future__ import annotations

import threading

from gantry.seams import Seams


def sweep_garbage(seams: Seams) -> None:
    """Delete the blobs that a transaction gave up, then forget them; safe to repeat after a crash."""
    while keys := seams.index.garbage():
        for key in keys:
            seams.blobs.delete(key)
        seams.index.forget_garbage(keys)


def sweep_stores(seams: Seams, stopping: threading.Event, busy: set[int]) -> None:
    """Remove rows, then bytes, of deleted DICOM stores, but of none that an operation still writes to."""
    for store_id in seams.index.deleted_dicom_stores():
        if store_id in busy:
            continue
        while not seams.index.purge_instances(store_id):
            if stopping.is_set():
                return
        seams.blobs.delete_prefix(f"{store_id}/")
        seams.index.forget_dicom_store(store_id)
