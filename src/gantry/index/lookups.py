"""Rows by pairs of keys, many at once; and instances as rows and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select

from gantry.index.tables import instance, series, study
from gantry.resources import Instance

CHUNK = 100  # rows looked up by one query


def find_blobs(connection: Connection, store_id: int, instances: Sequence[Instance]) -> dict[tuple[str, str, str], str]:
    """Blob keys of those of ``instances`` whose UIDs are stored already, by UIDs."""
    studies = look_up_ids(connection, study, store_id, {item.study_instance_uid for item in instances})
    wanted = {
        (studies[item.study_instance_uid], item.series_instance_uid)
        for item in instances
        if item.study_instance_uid in studies
    }
    if not wanted:
        return {}
    numbers = look_up_pairs(connection, series, wanted, series.c.study_id, series.c.series_instance_uid, series.c.id)
    keys = {
        (numbers[pair], item.sop_instance_uid): item.uids
        for item in instances
        if (pair := (studies.get(item.study_instance_uid, 0), item.series_instance_uid)) in numbers
    }
    columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.blob_key
    blobs = look_up_pairs(connection, instance, keys, *columns)
    return {keys[pair]: blob_key for pair, blob_key in blobs.items()}


def look_up_ids(connection: Connection, table: Table, store_id: int, uids: set[str]) -> dict[str, int]:
    columns = table.c.store_id, table.c.study_instance_uid, table.c.id
    found = look_up_pairs(connection, table, [(store_id, uid) for uid in uids], *columns)
    return {uid: row_id for (_, uid), row_id in found.items()}


def look_up_pairs(
    connection: Connection, table: Table, wanted: Any, first: Any, second: Any, value: Any
) -> dict[Any, Any]:
    """``value`` of every row whose (first, second) is in ``wanted``, by that pair.

    Two INs probe an index on (first, second) once per combination, few in a short sorted chunk; ``(a, b) IN (…)``
    would scan the table in SQLite.
    """
    pairs = sorted(wanted)
    found = {}
    for start in range(0, len(pairs), CHUNK):
        chunk = set(pairs[start : start + CHUNK])
        firsts, seconds = ({pair[side] for pair in chunk} for side in (0, 1))
        query = select(first, second, value).where(first.in_(sorted(firsts)), second.in_(sorted(seconds)))
        found.update({(row[0], row[1]): row[2] for row in connection.execute(query) if (row[0], row[1]) in chunk})
    return found


def select_instances() -> Select[Any]:
    return (
        select(study.c.study_instance_uid, series.c.series_instance_uid, instance)
        .select_from(series)
        .join(study, study.c.id == series.c.study_id)
        .join(instance, instance.c.series_id == series.c.id)
        .order_by(series.c.id, instance.c.sop_instance_uid)
    )


def parse_position(text: str) -> tuple[int, str]:
    series_id, _, uid = text.partition("/")
    return int(series_id or 0), uid


def to_instance(row: Row[Any]) -> Instance:
    return Instance(
        row.study_instance_uid,
        row.series_instance_uid,
        row.sop_instance_uid,
        row.sop_class_uid,
        row.transfer_syntax_uid,
        row.blob_key,
        row.size,
        row.storage_class,
    )
