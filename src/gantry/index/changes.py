"""New storage classes for instances that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.errors import Code, Status
from gantry.index.lookups import look_up_pairs, parse_position
from gantry.index.tables import garbage, instance
from gantry.index.tally import add_to_tally
from gantry.resources import Change, Failure, Instance


def apply_changes(connection: Connection, store_id: int, changes: Sequence[Change], now: int) -> tuple[Failure, ...]:
    """Change class and blob of every row that is still as it was read; the failures of those that are not.

    A blob that no row names afterwards, the old one or a copy that came too late, becomes garbage.
    """
    rows = {parse_position(change.position): change for change in changes}
    columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.blob_key
    present = look_up_pairs(connection, instance, rows, *columns)
    made = {row: change for row, change in rows.items() if present.get(row) == change.instance.blob_key}
    lost = {row: change for row, change in rows.items() if row not in made}
    if made:
        _update(connection, made, now)
        left = ((change.instance.storage_class, -1, -change.instance.size) for change in made.values())
        joined = ((change.storage_class, 1, change.instance.size) for change in made.values())
        add_to_tally(connection, store_id, now, (*left, *joined))
    dead = [change.instance.blob_key for change in made.values() if change.copied]
    # A change that has been made already is lost, too; its blob is the row's.
    dead += [change.blob_key for row, change in lost.items() if change.copied and present.get(row) != change.blob_key]
    if dead:
        connection.execute(upsert(garbage).on_conflict_do_nothing(), [{"blob_key": key} for key in dead])
    return tuple(too_late(change.instance, row in present) for row, change in lost.items())


def _update(connection: Connection, made: Mapping[tuple[int, str], Change], now: int) -> None:
    statement = update(instance).where(
        instance.c.series_id == bindparam("series"), instance.c.sop_instance_uid == bindparam("uid")
    )
    new = {"blob_key": bindparam("key"), "storage_class": bindparam("class"), "storage_class_update_time": now}
    names = ("series", "uid", "key", "class")
    values = ((*row, change.blob_key, change.storage_class) for row, change in made.items())
    connection.execute(statement.values(new), [dict(zip(names, each, strict=True)) for each in values])


def too_late(read: Instance, there: bool) -> Failure:
    """For an instance that is not as it was read any more, or not ``there``."""
    if there:
        status = Status(Code.ABORTED, "this instance was changed or moved meanwhile; start the operation again")
    else:
        status = Status(Code.NOT_FOUND, "this instance was deleted meanwhile")
    return Failure(read.path, status)
