"""Rows by pairs of keys, many at once; and instances as rows and values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select

from gantry.index.tables import dicom_store, instance, series, study
from gantry.resources import Instance

CHUNK = 100  # rows looked up by one query
Uids = tuple[str, str, str]  # of study, series and instance


def find_blobs(connection: Connection, store_id: int, instances: Sequence[Instance]) -> dict[Uids, str]:
    """Blob keys of those of ``instances`` whose UIDs are stored already, by UIDs."""
    keys = find_places(connection, store_id, instances)
    columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.blob_key
    return {keys[pair]: blob_key for pair, blob_key in look_up_pairs(connection, keys, *columns).items()}


def find_places(connection: Connection, store_id: int, instances: Sequence[Instance]) -> dict[tuple[int, str], Uids]:
    """Number of the series and SOP Instance UID → UIDs, of those whose series is there."""
    studies = look_up_ids(connection, study, store_id, {item.study_instance_uid for item in instances})
    wanted = {
        (studies[item.study_instance_uid], item.series_instance_uid)
        for item in instances
        if item.study_instance_uid in studies
    }
    if not wanted:
        return {}
    numbers = look_up_pairs(connection, wanted, series.c.study_id, series.c.series_instance_uid, series.c.id)
    return {
        (numbers[pair], item.sop_instance_uid): item.uids
        for item in instances
        if (pair := (studies.get(item.study_instance_uid, 0), item.series_instance_uid)) in numbers
    }


def find_rows(connection: Connection, places: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Row[Any]]:
    """Rows of instances with the numbers of their study and store, by place; not those of what is deleted."""
    query = select(instance, series.c.study_id, study.c.store_id).join_from(
        instance, series, series.c.id == instance.c.series_id
    )
    query = query.join(study, study.c.id == series.c.study_id)
    query = query.join(dicom_store, dicom_store.c.id == study.c.store_id).where(dicom_store.c.deleted.is_(False))
    rows = select_pairs(connection, query, places, instance.c.series_id, instance.c.sop_instance_uid)
    return {(row.series_id, row.sop_instance_uid): row for row in rows}


def look_up_ids(connection: Connection, table: Table, store_id: int, uids: set[str]) -> dict[str, int]:
    columns = table.c.store_id, table.c.study_instance_uid, table.c.id
    found = look_up_pairs(connection, [(store_id, uid) for uid in uids], *columns)
    return {uid: row_id for (_, uid), row_id in found.items()}


def look_up_pairs(
    connection: Connection, wanted: Iterable[tuple[Any, Any]], first: Any, second: Any, value: Any
) -> dict[Any, Any]:
    """``value`` of every row whose (first, second) is in ``wanted``, by that pair."""
    rows = select_pairs(connection, select(first, second, value), wanted, first, second)
    return {(one, other): found for one, other, found in rows}


def select_pairs(
    connection: Connection, query: Select[Any], wanted: Iterable[tuple[Any, Any]], first: Any, second: Any
) -> Iterator[Any]:
    """Rows of a query, whose first two columns are ``first`` and ``second``, where that pair is in ``wanted``.

    Two INs probe an index on (first, second) once per combination, few in a short sorted chunk; ``(a, b) IN (…)``
    would scan the table in SQLite.
    """
    pairs = sorted(wanted)
    for start in range(0, len(pairs), CHUNK):
        chunk = set(pairs[start : start + CHUNK])
        firsts, seconds = ({pair[side] for pair in chunk} for side in (0, 1))
        condition = first.in_(sorted(firsts)), second.in_(sorted(seconds))
        for row in connection.execute(query.where(*condition)):
            if (row[0], row[1]) in chunk:
                yield row


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
