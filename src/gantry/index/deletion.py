"""Deleting instances, series and studies: rows go and blobs become garbage in one transaction."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from gantry.errors import NotFound
from gantry.index.database import Part
from gantry.index.operation_rows import get_operation, insert_done_operation
from gantry.index.paths import find_path, is_below
from gantry.index.removal import blank_headers, remove_series, settle_study
from gantry.index.resource_rows import get_store_row
from gantry.index.tables import garbage, instance, series
from gantry.index.tally import add_to_tally, tally_of
from gantry.names import DicomStoreName, OperationName, ResourcePath
from gantry.resources import Method, Operation


class Deletion(Part):
    """Promises: ``index_protocols.DeletionIndex``."""

    def delete_below(self, store: DicomStoreName, path: ResourcePath, version: str, method: Method) -> Operation:
        with self.database.write() as connection:
            row, now = get_store_row(connection, store), self.database.now()
            found = find_path(connection, row.id, path)
            below = is_below(*found)
            victims = instance.c.series_id.in_(select(series.c.id).where(*below))
            gone = _discard(connection, row.id, victims, now)
            remove_series(connection, below)
            settle_study(connection, found[0], gone)
            number = _record(connection, row, store, path, version, method, now)
            return get_operation(connection, OperationName(store.parent, number))

    def delete_instance(self, store: DicomStoreName, path: ResourcePath) -> None:
        with self.database.write() as connection:
            _remove_instance(connection, get_store_row(connection, store).id, path, self.database.now())


def discard_one(connection: Connection, store_id: int, uids: tuple[str, str, str], now: int) -> None:
    """Remove one instance to make room for another; one that is not there any more is none."""
    with suppress(NotFound):
        _remove_instance(connection, store_id, ResourcePath(*uids), now)


def _remove_instance(connection: Connection, store_id: int, path: ResourcePath, now: int) -> None:
    study_id, series_id = find_path(connection, store_id, path)
    victim = (instance.c.series_id == series_id) & (instance.c.sop_instance_uid == path.instance)
    row = connection.execute(select(instance).where(victim)).one()
    _discard(connection, store_id, victim, now)
    blank_headers(connection, [row])
    _subtract(connection, row)
    remove_series(connection, (series.c.id == series_id, series.c.instance_count == 0))
    settle_study(connection, study_id, 1)


def _discard(connection: Connection, store_id: int, victims: Any, now: int) -> int:
    add_to_tally(connection, store_id, now, tally_of(connection, victims))
    blobs = select(instance.c.blob_key).where(victims)
    connection.execute(insert(garbage).from_select(["blob_key"], blobs))
    return connection.execute(delete(instance).where(victims)).rowcount


def _subtract(connection: Connection, row: Row[Any]) -> None:
    connection.execute(
        update(series)
        .where(series.c.id == row.series_id)
        .values(
            instance_count=series.c.instance_count - 1,
            blob_bytes=series.c.blob_bytes - row.size,
            structured_bytes=series.c.structured_bytes - row.structured_size,
        )
    )


def _record(
    connection: Connection,
    row: Row[Any],
    store: DicomStoreName,
    path: ResourcePath,
    version: str,
    method: Method,
    now: int,
) -> int:
    return insert_done_operation(
        connection,
        now,
        method=method,
        request={"path": list(path)},
        dataset_id=row.dataset_id,
        store=str(store),
        store_id=row.id,
        version=version,
    )
