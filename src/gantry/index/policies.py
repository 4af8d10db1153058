"""Policies of projects, datasets and DICOM stores, as text; ``iam.policies`` reads and writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.errors import NotFound
from gantry.index.database import Database
from gantry.index.resources import _dataset_row, _dicom_store_row
from gantry.index.tables import dataset, dicom_store, project
from gantry.names import DatasetName, DicomStoreName


class Policies(Database):
    """``name`` is a project's id, or the name of a dataset or DICOM store."""

    def policies(self, name: str | DatasetName | DicomStoreName) -> tuple[str, ...]:
        """The policies that count for a resource, its own first; fewer where it or what it lies in is not there."""
        with self._read() as connection:
            found: list[str] = []
            if isinstance(name, DicomStoreName):
                found += _texts(connection, name)
                name = name.parent
            if isinstance(name, DatasetName):
                found += _texts(connection, name)
                name = name.project
            found += connection.execute(select(project.c.policy).where(project.c.project == name)).scalars()
            return tuple(text for text in found if text)

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


def _texts(connection: Connection, name: DatasetName | DicomStoreName) -> list[str]:
    try:
        return [str(_row(connection, name)[1].policy)]
    except NotFound:
        return []
