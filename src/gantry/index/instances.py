"""Instances of a DICOM store: who is there already, walking in order."""

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
    select,
)

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
