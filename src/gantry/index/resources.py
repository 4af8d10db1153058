"""Datasets and DICOM stores."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from gantry.errors import AlreadyExists
from gantry.followed import list_receivers
from gantry.index.database import Part, with_reserve
from gantry.index.deliveries import set_receivers
from gantry.index.operation_rows import get_operation, hide_operations, insert_done_operation
from gantry.index.repeating import repeated
from gantry.index.resource_rows import IS_ALIVE, get_dataset_row, get_store_row, to_dataset, to_dicom_store, to_settings
from gantry.index.tables import dataset, dicom_store
from gantry.names import DatasetName, DicomStoreName, LocationName, OperationName
from gantry.resources import Dataset, DicomStore, Method, Operation


class Resources(Part):
    """Promises: ``index_protocols.ResourceIndex``."""

    def create_dataset(self, value: Dataset, version: str) -> Operation:
        row = {
            "project": value.name.project,
            "location": value.name.location,
            "dataset": value.name.dataset,
            "time_zone": value.time_zone,
            "kms_key_name": value.kms_key_name,
        }
        with self.database.write() as connection:
            try:
                connection.execute(insert(dataset), row)
            except IntegrityError:
                raise AlreadyExists(f"dataset {value.name} already exists") from None
            dataset_id = get_dataset_row(connection, value.name).id
            now, method = self.database.now(), Method.CREATE_DATASET
            number = insert_done_operation(connection, now, dataset_id=dataset_id, version=version, method=method)
            return get_operation(connection, OperationName(value.name, number))

    def get_dataset(self, name: DatasetName) -> Dataset:
        with self.database.read() as connection:
            return to_dataset(get_dataset_row(connection, name))

    def list_datasets(self, parent: LocationName, limit: int, after: str = "") -> list[Dataset]:
        query = select(dataset).where(
            dataset.c.project == parent.project,
            dataset.c.location == parent.location,
            dataset.c.dataset > after,
        )
        with self.database.read() as connection:
            return [to_dataset(row) for row in connection.execute(query.order_by(dataset.c.dataset).limit(limit))]

    def list_dataset_names(self, limit: int, after: DatasetName | None = None) -> list[DatasetName]:
        columns = dataset.c.project, dataset.c.location, dataset.c.dataset
        query = select(*columns).order_by(*columns).limit(limit)
        if after is not None:
            query = query.where(tuple_(*columns) > (after.project, after.location, after.dataset))
        with self.database.read() as connection:
            return [DatasetName(*row) for row in connection.execute(query)]

    def change_dataset(self, name: DatasetName, change: Callable[[Dataset], Dataset]) -> Dataset:
        with self.database.write() as connection:
            row = get_dataset_row(connection, name)
            value = change(to_dataset(row))
            settings = {"time_zone": value.time_zone, "kms_key_name": value.kms_key_name}
            connection.execute(update(dataset).where(dataset.c.id == row.id).values(settings))
        return value

    @with_reserve
    @repeated
    def delete_dataset(self, name: DatasetName) -> None:
        with self.database.write() as connection:
            row = get_dataset_row(connection, name)
            hide_operations(connection, row.id, self.database.now())
            connection.execute(update(dicom_store).where(dicom_store.c.dataset_id == row.id).values(deleted=True))
            connection.execute(delete(dataset).where(dataset.c.id == row.id))

    def create_dicom_store(self, value: DicomStore) -> None:
        with self.database.write() as connection:
            parent = get_dataset_row(connection, value.name.parent)
            row = {"dataset_id": parent.id, "store": value.name.store, "settings": to_settings(value)}
            try:
                connection.execute(insert(dicom_store), row)
            except IntegrityError:
                raise AlreadyExists(f"DICOM store {value.name} already exists") from None
            if receivers := list_receivers(value):
                set_receivers(connection, get_store_row(connection, value.name).id, receivers)

    def get_dicom_store(self, name: DicomStoreName) -> DicomStore:
        with self.database.read() as connection:
            return to_dicom_store(name.parent, get_store_row(connection, name))

    def list_dicom_stores(self, parent: DatasetName, limit: int, after: str = "") -> list[DicomStore]:
        with self.database.read() as connection:
            query = select(dicom_store).where(
                dicom_store.c.dataset_id == get_dataset_row(connection, parent).id,
                IS_ALIVE,
                dicom_store.c.store > after,
            )
            rows = connection.execute(query.order_by(dicom_store.c.store).limit(limit))
            return [to_dicom_store(parent, row) for row in rows]

    def change_dicom_store(self, name: DicomStoreName, change: Callable[[DicomStore], DicomStore]) -> DicomStore:
        with self.database.write() as connection:
            row = get_store_row(connection, name)
            value = change(to_dicom_store(name.parent, row))
            connection.execute(
                update(dicom_store).where(dicom_store.c.id == row.id).values(settings=to_settings(value))
            )
            set_receivers(connection, row.id, list_receivers(value))
        return value

    @with_reserve
    @repeated
    def delete_dicom_store(self, name: DicomStoreName) -> None:
        with self.database.write() as connection:
            row = get_store_row(connection, name)
            connection.execute(update(dicom_store).where(dicom_store.c.id == row.id).values(deleted=True))
