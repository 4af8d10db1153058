"""Instances of a DICOM store: which are there, walks along them in an order that stays, their headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import bindparam, func, select

from gantry.errors import NotFound
from gantry.index.clock import from_micros
from gantry.index.database import Part
from gantry.index.lookups import find_stored
from gantry.index.paths import find_path, is_below, is_instance, no_such_path
from gantry.index.resource_rows import get_store_id, get_store_row
from gantry.index.statements import FEW, CompiledQuery
from gantry.index.stored import select_stored
from gantry.index.tables import header_pack, instance, series, study
from gantry.index.walking import (
    IN_STORE,
    in_series,
    name_path,
    parse_position,
    read_below,
    walk_below,
    walk_series,
    walk_store,
)
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StorageInfo, StoredInstance, Uids


class Instances(Part):
    """Promises: ``index_protocols.InstanceIndex``."""

    def find_stored(self, store_id: int, uids: Iterable[Uids]) -> dict[Uids, StoredInstance]:
        with self.database.read() as connection:
            return find_stored(connection, store_id, uids)

    def count_in_store(self, store_id: int) -> int:
        query = select(func.coalesce(func.sum(series.c.instance_count), 0)).select_from(series)
        query = query.join(study, study.c.id == series.c.study_id).where(study.c.store_id == store_id)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def walk_store(self, store_id: int, after: str = "") -> Iterator[StoredInstance]:
        return walk_store(self.database, store_id, after)

    def require(self, store: DicomStoreName, path: ResourcePath) -> None:
        with self.database.read() as connection:
            find_path(connection, get_store_row(connection, store).id, path)

    def get_storage_info(self, store: DicomStoreName, path: ResourcePath) -> StorageInfo:
        with self.database.read() as connection:
            _, series_id = find_path(connection, get_store_row(connection, store).id, path)
            wanted = instance.c.series_id == series_id, is_instance(path.instance)
            columns = instance.c.size, instance.c.storage_class, instance.c.storage_class_update_time
            row = connection.execute(select(*columns, instance.c.structured_size).where(*wanted)).one_or_none()
        if row is None:
            raise no_such_path(path)
        updated = from_micros(row.storage_class_update_time)
        return StorageInfo(row.size, row.storage_class, updated, row.structured_size)

    def count_below(self, store_id: int, path: ResourcePath) -> int:
        with self.database.read() as connection:
            try:
                found = find_path(connection, store_id, path)
            except NotFound:
                return 0
            if path.instance:
                return 1
            query = select(func.coalesce(func.sum(series.c.instance_count), 0)).where(*is_below(*found))
            return int(connection.execute(query).scalar_one())

    def walk_below(self, store_id: int, path: ResourcePath, after: str = "") -> Iterator[StoredInstance]:
        with self.database.read() as connection:
            try:
                study_id, series_id = find_path(connection, store_id, path)
            except NotFound:
                return
            ids = select(series.c.id).where(*is_below(study_id, series_id))
            numbers = sorted(connection.execute(ids).scalars())
        query = _ONE_IN_SERIES if path.instance else _IN_SERIES
        first, _ = parse_position(after)
        for number in numbers:
            if number >= first:
                yield from walk_series(self.database, query, number, after, store=store_id, instance=path.instance)

    def list_below(self, store: DicomStoreName, path: ResourcePath) -> Iterator[StoredInstance]:
        depth = sum(map(bool, path))
        values: dict[str, Any] = path._asdict()
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            first = read_below(connection, depth, values)
        if not first:
            raise no_such_path(path)
        return walk_below(self.database, depth, values, first)

    def list_transfer_syntaxes(self, store: DicomStoreName, path: ResourcePath) -> list[str]:
        values: dict[str, Any] = path._asdict()
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            return [uid for (uid,) in _SYNTAXES[sum(map(bool, path))].fetch(connection, values)]

    def get_header_packs(self, numbers: Sequence[int]) -> dict[int, bytes]:
        with self.database.read() as connection:
            if len(numbers) > FEW:
                return dict(_PACKS.fetch(connection, {"numbers": numbers}))
            return dict(chain.from_iterable(_PACK.fetch(connection, {"number": number}) for number in numbers))


_SYNTAXES = {
    depth: CompiledQuery(name_path(select_stored().with_only_columns(instance.c.transfer_syntax_uid).distinct(), depth))
    for depth in (1, 2, 3)
}
_PACK, _PACKS = (
    CompiledQuery(select(header_pack.c.id, header_pack.c.data).where(condition))
    for condition in (
        header_pack.c.id == bindparam("number"),
        header_pack.c.id.in_(bindparam("numbers", expanding=True)),
    )
)
_IN_SERIES = in_series(IN_STORE)
_ONE_IN_SERIES = in_series(IN_STORE, instance.c.sop_instance_uid == bindparam("instance"))
