"""Each row has its bytes: they are there, as many as the row says, and the disk can read them."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.checking.directory import Checked
from gantry.errors import NotFound, StatusError
from gantry.findings import Finding, Kind
from gantry.resources import StoredInstance
from gantry.storage.extents import parse_extent
from gantry.stored_bytes import WrongSize, find_damage, open_stored

_TOLD = 10_000  # instances between two reports of progress


def check_stored(checked: Checked) -> Iterator[Finding]:
    """By the same rule as every retrieval (``open_stored``). With ``reads``, files of their own are read as a whole;
    ``checking.contents`` reads segments."""
    for store_id in checked.index.segments.list_stores():
        for row in checked.index.instances.walk_store(store_id):
            checked.instances += 1
            checked.bytes += row.size
            if checked.instances % _TOLD == 0:
                checked.tell("bytes of instances", checked.instances)
            if not checked.is_away(row.blob_key) and (found := _check(checked, store_id, row)):
                yield found


def _check(checked: Checked, store_id: int, row: StoredInstance) -> Finding | None:
    try:
        return _look_again(checked, store_id, row) if _look(checked, row) else None
    except StatusError as error:
        if error.waits_for is None:
            raise
        return checked.note_away(row.blob_key, error)


def _look_again(checked: Checked, store_id: int, row: StoredInstance) -> Finding | None:
    """Rows are deleted before their bytes, and moved bytes have another key: is the row as it is now wrong?"""
    checked.wait()
    now = checked.index.instances.find_stored(store_id, [row.uids]).get(row.uids)
    return None if now is None else _look(checked, now)


def _look(checked: Checked, row: StoredInstance) -> Finding | None:
    """Raises the error of a place that is away."""
    try:
        if checked.reads and parse_extent(row.blob_key) is None:
            damage = find_damage(checked.blobs, row.blob_key, row.size, row.uids)
            return Finding(Kind.CONTENT_WRONG, row.path, damage) if damage else None
        with open_stored(checked.blobs, row.blob_key, row.size):
            return None
    except NotFound:
        return Finding(Kind.BYTES_MISSING, row.path, f"there are no bytes at {row.blob_key}")
    except StatusError as error:
        if error.waits_for is not None:
            raise
        return Finding(_kind_of(error), row.path, f"{row.blob_key}: {error.what}")


def _kind_of(error: StatusError) -> Kind:
    return Kind.SIZE_WRONG if isinstance(error, WrongSize) else Kind.BYTES_UNREADABLE
