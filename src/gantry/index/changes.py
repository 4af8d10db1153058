"""New storage classes for instances that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, update

from gantry.events import Action, Event, Kind
from gantry.index.blob_keys import BlobPlace, place_blobs
from gantry.index.change_packs import record, tell
from gantry.index.counting import Delta, change_counts, discard_blobs
from gantry.index.late import explain_late
from gantry.index.lookups import find_rows
from gantry.index.tables import instance
from gantry.resources import Change, Failure

_Place = tuple[int, str]
_Made = Mapping[_Place, tuple[Row[Any], Change]]


def apply_changes(
    connection: Connection, store_id: int, changes: Sequence[Change], now: int, moves: bool = False
) -> tuple[Failure, ...]:
    """Change class and blob of every row that is still as it was read; the failures of those that are not.

    ``moves``: only the blobs change. The class may be another one than was read, with the same blob: it stays.
    A blob that no row names afterwards, the old one or a copy that came too late, becomes garbage.
    """
    wanted = {(change.instance.series_id, change.instance.sop_instance_uid): change for change in changes}
    rows = find_rows(connection, wanted)
    made = {
        place: (rows[place], change._replace(storage_class=rows[place].storage_class) if moves else change)
        for place, change in wanted.items()
        if place in rows and rows[place].blob_key == change.instance.blob_key
    }
    lost = {place: change for place, change in wanted.items() if place not in made}
    dead = [change.instance.blob_key for _, change in made.values() if change.copied]
    for place, change in lost.items():
        # A change that has been made already is lost, too; its blob is the row's.
        if change.copied and (place not in rows or rows[place].blob_key != change.blob_key):
            dead.append(change.blob_key)
    discard_blobs(connection, dead)
    if made:
        blobs = place_blobs(connection, store_id, ((change.blob_key, row.size) for row, change in made.values()))
        _update(connection, made, blobs, now)
        change_counts(connection, store_id, _count(made, blobs), now)
        record(connection, store_id, _tell(made), now)
    late = [(change.instance, place in rows) for place, change in lost.items()]
    return tuple(explain_late(connection, store_id, late))


def _count(made: _Made, blobs: Mapping[str, BlobPlace]) -> Iterator[Delta]:
    """By the classes of the rows: another operation may have changed them since they were read."""
    for row, change in made.values():
        series, blob = (row.study_id, row.series_id), blobs[change.blob_key]
        yield Delta(*series, row.storage_class, -1, -row.size, 0, row.segment_id)
        yield Delta(*series, change.storage_class, 1, row.size, 0, blob.segment_id, blob.segment_offset)


def _tell(made: _Made) -> Iterator[Event]:
    """Of those that have another class now."""
    for row, change in made.values():
        if change.storage_class != row.storage_class:
            event = tell(row, Kind.MOVED, Action.MOVE, row.storage_class)
            yield event._replace(storage_class=change.storage_class)


def _update(connection: Connection, made: _Made, blobs: Mapping[str, BlobPlace], now: int) -> None:
    statement = update(instance).where(
        instance.c.series_id == bindparam("series"), instance.c.sop_instance_uid == bindparam("uid")
    )
    columns = [*BlobPlace._fields, "storage_class", "storage_class_update_time"]
    values = []
    for (series, uid), (row, change) in made.items():
        # Bytes that only move stay in their class since when they were.
        since = now if change.storage_class != row.storage_class else row.storage_class_update_time
        new = (*blobs[change.blob_key], change.storage_class, since)
        values.append({"series": series, "uid": uid} | dict(zip(columns, new, strict=True)))
    connection.execute(statement.values({name: bindparam(name) for name in columns}), values)
