"""Instances of a DICOM store: who is there already, bulk insertion, walking in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists
from gantry.index.database import Database
from gantry.index.tables import instance, series, study
from gantry.resources import Instance

_CHUNK = 100  # pairs looked up by one query
_PAGE = 1000  # instances per query of a walk


class Instances(Database):
    """Identity is the whole triple (study, series, SOP instance) inside one store."""

    def stored_blobs(self, store_id: int, instances: Sequence[Instance]) -> dict[tuple[str, str, str], str]:
        """Blob keys of those of ``instances`` whose UIDs are stored already, by UIDs."""
        with self._read() as connection:
            studies = _ids(connection, study, store_id, {item.study_instance_uid for item in instances})
            wanted = {
                (studies[item.study_instance_uid], item.series_instance_uid)
                for item in instances
                if item.study_instance_uid in studies
            }
            if not wanted:
                return {}
            found = _pairs(connection, series, wanted, series.c.study_id, series.c.series_instance_uid, series.c.id)
            keys = {
                (found[pair], item.sop_instance_uid): item.uids
                for item in instances
                if (pair := (studies.get(item.study_instance_uid, 0), item.series_instance_uid)) in found
            }
            columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.blob_key
            blobs = _pairs(connection, instance, keys, *columns)
        return {keys[pair]: blob_key for pair, blob_key in blobs.items()}

    def count_instances(self, store_id: int) -> int:
        """All instances of a store."""
        query = select(func.coalesce(func.sum(series.c.instance_count), 0)).select_from(series)
        query = query.join(study, study.c.id == series.c.study_id).where(study.c.store_id == store_id)
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def instances(self, store_id: int, after: str = "") -> Iterator[tuple[str, Instance]]:
        """Instances with their positions, in an order that stays; those after the position ``after``."""
        series_id, uid = _position(after)
        for row in self._rows(store_id, series_id, uid):
            yield f"{row.series_id}/{row.sop_instance_uid}", _to_instance(row)

    def _rows(self, store_id: int, series_id: int, uid: str) -> Iterator[Row[Any]]:
        """Page by page: the rest of a series, then the series after it, so that every query starts at a key."""
        rest = _walk_query().where(
            instance.c.series_id == bindparam("series_id"), instance.c.sop_instance_uid > bindparam("uid")
        )
        # The sum keeps SQLite from starting at the store's studies, which would mean sorting all that follows.
        following = _walk_query().where(study.c.store_id + 0 == store_id, series.c.id > bindparam("series_id"))
        rest, following = rest.limit(_PAGE), following.limit(_PAGE)
        while True:
            for query in (rest, following):
                with self._read() as connection:
                    rows = connection.execute(query, {"series_id": series_id, "uid": uid}).all()
                yield from rows
                if rows:
                    series_id, uid = rows[-1].series_id, rows[-1].sop_instance_uid
                if len(rows) == _PAGE:
                    break
            else:
                return


def insert_instances(connection: Connection, store_id: int, instances: Sequence[Instance], now: int) -> None:
    """New rows with their studies and series. Raises AlreadyExists when one of them is there."""
    studies = _ensure(connection, study, "store_id", {(store_id, item.study_instance_uid) for item in instances})
    all_series = _ensure(
        connection,
        series,
        "study_id",
        {(studies[store_id, item.study_instance_uid], item.series_instance_uid) for item in instances},
    )

    def series_of(item: Instance) -> int:
        return all_series[studies[store_id, item.study_instance_uid], item.series_instance_uid]

    rows = [
        {
            "series_id": series_of(item),
            "sop_instance_uid": item.sop_instance_uid,
            "sop_class_uid": item.sop_class_uid,
            "transfer_syntax_uid": item.transfer_syntax_uid,
            "blob_key": item.blob_key,
            "size": item.size,
            "storage_class": item.storage_class,
            "storage_class_update_time": now,
            "create_time": now,
        }
        for item in instances
    ]
    try:
        connection.execute(insert(instance), rows)
    except IntegrityError:
        raise AlreadyExists("an instance of this batch was stored by another operation meanwhile") from None
    _count(connection, [(series_of(item), item) for item in instances])


def _count(connection: Connection, new: Sequence[tuple[int, Instance]]) -> None:
    """Add new instances to the counters of their series."""
    sums: dict[int, list[int]] = {}
    for series_id, item in new:
        counters = sums.setdefault(series_id, [0, 0, 0])
        counters[0] += 1
        counters[1] += item.size
        counters[2] += item.structured_size
    columns = series.c.instance_count, series.c.blob_bytes, series.c.structured_bytes
    statement = update(series).where(series.c.id == bindparam("row"))
    statement = statement.values({column: column + bindparam(f"more_{column.name}") for column in columns})
    names = ["row", *(f"more_{column.name}" for column in columns)]
    connection.execute(statement, [dict(zip(names, (row, *more), strict=True)) for row, more in sums.items()])


def _ensure(
    connection: Connection, table: Table, parent: str, wanted: set[tuple[int, str]]
) -> dict[tuple[int, str], int]:
    """Ids of the rows (parent id, UID), made where they are missing."""
    uid = f"{table.name}_instance_uid"
    columns = table.c[parent], table.c[uid], table.c.id
    found = _pairs(connection, table, wanted, *columns)
    missing = sorted(wanted - found.keys())
    if missing:
        rows = [{parent: parent_id, uid: text} for parent_id, text in missing]
        connection.execute(upsert(table).on_conflict_do_nothing(), rows)
        found.update(_pairs(connection, table, missing, *columns))
    return found


def _ids(connection: Connection, table: Table, store_id: int, uids: set[str]) -> dict[str, int]:
    columns = table.c.store_id, table.c.study_instance_uid, table.c.id
    found = _pairs(connection, table, [(store_id, uid) for uid in uids], *columns)
    return {uid: row_id for (_, uid), row_id in found.items()}


def _pairs(connection: Connection, table: Table, wanted: Any, first: Any, second: Any, value: Any) -> dict[Any, Any]:
    """``value`` of every row whose (first, second) is in ``wanted``, by that pair.

    Two INs probe an index on (first, second) once per combination, few in a short sorted chunk; ``(a, b) IN (…)``
    would scan the table in SQLite.
    """
    pairs = sorted(wanted)
    found = {}
    for start in range(0, len(pairs), _CHUNK):
        chunk = set(pairs[start : start + _CHUNK])
        firsts, seconds = ({pair[side] for pair in chunk} for side in (0, 1))
        query = select(first, second, value).where(first.in_(sorted(firsts)), second.in_(sorted(seconds)))
        found.update({(row[0], row[1]): row[2] for row in connection.execute(query) if (row[0], row[1]) in chunk})
    return found


def _walk_query() -> Select[Any]:
    return (
        select(study.c.study_instance_uid, series.c.series_instance_uid, instance)
        .select_from(series)
        .join(study, study.c.id == series.c.study_id)
        .join(instance, instance.c.series_id == series.c.id)
        .order_by(series.c.id, instance.c.sop_instance_uid)
    )


def _position(text: str) -> tuple[int, str]:
    series_id, _, uid = text.partition("/")
    return int(series_id or 0), uid


def _to_instance(row: Row[Any]) -> Instance:
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
