"""Datasets and DICOM stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, false, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists, NotFound
from gantry.index.database import Database
from gantry.index.removal import purge
from gantry.index.tables import dataset, dicom_store, failure, garbage, operation, saved_search, selection, tally
from gantry.names import DatasetName, DicomStoreName, LocationName
from gantry.resources import Dataset, DicomStore

_ALIVE = dicom_store.c.deleted == false()  # as the partial index says it, or SQLite would not use that index
_SETTINGS = ("labels", "notification_config", "notification_configs", "stream_configs")


class Resources(Database):
    """Create, read, list, change and delete. Names are unique; a deleted name can be used again at once."""

    def get_dataset(self, name: DatasetName) -> Dataset:
        """Raises NotFound."""
        with self._read() as connection:
            return _to_dataset(_dataset_row(connection, name))

    def list_datasets(self, parent: LocationName, limit: int, after: str = "") -> list[Dataset]:
        """Up to ``limit`` datasets of a location by id, those after the id ``after``."""
        query = select(dataset).where(
            dataset.c.project == parent.project,
            dataset.c.location == parent.location,
            dataset.c.dataset > after,
        )
        with self._read() as connection:
            return [_to_dataset(row) for row in connection.execute(query.order_by(dataset.c.dataset).limit(limit))]

    def dataset_names(self, limit: int, after: DatasetName | None = None) -> list[DatasetName]:
        """Up to ``limit`` datasets of all projects and locations, in the order of their names."""
        columns = dataset.c.project, dataset.c.location, dataset.c.dataset
        query = select(*columns).order_by(*columns).limit(limit)
        if after is not None:
            query = query.where(tuple_(*columns) > (after.project, after.location, after.dataset))
        with self._read() as connection:
            return [DatasetName(*row) for row in connection.execute(query)]

    def change_dataset(self, name: DatasetName, change: Callable[[Dataset], Dataset]) -> Dataset:
        """Replace the settings by what ``change`` makes of the present ones, in one transaction. Raises NotFound."""
        with self._write() as connection:
            row = _dataset_row(connection, name)
            value = change(_to_dataset(row))
            settings = {"time_zone": value.time_zone, "kms_key_name": value.kms_key_name}
            connection.execute(update(dataset).where(dataset.c.id == row.id).values(settings))
        return value

    def delete_dataset(self, name: DatasetName) -> None:
        """Remove a dataset with its stores and operations. Raises NotFound."""
        with self._write() as connection:
            row = _dataset_row(connection, name)
            operations = select(operation.c.id).where(operation.c.dataset_id == row.id)
            for table in (failure, selection):
                connection.execute(delete(table).where(table.c.operation_id.in_(operations)))
            connection.execute(delete(operation).where(operation.c.dataset_id == row.id))
            connection.execute(update(dicom_store).where(dicom_store.c.dataset_id == row.id).values(deleted=True))
            connection.execute(delete(dataset).where(dataset.c.id == row.id))

    def create_dicom_store(self, value: DicomStore) -> None:
        """Raises NotFound for the dataset, AlreadyExists."""
        with self._write() as connection:
            parent = _dataset_row(connection, value.name.parent)
            row = {"dataset_id": parent.id, "store": value.name.store, "settings": _settings(value)}
            try:
                connection.execute(insert(dicom_store), row)
            except IntegrityError:
                raise AlreadyExists(f"DICOM store {value.name} already exists") from None

    def get_dicom_store(self, name: DicomStoreName) -> DicomStore:
        """Raises NotFound."""
        with self._read() as connection:
            return _to_dicom_store(name.parent, _dicom_store_row(connection, name))

    def list_dicom_stores(self, parent: DatasetName, limit: int, after: str = "") -> list[DicomStore]:
        """Up to ``limit`` stores of a dataset by id, those after the id ``after``. Raises NotFound."""
        with self._read() as connection:
            query = select(dicom_store).where(
                dicom_store.c.dataset_id == _dataset_row(connection, parent).id,
                _ALIVE,
                dicom_store.c.store > after,
            )
            rows = connection.execute(query.order_by(dicom_store.c.store).limit(limit))
            return [_to_dicom_store(parent, row) for row in rows]

    def change_dicom_store(self, name: DicomStoreName, change: Callable[[DicomStore], DicomStore]) -> DicomStore:
        """Replace the settings by what ``change`` makes of the present ones, in one transaction. Raises NotFound."""
        with self._write() as connection:
            row = _dicom_store_row(connection, name)
            value = change(_to_dicom_store(name.parent, row))
            connection.execute(update(dicom_store).where(dicom_store.c.id == row.id).values(settings=_settings(value)))
        return value

    def delete_dicom_store(self, name: DicomStoreName) -> None:
        """Hide a store at once; its instances go when the sweeper comes by. Raises NotFound."""
        with self._write() as connection:
            row = _dicom_store_row(connection, name)
            connection.execute(update(dicom_store).where(dicom_store.c.id == row.id).values(deleted=True))

    def deleted_dicom_stores(self) -> list[int]:
        """Numbers of stores that are deleted but not yet purged."""
        with self._read() as connection:
            return list(connection.execute(select(dicom_store.c.id).where(dicom_store.c.deleted.is_(True))).scalars())

    def purge_instances(self, store_id: int, limit: int = 5000) -> bool:
        """Remove up to ``limit`` rows below a deleted store; True once none is left."""
        with self._write() as connection:
            return purge(connection, store_id, limit)

    def forget_dicom_store(self, store_id: int) -> None:
        """Remove the last trace of a purged store."""
        with self._write() as connection:
            connection.execute(delete(dicom_store).where(dicom_store.c.id == store_id, dicom_store.c.deleted.is_(True)))
            for table in (tally, saved_search):
                connection.execute(delete(table).where(table.c.store_id == store_id))

    def garbage(self, after: str = "", limit: int = 1000) -> list[str]:
        """Keys of blobs that have lost their row, in order; those after the key ``after``."""
        query = select(garbage.c.blob_key).where(garbage.c.blob_key > after).order_by(garbage.c.blob_key)
        with self._read() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def forget_garbage(self, keys: Sequence[str]) -> None:
        with self._write() as connection:
            connection.execute(delete(garbage).where(garbage.c.blob_key.in_(keys)))


def _dataset_row(connection: Connection, name: DatasetName) -> Row[Any]:
    query = select(dataset).where(
        dataset.c.project == name.project, dataset.c.location == name.location, dataset.c.dataset == name.dataset
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"dataset {name} does not exist")
    return row


_STORE_ID = (
    select(dicom_store.c.id)
    .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
    .where(
        *(dataset.c[name] == bindparam(name) for name in ("project", "location", "dataset")),
        dicom_store.c.store == bindparam("store"),
        _ALIVE,
    )
)


def dicom_store_id(connection: Connection, name: DicomStoreName) -> int:
    """The number of a store in one short query. Raises NotFound."""
    values = {"project": name.project, "location": name.location, "dataset": name.dataset, "store": name.store}
    number = connection.execute(_STORE_ID, values).scalar()
    return number if number is not None else int(_dicom_store_row(connection, name).id)


def _dicom_store_row(connection: Connection, name: DicomStoreName) -> Row[Any]:
    query = select(dicom_store).where(
        dicom_store.c.dataset_id == _dataset_row(connection, name.parent).id,
        dicom_store.c.store == name.store,
        _ALIVE,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"DICOM store {name} does not exist")
    return row


def _to_dataset(row: Row[Any]) -> Dataset:
    return Dataset(DatasetName(row.project, row.location, row.dataset), row.time_zone, row.kms_key_name)


def _to_dicom_store(parent: DatasetName, row: Row[Any]) -> DicomStore:
    name = DicomStoreName(parent.project, parent.location, parent.dataset, row.store)
    return DicomStore(name, row.id, **json.loads(row.settings))


def _settings(value: DicomStore) -> str:
    return json.dumps({key: getattr(value, key) for key in _SETTINGS})
