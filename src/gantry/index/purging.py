"""Rows below a deleted store, or below what was deleted from one, go in pieces."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from gantry.index.blob_keys import BLOB_KEY, join_segments
from gantry.index.change_packs import find_deletion, record_removed
from gantry.index.counting import discard_blobs, free_segments, seal_segments
from gantry.index.delivery_table import delivery
from gantry.index.removal import blank_shared_headers, remove_study
from gantry.index.statements import Statement
from gantry.index.tables import (
    change_pack,
    header_pack,
    instance,
    segment,
    series,
    series_request,
    series_tally,
    study,
)

PIECE = 1000  # rows removed by one transaction: about 50 ms
_PACKS = 50  # packs of headers removed by one transaction; each may have many pages


_DELETE_INSTANCE = Statement(
    delete(instance).where(
        instance.c.series_id == bindparam("series"), instance.c.sop_instance_uid == bindparam("instance")
    ),
    *("series", "instance"),
)


def purge(connection: Connection, store_id: int, limit: int, keep_list: bool) -> bool:
    """Remove up to ``limit`` rows below a row of ``dicom_store``; True when none is left.

    ``keep_list``: the blobs of the instances are listed as garbage; else the caller removes the store's directory.
    Segments of a deleted store stay as long as they hold what was removed from it before.
    """
    numbers = select(series.c.id).where(series.c.store_id == store_id)
    return not (
        _purge_instances(connection, store_id, numbers, limit, keep_list)
        or _purge_packs(connection, numbers, min(limit, _PACKS))
        or _purge_series(connection, numbers, limit)
        or _purge_studies(connection, store_id, limit)
        or _seal_all(connection, store_id, limit)
        or _purge_changes(connection, store_id, limit)
    )


def _purge_instances(connection: Connection, store_id: int, numbers: Any, limit: int, keep_list: bool) -> int:
    key = instance.c.series_id, instance.c.sop_instance_uid, instance.c.storage_class
    columns = BLOB_KEY, instance.c.segment_id, instance.c.size, instance.c.pack_id, instance.c.pack_number
    victims = select(*key, *columns).where(instance.c.series_id.in_(numbers)).limit(limit)
    rows = connection.execute(join_segments(victims)).all()
    if (deletion := find_deletion(connection, store_id)) is not None:
        record_removed(connection, deletion, rows, is_last=len(rows) < limit)
    if keep_list:
        discard_blobs(connection, (row.blob_key for row in rows))
    _DELETE_INSTANCE.run(connection, [(row.series_id, row.sop_instance_uid) for row in rows])
    blank_shared_headers(connection, rows)
    free_segments(connection, ((row.segment_id, row.size) for row in rows if row.segment_id is not None))
    return len(rows)


def _purge_packs(connection: Connection, numbers: Any, limit: int) -> int:
    victims = select(header_pack.c.id).where(header_pack.c.series_id.in_(numbers)).limit(limit)
    return connection.execute(delete(header_pack).where(header_pack.c.id.in_(victims))).rowcount


def _purge_series(connection: Connection, numbers: Any, limit: int) -> int:
    victims = connection.execute(numbers.limit(limit)).scalars().all()
    for column in (series_tally.c.series_id, series_request.c.series_id, series.c.id):
        connection.execute(delete(column.table).where(column.in_(victims)))
    return len(victims)


def _purge_studies(connection: Connection, store_id: int, limit: int) -> int:
    studies = connection.execute(select(study).where(study.c.store_id == store_id).limit(limit)).all()
    for row in studies:
        remove_study(connection, row)
    return len(studies)


def _purge_changes(connection: Connection, store_id: int, limit: int) -> int:
    key = tuple_(*change_pack.primary_key)
    victims = select(*change_pack.primary_key).where(change_pack.c.store_id == store_id).limit(limit)
    connection.execute(delete(delivery).where(delivery.c.store_id == store_id))
    return connection.execute(delete(change_pack).where(key.in_(victims))).rowcount


def _seal_all(connection: Connection, store_id: int, limit: int) -> int:
    """Nobody writes any more to a store that is deleted."""
    unsealed = select(segment.c.key).where(segment.c.store_id == store_id, segment.c.sealed.is_(False))
    keys = connection.execute(unsealed.limit(limit)).scalars().all()
    seal_segments(connection, keys)
    return len(keys)
