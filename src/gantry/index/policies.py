"""Policies of projects, datasets and DICOM stores, as text; ``iam.policies`` reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, select, union_all, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.index.database import Database
from gantry.index.resources import _ALIVE, _dataset_row, _dicom_store_row
from gantry.index.tables import dataset, dicom_store, project
from gantry.names import DatasetName, DicomStoreName

# One statement, made once: it is asked for with every call.
_DATASET = [dataset.c[name] == bindparam(name) for name in ("project", "location", "dataset")]
_ALL = union_all(
    select(dicom_store.c.policy)
    .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
    .where(*_DATASET, dicom_store.c.store == bindparam("store"), _ALIVE),
    select(dataset.c.policy).where(*_DATASET),
    select(project.c.policy).where(project.c.project == bindparam("project")),
)


class Policies(Database):
    """``name`` is a project's id, or the name of a dataset or DICOM store."""

    def policies(self, name: str | DatasetName | DicomStoreName) -> tuple[str, ...]:
        """The policies that count for a resource; fewer where it or what it lies in is not there."""
        names = dict.fromkeys(("project", "location", "dataset", "store"), "")
        names |= {"project": name} if isinstance(name, str) else asdict(name)
        with self._read() as connection:
            return tuple(text for text in connection.execute(_ALL, names).scalars() if text)

    def policy(self, name: str | DatasetName | DicomStoreName) -> str:
        """Of the resource alone, "" without one. Raises NotFound; not for projects, which are simply there."""
        with self._read() as connection:
            return _own(connection, name)

    def change_policy(self, name: str | DatasetName | DicomStoreName, change: Callable[[str], str]) -> str:
        """Replace a policy by what ``change`` makes of it, in one transaction; the new one. Raises NotFound."""
        with self._write() as connection:
            text = change(_own(connection, name))
            if isinstance(name, str):
                new = upsert(project).values(project=name, policy=text)
                connection.execute(new.on_conflict_do_update(index_elements=["project"], set_={"policy": text}))
            else:
                table, row = _row(connection, name)
                connection.execute(update(table).where(table.c.id == row.id).values(policy=text))
            return text


def _own(connection: Connection, name: str | DatasetName | DicomStoreName) -> str:
    if isinstance(name, str):
        return connection.execute(select(project.c.policy).where(project.c.project == name)).scalar() or ""
    return str(_row(connection, name)[1].policy)


def _row(connection: Connection, name: DatasetName | DicomStoreName) -> tuple[Any, Any]:
    if isinstance(name, DicomStoreName):
        return dicom_store, _dicom_store_row(connection, name)
    return dataset, _dataset_row(connection, name)
