"""What lies below a DICOM store, a study, a series: metrics, one instance's storage, a walk along one path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from gantry.errors import NotFound
from gantry.index.instances import Instances, _position, _to_instance, _walk_query
from gantry.index.operations import from_micros
from gantry.index.resources import _ALIVE, _dataset_row, _dicom_store_row
from gantry.index.tables import dicom_store, instance, series, study, tally
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.resources import Growth, Instance, Metrics, StorageInfo

_PAGE = 1000  # instances per query of a walk


class Contents(Instances):
    """Counts are sums over rows of series, which carry counters: no call reads instances to count them."""

    def metrics(self, store: DicomStoreName, path: ResourcePath | None = None) -> Metrics:
        """Of a store, or of the study or series ``path``. Raises NotFound."""
        with self._read() as connection:
            store_id = _dicom_store_row(connection, store).id
            columns = (series.c.instance_count, series.c.blob_bytes, series.c.structured_bytes)
            query = select(func.count(), *(func.coalesce(func.sum(column), 0) for column in columns))
            if path is None:
                counted = select(func.count()).select_from(study).where(study.c.store_id == store_id)
                studies = connection.execute(counted).scalar_one()
                query = query.join_from(series, study, study.c.id == series.c.study_id)
                query = query.where(study.c.store_id == store_id)
            else:
                studies, query = 1, query.where(*_series_below(*find(connection, store_id, path)))
            return Metrics(studies, *connection.execute(query).one())

    def growth(self, store: DicomStoreName) -> list[Growth]:
        """By day and storage class, in the order of days. Raises NotFound."""
        columns = tally.c.day, tally.c.storage_class, tally.c.instances, tally.c.blob_bytes
        with self._read() as connection:
            query = select(*columns).where(tally.c.store_id == _dicom_store_row(connection, store).id)
            return [Growth(*row) for row in connection.execute(query.order_by(tally.c.day, tally.c.storage_class))]

    def store_sizes(self, parent: DatasetName) -> dict[str, tuple[int, int]]:
        """Instances and bytes of the stores of a dataset that ever held anything, by their ids."""
        sums = func.sum(tally.c.instances), func.sum(tally.c.blob_bytes)
        query = select(dicom_store.c.store, *sums).join_from(tally, dicom_store, dicom_store.c.id == tally.c.store_id)
        with self._read() as connection:
            number = _dataset_row(connection, parent).id
            alive = dicom_store.c.dataset_id == number, _ALIVE
            rows = connection.execute(query.where(*alive).group_by(dicom_store.c.id, dicom_store.c.store))
            return {row[0]: (row[1], row[2]) for row in rows}

    def modalities(self, store: DicomStoreName) -> list[tuple[str, int, int, int]]:
        """Modality, series, instances and bytes of what a store holds, the most instances first. Raises NotFound."""
        instances = func.sum(series.c.instance_count)
        columns = series.c.modality, func.count(), instances, func.sum(series.c.blob_bytes)
        with self._read() as connection:
            query = select(*columns).where(series.c.store_id == _dicom_store_row(connection, store).id)
            query = query.group_by(series.c.modality).order_by(instances.desc(), series.c.modality)
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]

    def require(self, store: DicomStoreName, path: ResourcePath) -> None:
        """Raises NotFound when the store is not there, or nothing that ``path`` names is in it."""
        with self._read() as connection:
            find(connection, _dicom_store_row(connection, store).id, path)

    def storage_info(self, store: DicomStoreName, path: ResourcePath) -> StorageInfo:
        """Of one instance. Raises NotFound."""
        with self._read() as connection:
            _, series_id = find(connection, _dicom_store_row(connection, store).id, path)
            query = _walk_query().where(instance.c.series_id == series_id, _is(path.instance)).order_by(None)
            row = connection.execute(query).one_or_none()
        if row is None:
            raise _missing(path)
        updated = from_micros(row.storage_class_update_time)
        return StorageInfo(row.size, row.storage_class, updated, row.structured_size)

    def count_below(self, store_id: int, path: ResourcePath) -> int:
        """How many instances a path names; 0 when it names nothing."""
        with self._read() as connection:
            try:
                found = find(connection, store_id, path)
            except NotFound:
                return 0
            if path.instance:
                return 1
            query = select(func.coalesce(func.sum(series.c.instance_count), 0)).where(*_series_below(*found))
            return int(connection.execute(query).scalar_one())

    def instances_below(self, store_id: int, path: ResourcePath, after: str = "") -> Iterator[tuple[str, Instance]]:
        """Like ``instances``, those that a path names; nothing when it names nothing."""
        with self._read() as connection:
            try:
                study_id, series_id = find(connection, store_id, path)
            except NotFound:
                return
            ids = select(series.c.id).where(*_series_below(study_id, series_id))
            numbers = sorted(connection.execute(ids).scalars())
        last, uid = _position(after)
        query = _walk_query().where(_is(path.instance)) if path.instance else _walk_query()
        for number in numbers:
            if number >= last:
                yield from self._one_series(query, number, uid if number == last else "")

    def _one_series(self, query: Select[Any], number: int, after: str) -> Iterator[tuple[str, Instance]]:
        """Those of a walk's query that lie in one series; the query may bind ``series``, too."""
        uid = instance.c.sop_instance_uid
        query = query.where(instance.c.series_id == bindparam("series"), uid > bindparam("after")).limit(_PAGE)
        while True:
            with self._read() as connection:
                rows = connection.execute(query, {"series": number, "after": after}).all()
            for row in rows:
                yield f"{number}/{row.sop_instance_uid}", _to_instance(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1].sop_instance_uid


def find(connection: Connection, store_id: int, path: ResourcePath) -> tuple[int, int]:
    """Ids of the study and series of a path; the latter 0 for the path of a study. Raises NotFound at every level."""
    is_study = study.c.store_id == store_id, study.c.study_instance_uid == path.study
    study_id = connection.execute(select(study.c.id).where(*is_study)).scalar()
    if study_id is None:
        raise _missing(path)
    if not path.series:
        return study_id, 0
    is_series = series.c.study_id == study_id, series.c.series_instance_uid == path.series
    series_id = connection.execute(select(series.c.id).where(*is_series)).scalar()
    if series_id is None:
        raise _missing(path)
    if path.instance:
        is_instance = instance.c.series_id == series_id, _is(path.instance)
        if connection.execute(select(instance.c.series_id).where(*is_instance)).scalar() is None:
            raise _missing(path)
    return study_id, series_id


def _series_below(study_id: int, series_id: int) -> tuple[Any, ...]:
    return (series.c.id == series_id,) if series_id else (series.c.study_id == study_id,)


def _is(sop_instance_uid: str) -> Any:
    return instance.c.sop_instance_uid == sop_instance_uid


def _missing(path: ResourcePath) -> NotFound:
    return NotFound(f"{path} does not exist in this DICOM store")
