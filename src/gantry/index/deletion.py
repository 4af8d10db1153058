"""Deleting instances, series and studies: rows go and blobs become garbage in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from gantry.index.contents import _series_below, find
from gantry.index.operations import Operations, _insert_done
from gantry.index.resources import _dicom_store_row
from gantry.index.tables import garbage, instance, series, study
from gantry.names import DicomStoreName, OperationName, ResourcePath
from gantry.resources import Method, Operation


class Deletion(Operations):
    """One transaction each, however much it removes: nobody sees half of a study, and nobody adds to it meanwhile."""

    def delete_below(self, store: DicomStoreName, path: ResourcePath, version: str, method: Method) -> Operation:
        """Remove a study or series; the operation that did it, done already. Raises NotFound."""
        with self._write() as connection:
            row = _dicom_store_row(connection, store)
            found = find(connection, row.id, path)
            below = _series_below(*found)
            victims = instance.c.series_id.in_(select(series.c.id).where(*below))
            _discard(connection, victims)
            connection.execute(delete(series).where(*below))
            _remove_empty_study(connection, found[0])
            number = _record(connection, row, store, path, version, method)
        return self.get_operation(OperationName(store.parent, number))

    def delete_instance(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Remove one instance, and its series and study when they are empty then. Raises NotFound."""
        with self._write() as connection:
            study_id, series_id = find(connection, _dicom_store_row(connection, store).id, path)
            victim = (instance.c.series_id == series_id) & (instance.c.sop_instance_uid == path.instance)
            row = connection.execute(select(instance).where(victim)).one()
            _discard(connection, victim)
            _subtract(connection, row, path)
            connection.execute(delete(series).where(series.c.id == series_id, series.c.instance_count == 0))
            _remove_empty_study(connection, study_id)


def _discard(connection: Connection, victims: Any) -> None:
    blobs = select(instance.c.blob_key).where(victims)
    connection.execute(insert(garbage).from_select(["blob_key"], blobs))
    connection.execute(delete(instance).where(victims))


def _subtract(connection: Connection, row: Row[Any], path: ResourcePath) -> None:
    structured = sum(map(len, (*path, row.sop_class_uid, row.transfer_syntax_uid)))
    connection.execute(
        update(series)
        .where(series.c.id == row.series_id)
        .values(
            instance_count=series.c.instance_count - 1,
            blob_bytes=series.c.blob_bytes - row.size,
            structured_bytes=series.c.structured_bytes - structured,
        )
    )


def _remove_empty_study(connection: Connection, study_id: int) -> None:
    left = exists().where(series.c.study_id == study_id)
    connection.execute(delete(study).where(study.c.id == study_id, ~left))


def _record(
    connection: Connection, row: Row[Any], store: DicomStoreName, path: ResourcePath, version: str, method: Method
) -> int:
    return _insert_done(
        connection,
        method=method,
        request={"path": list(path)},
        dataset_id=row.dataset_id,
        store=str(store),
        store_id=row.id,
        version=version,
    )
