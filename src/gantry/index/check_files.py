"""Objects in the directories of blobs: who names them, or will remove them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Connection, select

from gantry.index.rests import find_garbage, find_late
from gantry.index.tables import dicom_store, instance, operation, segment, upload
from gantry.storage.uris import is_text

_LOT = re.compile(r"[^/]+/(\d+)/stow/(\d+)/")
_OPERATION = re.compile(r"[^/]+/(\d+)/(\d+)/")


def find_unclaimed(connection: Connection, objects: Sequence[str]) -> set[str]:
    left = set(objects) - _in_column(connection, segment.c.key, objects)
    left -= find_garbage(connection, left)
    late = find_late(connection)
    left = {key for key in left if not key.startswith(late)}
    stores = set(connection.execute(select(dicom_store.c.id).where(dicom_store.c.deleted.is_(True))).scalars())
    lots = set(connection.execute(select(upload.c.id)).scalars())
    running = set(connection.execute(select(operation.c.id).where(operation.c.end_time.is_(None))).scalars())
    left = {key for key in left if not _will_be_swept(key, stores, lots, running)}
    return left - _in_column(connection, instance.c.blob_key, left)


def _in_column(connection: Connection, column: object, keys: object) -> set[str]:
    wanted = list(filter(is_text, keys))  # type: ignore[call-overload]
    if not wanted:
        return set()
    return set(connection.execute(select(column).where(column.in_(wanted))).scalars())  # type: ignore[call-overload, attr-defined]


def _will_be_swept(key: str, stores: set[int], lots: set[int], running: set[int]) -> bool:
    if found := _LOT.match(key):
        return int(found[1]) in stores or int(found[2]) in lots
    if found := _OPERATION.match(key):
        return int(found[1]) in stores or int(found[2]) in running
    return False
