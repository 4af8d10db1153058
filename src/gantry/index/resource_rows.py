"""Rows of datasets and DICOM stores, by their names."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, false, select

from gantry.errors import NotFound
from gantry.index.statements import CompiledQuery
from gantry.index.tables import dataset, dicom_store
from gantry.names import DatasetName, DicomStoreName
from gantry.resources import Dataset, DicomStore

IS_ALIVE = dicom_store.c.deleted == false()  # as the partial index says it, or SQLite would not use that index
_SETTINGS = ("labels", "notification_config", "notification_configs", "stream_configs")


def get_dataset_row(connection: Connection, name: DatasetName) -> Row[Any]:
    query = select(dataset).where(
        dataset.c.project == name.project, dataset.c.location == name.location, dataset.c.dataset == name.dataset
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"dataset {name} does not exist")
    return row


_STORE_ID = CompiledQuery(
    select(dicom_store.c.id)
    .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
    .where(
        *(dataset.c[name] == bindparam(name) for name in ("project", "location", "dataset")),
        dicom_store.c.store == bindparam("store"),
        IS_ALIVE,
    )
)


def get_store_id(connection: Connection, name: DicomStoreName) -> int:
    """The number of a store in one short query. Raises NotFound."""
    values = {"project": name.project, "location": name.location, "dataset": name.dataset, "store": name.store}
    found = _STORE_ID.fetch(connection, values)
    return int(found[0][0]) if found else int(get_store_row(connection, name).id)


def get_store_row(connection: Connection, name: DicomStoreName) -> Row[Any]:
    query = select(dicom_store).where(
        dicom_store.c.dataset_id == get_dataset_row(connection, name.parent).id,
        dicom_store.c.store == name.store,
        IS_ALIVE,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"DICOM store {name} does not exist")
    return row


def to_dataset(row: Row[Any]) -> Dataset:
    return Dataset(DatasetName(row.project, row.location, row.dataset), row.time_zone, row.kms_key_name)


def to_dicom_store(parent: DatasetName, row: Row[Any]) -> DicomStore:
    name = DicomStoreName(parent.project, parent.location, parent.dataset, row.store)
    return DicomStore(name, row.id, **json.loads(row.settings))


def to_settings(value: DicomStore) -> str:
    return json.dumps({key: getattr(value, key) for key in _SETTINGS})
