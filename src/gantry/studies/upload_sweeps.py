"""What uploads have left without rows, those of an earlier process and those of lots that could not be ended: the index
says which bytes have rows, and they stay."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import islice

from gantry.dicom.part10 import read_header
from gantry.errors import StatusError
from gantry.ingest import AWAY
from gantry.late_writes import make_late
from gantry.resources import StoredInstance, Uids
from gantry.seams import Seams, without_gaps
from gantry.storage.extents import SUFFIX

logger = logging.getLogger(__name__)

_CHUNK = 200  # blobs looked up in one query


def sweep_uploads(seams: Seams, left: list[tuple[int, int]], stopping: threading.Event) -> None:
    """Remove blobs without rows of lots that nobody uses any more: those in ``left``, removed from it one by one.

    Raises what the blob store and the index raise, after all other lots; such a lot stays in ``left``.
    """
    failed: StatusError | None = None
    for lot, store_id in list(left):
        try:
            if not _sweep_lot(seams, lot, store_id, stopping):
                return
        except StatusError as error:
            failed = failed or error
        else:
            left.remove((lot, store_id))
    if failed is not None:
        raise failed


def _sweep_lot(seams: Seams, lot: int, store_id: int, stopping: threading.Event) -> bool:
    """False where the server stops, a backup is made, or the index is damaged: then it is tried again later."""
    if seams.index.find_damage():
        return False
    segments: list[str] = []
    seams.index.settle()
    for place in seams.places:
        for keys in _list_batches(seams, f"{place}/{store_id}/stow/{lot}/"):
            if not _sweep(seams, store_id, keys, stopping):
                return False
            segments += [key for key in keys if key.endswith(SUFFIX)]
    seams.blobs.require_mounted()
    late = [make_late(f"{place}/{store_id}/stow/{lot}/") for place in seams.late_places]
    seams.index.uploads.end_upload(lot, [*segments, *late])
    return True


def _list_batches(seams: Seams, prefix: str) -> Iterator[list[str]]:
    found = without_gaps(seams.blobs.list(prefix))
    while keys := [item.key for item in islice(found, _CHUNK)]:
        yield keys


def _sweep(seams: Seams, store_id: int, keys: list[str], stopping: threading.Event) -> bool:
    """Free what has no row. False as ``_sweep_lot``, which is asked each time after the rows are read: a copy of the
    index that is made later has the same ones, and a copy that was begun before may name what has no row now."""

    def may_delete() -> bool:
        return not (stopping.is_set() or seams.is_held())

    seams.index.settle()
    segments = [key for key in keys if key.endswith(SUFFIX)]
    objects = [key for key in keys if not key.endswith(SUFFIX)]
    return all(_free_rest(seams, store_id, key, may_delete) for key in segments) and _delete_objects(
        seams, store_id, objects, may_delete
    )


def _free_rest(seams: Seams, store_id: int, segment: str, may_delete: Callable[[], bool]) -> bool:
    """Rows are written after the table of contents that names their instances, so none is missing from the tables,
    unless one is damaged: then the index has counted more."""
    live: list[str] = []
    entries = seams.blobs.entries(segment)
    while chunk := list(islice(entries, _CHUNK)):
        stored = seams.index.instances.find_stored(store_id, [entry.uids for entry in chunk])
        live += [entry.key for entry in chunk if _is_at(stored.get(entry.uids), entry.key)]
    named = seams.index.segments.list_named(segment, live)
    if not may_delete():
        return False
    seams.blobs.free_rest(segment, named)
    return True


def _is_at(stored: StoredInstance | None, key: str) -> bool:
    return stored is not None and stored.blob_key == key


def _delete_objects(seams: Seams, store_id: int, keys: list[str], may_delete: Callable[[], bool]) -> bool:
    """Objects of their own that no row names. Those that cannot be read are looked for in all rows of the index."""
    uids = {key: _read_uids(seams, key) for key in keys}
    known = [each for each in uids.values() if each is not None]
    named = {item.blob_key for item in seams.index.instances.find_stored(store_id, known).values()}
    if unread := [key for key in keys if uids[key] is None]:
        named |= seams.index.uploads.find_named(unread)
    if not may_delete():
        return False
    for error in seams.blobs.delete_all([key for key in keys if key not in named]).values():
        raise error
    return True


def _read_uids(seams: Seams, key: str) -> Uids | None:
    """None for what is no whole instance. Raises one of AWAY where that cannot be known now."""
    try:
        with seams.blobs.open(key) as blob:
            header = read_header(blob.read_at, blob.size)
            return header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid
    except AWAY:
        raise
    except StatusError:
        return None
