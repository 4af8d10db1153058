"""Deleting instances, series and studies.

A study or series of any size leaves its store in one short transaction: its row is moved below a row of ``dicom_store``
that is deleted and stands for what was removed. From then on no search, walk or metric finds it, and the same UIDs can
be stored again. Its rows go in pieces afterwards; see ``garbage``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from gantry.events import Action, Kind
from gantry.index.change_packs import record, record_deletion, tell
from gantry.index.counting import count_out
from gantry.index.database import Part, with_reserve
from gantry.index.lookups import find_rows
from gantry.index.operation_rows import get_operation, insert_done_operation
from gantry.index.paths import find_path, no_such_path
from gantry.index.removal import remove_instances, settle_study
from gantry.index.repeating import repeated
from gantry.index.resource_rows import get_store_row
from gantry.index.tables import dicom_store, series, study
from gantry.index.terms import make_unfindable
from gantry.names import DicomStoreName, OperationName, ResourcePath
from gantry.resources import READER, Method, Operation


class Deletion(Part):
    """Promises: ``index_protocols.DeletionIndex``."""

    @with_reserve
    @repeated
    def delete_below(self, store: DicomStoreName, path: ResourcePath, version: str, method: Method) -> Operation:
        with self.database.write() as connection:
            row, now = get_store_row(connection, store), self.database.now()
            study_id, series_id = find_path(connection, row.id, path)
            removed = _insert_removed(connection, row)
            if series_id:
                _remove_series(connection, row.id, study_id, series_id, removed, now)
            else:
                _remove_study(connection, row.id, study_id, removed, now)
            record_deletion(connection, row.id, removed, now)
            request = {"path": list(path)}
            names = {"dataset_id": row.dataset_id, "store": str(store), "store_id": row.id, "version": version}
            number = insert_done_operation(connection, now, method=method, request=request, **names)
            return get_operation(connection, OperationName(store.parent, number))

    @with_reserve
    @repeated
    def delete_instance(self, store: DicomStoreName, path: ResourcePath) -> None:
        with self.database.write() as connection:
            store_id = get_store_row(connection, store).id
            _, series_id = find_path(connection, store_id, path)
            rows = find_rows(connection, [(series_id, path.instance)])
            if not rows:
                raise no_such_path(path)
            now = self.database.now()
            remove_instances(connection, store_id, list(rows.values()), now)
            record(connection, store_id, [tell(row, Kind.DELETED, Action.DELETE) for row in rows.values()], now)


def _insert_removed(connection: Connection, row: Row[Any]) -> int:
    """The number of a new row that stands for what is removed from the store ``row``."""
    values = {"dataset_id": row.dataset_id, "store": row.store, "settings": "{}", "deleted": True}
    made: Any = connection.execute(insert(dicom_store), values | {"removed_from": row.id}).inserted_primary_key
    return int(made[0])


def _remove_study(connection: Connection, store_id: int, study_id: int, removed: int, now: int) -> None:
    count_out(connection, store_id, series.c.study_id == study_id, now)
    make_unfindable(connection, connection.execute(select(study).where(study.c.id == study_id)).one())
    # Nobody describes it anew: it counts as described.
    connection.execute(update(study).where(study.c.id == study_id).values(store_id=removed, described_by=READER))
    connection.execute(update(series).where(series.c.study_id == study_id).values(store_id=removed))


def _remove_series(
    connection: Connection, store_id: int, study_id: int, series_id: int, removed: int, now: int
) -> None:
    """The series gets a study of its own, without terms."""
    count = count_out(connection, store_id, series.c.id == series_id, now)
    total = study.c.instance_count
    connection.execute(update(study).where(study.c.id == study_id).values({total: total - count}))
    uid = connection.execute(select(study.c.study_instance_uid).where(study.c.id == study_id)).scalar_one()
    values = {"store_id": removed, "study_instance_uid": uid, "described_by": READER}
    made: Any = connection.execute(insert(study), values).inserted_primary_key
    connection.execute(update(series).where(series.c.id == series_id).values(study_id=made[0], store_id=removed))
    settle_study(connection, study_id)
