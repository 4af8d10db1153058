"""New bytes and a new header for instances that are there: rows keep their place, so that a walk goes on past them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from gantry.events import Action, Event, Kind
from gantry.index.blob_keys import BlobPlace, place_blobs
from gantry.index.change_packs import name_version, record
from gantry.index.counting import Delta, change_counts, discard_blobs
from gantry.index.insertion import Packs, Placed, columns_of, insert_packs
from gantry.index.late import explain_late
from gantry.index.lookups import find_rows
from gantry.index.removal import blank_headers
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.tables import instance, series, study
from gantry.index.terms import tell_modalities
from gantry.merging import follow
from gantry.resources import Failure, Replacement

_Made = list[tuple[Row[Any], Replacement]]


def replace_instances(
    connection: Connection, store_id: int, replacements: Sequence[Replacement], now: int, action: Action
) -> tuple[Failure, ...]:
    """Replace the row of every instance that is still as it was read; the failures of those that are not.

    A blob that no row names afterwards, the old one or a new one that came too late, becomes garbage.
    """
    rows = find_rows(connection, map(_place, replacements))
    made: _Made = []
    late, dead = [], []
    for item in replacements:
        row = rows.get(_place(item))
        if row is not None and row.blob_key == item.before.blob_key:
            made.append((row, item))
            dead.append(row.blob_key)
        else:
            late.append((item.before, row is not None))
            if row is None or row.blob_key != item.after.blob_key:  # else it has been made already
                dead.append(item.after.blob_key)
    discard_blobs(connection, dead)
    if made:
        blobs = place_blobs(connection, store_id, ((item.after.blob_key, item.after.size) for _, item in made))
        blank_headers(connection, [row for row, _ in made])
        packs = _update(connection, made, blobs)
        change_counts(connection, store_id, _count(made, blobs), now)
        record(connection, store_id, _tell(made, packs, action), now)
        _follow(connection, made)
    return tuple(explain_late(connection, store_id, late))


def _place(item: Replacement) -> tuple[int, str]:
    return item.before.series_id, item.before.sop_instance_uid


def _count(made: _Made, blobs: dict[str, BlobPlace]) -> Iterator[Delta]:
    for row, item in made:
        where, new, blob = (row.study_id, row.series_id, row.storage_class), item.after, blobs[item.after.blob_key]
        yield Delta(*where, -1, -row.size, -row.structured_size, row.segment_id)
        yield Delta(*where, 1, new.size, new.structured_size, blob.segment_id, blob.segment_offset)


def _tell(made: _Made, packs: Packs, action: Action) -> Iterator[Event]:
    kind = Kind.UPDATED if action == Action.UPDATE else Kind.REPLACED
    for row, item in made:
        new = item.after
        header = columns_of(Placed(row.study_id, row.series_id, new), packs)
        modality = new.description.series.modality if new.description is not None else row.modality
        version = name_version(header["pack_id"], header["pack_number"], new.blob_key)
        yield Event(kind, action, *new.uids[:2], modality, row.storage_class, "", new.sop_instance_uid, version)


def _update(connection: Connection, made: _Made, blobs: dict[str, BlobPlace]) -> Packs:
    packs = insert_packs(connection, [Placed(row.study_id, row.series_id, item.after) for row, item in made])
    values = []
    for row, item in made:
        new = item.after
        values.append(
            {"at_series": row.series_id, "at_uid": row.sop_instance_uid, "size": new.size}
            | blobs[new.blob_key]._asdict()
            | {"sop_class_uid": new.sop_class_uid, "transfer_syntax_uid": new.transfer_syntax_uid}
            | columns_of(Placed(row.study_id, row.series_id, new), packs)
        )
    mine = instance.c.series_id == bindparam("at_series"), instance.c.sop_instance_uid == bindparam("at_uid")
    columns = [name for name in values[0] if not name.startswith("at_")]
    connection.execute(update(instance).where(*mine).values({name: bindparam(name) for name in columns}), values)
    return packs


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
