"""Instances that come one request at a time, and the lots their bytes are written to (see ``studies.uploads``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, false, insert, select

from gantry.errors import AlreadyExists, NotFound
from gantry.index.database import Part
from gantry.index.deletion import discard_one
from gantry.index.filling import add_instances
from gantry.index.lookups import find_blobs
from gantry.index.replacement import replace_instances
from gantry.index.tables import dicom_store, upload
from gantry.resources import Failure, Instance, Replacement

Uids = tuple[str, str, str]


class Uploads(Part):
    """Promises: ``index_protocols.UploadIndex``."""

    def store_instances(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> set[Uids]:
        present: set[Uids] = set()
        if replace:
            self._insert(store_id, instances, self._find_blobs(store_id, instances))
            return present
        while True:
            new = [item for item in instances if item.uids not in present]
            try:
                self._insert(store_id, new, {})
            except AlreadyExists:
                present |= self._find_blobs(store_id, new).keys()
            else:
                return present

    def _find_blobs(self, store_id: int, instances: Sequence[Instance]) -> dict[Uids, str]:
        with self.database.read() as connection:
            return find_blobs(connection, store_id, instances)

    def _insert(self, store_id: int, instances: Sequence[Instance], replaced: dict[Uids, str]) -> None:
        if not instances:
            return
        with self.database.write() as connection:
            _require_store(connection, store_id)
            now = self.database.now()
            for uids in replaced:
                discard_one(connection, store_id, uids, now)
            add_instances(connection, store_id, instances, now)

    def replace_instance(self, replacement: Replacement) -> Failure | None:
        with self.database.write() as connection:
            return next(iter(replace_instances(connection, [replacement], self.database.now())), None)

    def begin_upload(self, store_id: int) -> int:
        with self.database.write() as connection:
            _require_store(connection, store_id)
            found: Any = connection.execute(insert(upload), {"store_id": store_id}).inserted_primary_key
            return int(found[0])

    def end_upload(self, number: int) -> None:
        with self.database.write() as connection:
            connection.execute(delete(upload).where(upload.c.id == number))

    def list_uploads(self) -> list[tuple[int, int]]:
        with self.database.read() as connection:
            return [(row.id, row.store_id) for row in connection.execute(select(upload))]


def _require_store(connection: Connection, store_id: int) -> None:
    alive = select(dicom_store.c.id).where(dicom_store.c.id == store_id, dicom_store.c.deleted == false())
    if connection.execute(alive).first() is None:
        raise NotFound("the DICOM store was deleted just now")
