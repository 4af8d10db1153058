"""Instances of a DICOM store: which are there, walks along them in an order that stays, their headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from gantry.errors import NotFound
from gantry.index.clock import from_micros
from gantry.index.database import Part
from gantry.index.lookups import find_blobs, parse_position, select_instances
from gantry.index.paths import find_path, is_below, is_instance, no_such_path
from gantry.index.resource_rows import get_store_id, get_store_row
from gantry.index.searching import INSTANCE_ROW
from gantry.index.tables import header_pack, instance, series, study
from gantry.index.walking import walk_series, walk_store
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundInstance
from gantry.resources import Instance, StorageInfo

PAGE = 1000  # instances per query


class Instances(Part):
    """Promises: ``index_protocols.InstanceIndex``."""

    def find_blobs(self, store_id: int, instances: Sequence[Instance]) -> dict[tuple[str, str, str], str]:
        with self.database.read() as connection:
            return find_blobs(connection, store_id, instances)

    def count_in_store(self, store_id: int) -> int:
        query = select(func.coalesce(func.sum(series.c.instance_count), 0)).select_from(series)
        query = query.join(study, study.c.id == series.c.study_id).where(study.c.store_id == store_id)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def walk_store(self, store_id: int, after: str = "") -> Iterator[tuple[str, Instance]]:
        return walk_store(self.database, store_id, after)

    def require(self, store: DicomStoreName, path: ResourcePath) -> None:
        with self.database.read() as connection:
            find_path(connection, get_store_row(connection, store).id, path)

    def get_storage_info(self, store: DicomStoreName, path: ResourcePath) -> StorageInfo:
        with self.database.read() as connection:
            _, series_id = find_path(connection, get_store_row(connection, store).id, path)
            wanted = instance.c.series_id == series_id, is_instance(path.instance)
            row = connection.execute(select_instances().where(*wanted).order_by(None)).one_or_none()
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

    def walk_below(self, store_id: int, path: ResourcePath, after: str = "") -> Iterator[tuple[str, Instance]]:
        with self.database.read() as connection:
            try:
                study_id, series_id = find_path(connection, store_id, path)
            except NotFound:
                return
            ids = select(series.c.id).where(*is_below(study_id, series_id))
            numbers = sorted(connection.execute(ids).scalars())
        last, uid = parse_position(after)
        query = select_instances().where(study.c.store_id + 0 == store_id)  # not deleted since
        if path.instance:
            query = query.where(is_instance(path.instance))
        for number in numbers:
            if number >= last:
                yield from walk_series(self.database, query, number, uid if number == last else "")

    def list_below(self, store: DicomStoreName, path: ResourcePath) -> Iterator[FoundInstance]:
        depth = sum(map(bool, path))
        values: dict[str, Any] = {"study": path.study, "series": path.series, "instance": path.instance}
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            rows = connection.execute(_FIRST[depth], values).all()
        if not rows:
            raise NotFound(f"{path} does not exist in this DICOM store")
        return self._rest(values, depth, rows)

    def _rest(self, values: dict[str, Any], depth: int, rows: Sequence[Any]) -> Iterator[FoundInstance]:
        while True:
            yield from map(FoundInstance._make, rows)
            if len(rows) < PAGE:
                return
            values |= {"after_series": rows[-1].series_instance_uid, "after": rows[-1].sop_instance_uid}
            with self.database.read() as connection:
                rows = connection.execute(_NEXT[depth], values).all()

    def list_transfer_syntaxes(self, store: DicomStoreName, path: ResourcePath) -> list[str]:
        values: dict[str, Any] = {"study": path.study, "series": path.series, "instance": path.instance}
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            return list(connection.execute(_SYNTAXES[sum(map(bool, path))], values).scalars())

    def get_header_packs(self, numbers: Sequence[int]) -> dict[int, bytes]:
        query = select(header_pack.c.id, header_pack.c.data).where(header_pack.c.id.in_(numbers))
        with self.database.read() as connection:
            return {row.id: row.data for row in connection.execute(query)}


def _below(depth: int) -> Select[Any]:
    query = _named(select(*INSTANCE_ROW), depth)
    return query.order_by(series.c.series_instance_uid, instance.c.sop_instance_uid).limit(PAGE)


def _named(query: Select[Any], depth: int) -> Select[Any]:
    """Rows of what a path of so many UIDs names."""
    query = query.join_from(study, series, series.c.study_id == study.c.id)
    query = query.join(instance, instance.c.series_id == series.c.id)
    query = query.where(study.c.store_id == bindparam("store"), study.c.study_instance_uid == bindparam("study"))
    if depth > 1:
        query = query.where(series.c.series_instance_uid == bindparam("series"))
    if depth > 2:
        query = query.where(instance.c.sop_instance_uid == bindparam("instance"))
    return query


def _after(depth: int) -> Select[Any]:
    """The rest of a series and the series behind it."""
    same = series.c.series_instance_uid == bindparam("after_series")
    later = series.c.series_instance_uid > bindparam("after_series")
    rest = same & (instance.c.sop_instance_uid > bindparam("after"))
    return _below(depth).where(series.c.series_instance_uid >= bindparam("after_series"), rest | later)


_FIRST = {depth: _below(depth) for depth in (1, 2, 3)}
_NEXT = {depth: _after(depth) for depth in (1, 2, 3)}
_SYNTAXES = {depth: _named(select(instance.c.transfer_syntax_uid).distinct(), depth) for depth in (1, 2, 3)}
