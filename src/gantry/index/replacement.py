"""New bytes and a new header for instances that are there: rows keep their place, so that a walk goes on past them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.index.changes import too_late
from gantry.index.insertion import Placed, columns_of, insert_packs, tell_modalities
from gantry.index.lookups import parse_position
from gantry.index.removal import blank_headers
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.tables import garbage, instance, series, study
from gantry.index.tally import add_to_tally
from gantry.merging import follow
from gantry.resources import Failure, Replacement

_Made = list[tuple[Row[Any], Replacement]]


def replace_instances(connection: Connection, replacements: Sequence[Replacement], now: int) -> tuple[Failure, ...]:
    """Replace the row of every instance that is still as it was read; the failures of those that are not.

    A blob that no row names afterwards, the old one or a new one that came too late, becomes garbage.
    """
    made: _Made = []
    failures, dead = [], []
    for item in replacements:
        row = connection.execute(_row_query(*parse_position(item.position))).one_or_none()
        if row is not None and row.blob_key == item.before.blob_key:
            made.append((row, item))
            dead.append(row.blob_key)
        else:
            failures.append(too_late(item.before, row is not None))
            if row is None or row.blob_key != item.after.blob_key:  # else it has been made already
                dead.append(item.after.blob_key)
    if made:
        blank_headers(connection, [row for row, _ in made])
        _update(connection, made)
        _count(connection, made)
        grown = [(row.storage_class, 0, item.after.size - row.size) for row, item in made]
        add_to_tally(connection, made[0][0].store_id, now, grown)
        _follow(connection, made)
    if dead:
        connection.execute(upsert(garbage).on_conflict_do_nothing(), [{"blob_key": key} for key in dead])
    return tuple(failures)


def _row_query(series_id: int, uid: str) -> Any:
    query = select(instance, series.c.study_id, study.c.store_id).join_from(
        instance, series, series.c.id == instance.c.series_id
    )
    query = query.join(study, study.c.id == series.c.study_id)
    return query.where(instance.c.series_id == series_id, instance.c.sop_instance_uid == uid)


def _update(connection: Connection, made: _Made) -> None:
    packs = insert_packs(connection, [Placed(row.study_id, row.series_id, item.after) for row, item in made])
    values = []
    for row, item in made:
        new = item.after
        values.append(
            {"at_series": row.series_id, "at_uid": row.sop_instance_uid, "blob_key": new.blob_key, "size": new.size}
            | {"sop_class_uid": new.sop_class_uid, "transfer_syntax_uid": new.transfer_syntax_uid}
            | columns_of(Placed(row.study_id, row.series_id, new), packs)
        )
    mine = instance.c.series_id == bindparam("at_series"), instance.c.sop_instance_uid == bindparam("at_uid")
    columns = [name for name in values[0] if not name.startswith("at_")]
    connection.execute(update(instance).where(*mine).values({name: bindparam(name) for name in columns}), values)


def _count(connection: Connection, made: _Made) -> None:
    grown: dict[int, list[int]] = {}
    for row, item in made:
        counters = grown.setdefault(row.series_id, [0, 0])
        counters[0] += item.after.size - row.size
        counters[1] += item.after.structured_size - row.structured_size
    for series_id, (blob, structured) in grown.items():
        values = {
            series.c.blob_bytes: series.c.blob_bytes + blob,
            series.c.structured_bytes: series.c.structured_bytes + structured,
        }
        connection.execute(update(series).where(series.c.id == series_id).values(values))


def _follow(connection: Connection, made: _Made) -> None:
    """A study or series that was described as such an instance was before is described as it is now.

    Of instances that say different things of their study it goes on with the same one, in whatever batches they come.
    """
    retold = {row.study_id for row, item in made if _series_follows(connection, row.series_id, item)}
    for row, item in made:
        _study_follows(connection, row.study_id, item)
    tell_modalities(connection, retold)


def _series_follows(connection: Connection, series_id: int, item: Replacement) -> bool:
    said = item.after.description
    if said is None or said.series == item.series_before:
        return False
    row = connection.execute(select(series).where(series.c.id == series_id)).one()
    before = series_said(row)
    after = follow(before, item.series_before, said.series)
    if after != before:
        retell_series(connection, row, after)
    return after != before


def _study_follows(connection: Connection, study_id: int, item: Replacement) -> None:
    said = item.after.description
    if said is None or said.study == item.study_before:
        return
    row = connection.execute(select(study).where(study.c.id == study_id)).one()
    before = study_said(row)
    after = follow(before, item.study_before, said.study)
    if after != before:
        retell_study(connection, row, after)
