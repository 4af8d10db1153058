"""Instances that come one request at a time, and the lots their bytes are written to (see ``studies.uploads``)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from gantry.errors import Aborted, AlreadyExists, NotFound
from gantry.events import Action
from gantry.index.change_packs import STORED, Cause
from gantry.index.counting import seal_segments
from gantry.index.database import Database, Part
from gantry.index.filling import add_instances
from gantry.index.lookups import find_places, find_rows, find_stored
from gantry.index.refilling import make_room
from gantry.index.refusals import BadValue
from gantry.index.repeating import repeated
from gantry.index.replacement import replace_instances
from gantry.index.shared_transactions import SharedTransactions
from gantry.index.statements import Statement
from gantry.index.tables import dicom_store, instance, segment, server, upload
from gantry.resources import Failure, Instance, Replacement, Uids
from gantry.storage.extents import SUFFIX
from gantry.storage.uris import is_text


class Uploads(Part):
    """Promises: ``index_protocols.UploadIndex``. Requests that store at the same time share a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._shared = SharedTransactions(database)

    def store_instances(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> set[Uids]:
        present: set[Uids] = set()
        if replace:
            self._insert_sound(store_id, instances, replace=True)
            return present
        while True:
            new = [item for item in instances if item.uids not in present]
            try:
                self._insert_sound(store_id, new)
            except AlreadyExists:
                with self.database.read() as connection:
                    present |= find_stored(connection, store_id, [item.uids for item in new]).keys()
            else:
                return present

    def _insert_sound(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> None:
        """As ``_insert``. Where it raises BadValue, all instances are stored that the index can hold."""
        try:
            self._insert(store_id, instances, replace)
        except BadValue:
            for item in instances if len(instances) > 1 else ():
                with suppress(BadValue, AlreadyExists):
                    self._insert(store_id, [item], replace)
            raise

    @repeated
    def _insert(self, store_id: int, instances: Sequence[Instance], replace: bool = False) -> None:
        if not instances:
            return

        def write(connection: Connection) -> None:
            _require_store(connection, store_id)
            now = self.database.now()
            new, cause = _make_room(connection, store_id, instances, now) if replace else (instances, STORED)
            add_instances(connection, store_id, new, now, cause)

        self._shared.run(write)

    @repeated
    def replace_instance(
        self, store_id: int, replacement: Replacement, action: Action = Action.STORE
    ) -> Failure | None:
        with self.database.write() as connection:
            _require_store(connection, store_id)
            now = self.database.now()
            return next(iter(replace_instances(connection, store_id, [replacement], now, action)), None)

    @repeated
    def begin_upload(self, store_id: int) -> int:
        with self.database.write() as connection:
            _require_store(connection, store_id)
            found: Any = connection.execute(
                insert(upload), {"store_id": store_id, "server": self.database.member}
            ).inserted_primary_key
            return int(found[0])

    @repeated
    def end_upload(self, number: int, segments: Sequence[str] = ()) -> None:
        with self.database.write() as connection:
            seal_segments(connection, segments)
            connection.execute(delete(upload).where(upload.c.id == number))

    def find_named(self, keys: Sequence[str]) -> set[str]:
        keys = list(filter(is_text, keys))  # others are files of somebody else
        with self.database.read() as connection:
            named = set(connection.execute(select(segment.c.key).where(segment.c.key.in_(keys))).scalars())
            own = [key for key in keys if key not in named and not key.endswith(SUFFIX)]
            return named | _find_own(connection, own)

    def list_uploads(self) -> list[tuple[int, int]]:
        with self.database.read() as connection:
            gone = upload.c.server.not_in(select(server.c.id))
            return [(row.id, row.store_id) for row in connection.execute(select(upload).where(gone))]


def _find_own(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Reads all rows."""
    query = select(instance.c.blob_key).where(instance.c.blob_key.in_(keys))
    return set(connection.execute(query).scalars()) if keys else set()


def _make_room(
    connection: Connection, store_id: int, instances: Sequence[Instance], now: int
) -> tuple[Sequence[Instance], Cause]:
    """Remove the rows of those that are stored. Returns those that have no row now, and whose place they take: one with
    the same blob is the instance itself, of an earlier call. Raises Aborted where one of them has another storage
    class."""
    wanted = {item.uids: item for item in instances}
    places = find_places(connection, store_id, wanted)
    rows = {places[place]: row for place, row in find_rows(connection, places).items()}
    if any(row.storage_class != wanted[uids].storage_class for uids, row in rows.items()):
        raise Aborted("an instance has another storage class than the one that is stored")
    made = {uids for uids, row in rows.items() if row.blob_key == wanted[uids].blob_key}
    if dead := [row for uids, row in rows.items() if uids not in made]:
        make_room(connection, store_id, dead, now)
    return [item for item in instances if item.uids not in made], Cause(replaced=frozenset(rows.keys() - made))


def _require_store(connection: Connection, store_id: int) -> None:
    if _ALIVE.execute(connection, store_id).first() is None:
        raise NotFound("the DICOM store was deleted just now")


_ALIVE = Statement(
    select(dicom_store.c.id)
    .where(dicom_store.c.id == bindparam("id"), dicom_store.c.deleted.is_(False))
    .with_for_update(read=True),
    "id",
)
