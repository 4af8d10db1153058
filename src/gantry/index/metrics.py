"""How much a DICOM store, a study or a series holds.

Counts are sums over rows of series, which carry counters: no call reads instances to count them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select, text, union_all

from gantry.holdings import Holding, RecentStore
from gantry.index.database import Part
from gantry.index.paths import find_path, is_below
from gantry.index.resource_rows import IS_ALIVE, get_dataset_row, get_store_row
from gantry.index.tables import dataset, dicom_store, project, series, series_tally, study, tally
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.resources import BlobStorageClass, Growth, Metrics

_SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


class StoreMetrics(Part):
    """Promises: ``index_protocols.MetricsIndex``."""

    def get_metrics(self, store: DicomStoreName, path: ResourcePath | None = None) -> Metrics:
        with self.database.read() as connection:
            store_id = get_store_row(connection, store).id
            columns = (series.c.instance_count, series.c.blob_bytes, series.c.structured_bytes)
            query = select(func.count(), *(func.coalesce(func.sum(column), 0) for column in columns))
            if path is None:
                counted = select(func.count()).select_from(study).where(study.c.store_id == store_id)
                studies = connection.execute(counted).scalar_one()
                query = query.join_from(series, study, study.c.id == series.c.study_id)
                query = query.where(study.c.store_id == store_id)
            else:
                studies, query = 1, query.where(*is_below(*find_path(connection, store_id, path)))
            return Metrics(studies, *connection.execute(query).one())

    def list_growth(self, store: DicomStoreName) -> list[Growth]:
        columns = tally.c.day, tally.c.storage_class, tally.c.instances, tally.c.blob_bytes
        with self.database.read() as connection:
            query = select(*columns).where(tally.c.store_id == get_store_row(connection, store).id)
            return [Growth(*row) for row in connection.execute(query.order_by(tally.c.day, tally.c.storage_class))]

    def list_store_sizes(self, parent: DatasetName) -> dict[str, tuple[int, int]]:
        sums = func.sum(tally.c.instances), func.sum(tally.c.blob_bytes)
        query = select(dicom_store.c.store, *sums).join_from(tally, dicom_store, dicom_store.c.id == tally.c.store_id)
        with self.database.read() as connection:
            number = get_dataset_row(connection, parent).id
            alive = dicom_store.c.dataset_id == number, IS_ALIVE
            rows = connection.execute(query.where(*alive).group_by(dicom_store.c.id, dicom_store.c.store))
            return {row[0]: (row[1], row[2]) for row in rows}

    def list_holdings(self) -> list[Holding]:
        names = dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store
        columns = *names, tally.c.storage_class
        sums = func.sum(tally.c.instances), func.sum(tally.c.blob_bytes)
        query = select(*columns, *sums).join_from(tally, dicom_store, dicom_store.c.id == tally.c.store_id)
        query = query.join(dataset, dataset.c.id == dicom_store.c.dataset_id).where(IS_ALIVE)
        with self.database.read() as connection:
            rows = connection.execute(query.group_by(*columns).order_by(*columns))
            return [Holding(DicomStoreName(*row[:4]), row[4], int(row[5]), int(row[6])) for row in rows]

    def sum_growth(self, first: int, last: int) -> dict[str, int]:
        query = select(tally.c.storage_class, func.sum(tally.c.blob_bytes)).where(tally.c.day.between(first, last))
        alive = select(dicom_store.c.id).where(IS_ALIVE)
        with self.database.read() as connection:
            found = connection.execute(query.where(tally.c.store_id.in_(alive)).group_by(tally.c.storage_class))
            return {row[0]: int(row[1]) for row in found}

    def find_first_day(self) -> int | None:
        alive = select(dicom_store.c.id).where(IS_ALIVE)
        with self.database.read() as connection:
            return connection.execute(select(func.min(tally.c.day)).where(tally.c.store_id.in_(alive))).scalar()

    def list_largest(self, most: int) -> dict[DicomStoreName, tuple[int, int]]:
        count = func.sum(tally.c.instances)
        names = (dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store)
        query = select(*names, count, func.sum(tally.c.blob_bytes)).join_from(
            tally, dicom_store, dicom_store.c.id == tally.c.store_id
        )
        query = query.join(dataset, dataset.c.id == dicom_store.c.dataset_id).where(IS_ALIVE)
        query = query.group_by(dicom_store.c.id, *names).order_by(count.desc(), *names).limit(most)
        with self.database.read() as connection:
            return {DicomStoreName(*row[:4]): (int(row[4]), int(row[5])) for row in connection.execute(query)}

    def list_recent(self, most: int, first: int) -> list[RecentStore]:
        with self.database.read() as connection:
            latest: dict[int, int | None] = {row.id: row.last for row in connection.execute(_latest_stores(most))}
            named, held = _list_named(connection, [*latest]), _sum_stores(connection, [*latest])
            days = _list_days(connection, [*latest], first)
        return [
            RecentStore(named[row][0], *held.get(row, (0, 0)), last, days.get(row, {}), named[row][1])
            for row, last in latest.items()
            if row in named  # else it was deleted meanwhile
        ]

    def measure_bytes(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(text(_SIZES[connection.dialect.name])).scalar_one())

    def list_classes(self, store: DicomStoreName, path: ResourcePath) -> list[tuple[str, int, int]]:
        instances = func.sum(series_tally.c.instances)
        columns = series_tally.c.storage_class, instances, func.sum(series_tally.c.blob_bytes)
        query = select(*columns).join_from(series_tally, series, series.c.id == series_tally.c.series_id)
        query = query.group_by(series_tally.c.storage_class).having(instances > 0)
        with self.database.read() as connection:
            below = is_below(*find_path(connection, get_store_row(connection, store).id, path))
            rows = connection.execute(query.where(*below).order_by(instances.desc(), series_tally.c.storage_class))
            return [(row[0], int(row[1]), int(row[2])) for row in rows]

    def list_modalities(self, store: DicomStoreName) -> list[tuple[str, int, int, int]]:
        instances = func.sum(series.c.instance_count)
        columns = series.c.modality, func.count(), instances, func.sum(series.c.blob_bytes)
        with self.database.read() as connection:
            query = select(*columns).where(series.c.store_id == get_store_row(connection, store).id)
            query = query.group_by(series.c.modality).order_by(instances.desc(), series.c.modality)
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def _latest_stores(most: int) -> Select[Any]:
    """Those that changed last. Each class of each store is one look into the key of the tallies: to group them all took
    half a second where 1,000 stores had a year."""
    by_class = union_all(*(_last_days(each.value) for each in BlobStorageClass)).subquery()
    last = func.max(by_class.c.day).label("last")
    query = select(by_class.c.id, last).group_by(by_class.c.id)
    return query.order_by(last.desc().nulls_last(), by_class.c.id.desc()).limit(most)


def _last_days(storage_class: str) -> Select[Any]:
    of_store = tally.c.store_id == dicom_store.c.id, tally.c.storage_class == storage_class
    day = select(func.max(tally.c.day)).where(*of_store).correlate(dicom_store).scalar_subquery()
    return select(dicom_store.c.id, day.label("day")).where(IS_ALIVE)


def _list_named(connection: Connection, stores: Sequence[int]) -> dict[int, tuple[DicomStoreName, tuple[str, ...]]]:
    """Row of a store → its name, and the policies of it and of all above it."""
    names = (dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store)
    query = select(dicom_store.c.id, *names, dicom_store.c.policy, dataset.c.policy, project.c.policy)
    query = query.join_from(dicom_store, dataset, dataset.c.id == dicom_store.c.dataset_id)
    query = query.outerjoin(project, project.c.project == dataset.c.project).where(
        dicom_store.c.id.in_(stores), IS_ALIVE
    )
    rows = connection.execute(query)
    return {row[0]: (DicomStoreName(*row[1:5]), tuple(filter(None, row[5:]))) for row in rows}


def _sum_stores(connection: Connection, stores: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Row of a store → (instances, bytes)."""
    query = select(tally.c.store_id, func.sum(tally.c.instances), func.sum(tally.c.blob_bytes))
    rows = connection.execute(query.where(tally.c.store_id.in_(stores)).group_by(tally.c.store_id))
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def _list_days(connection: Connection, stores: Sequence[int], first: int) -> dict[int, dict[int, int]]:
    """Row of a store → day → instances gained, from day ``first`` on."""
    query = select(tally.c.store_id, tally.c.day, func.sum(tally.c.instances))
    query = query.where(tally.c.store_id.in_(stores), tally.c.day >= first)
    days: dict[int, dict[int, int]] = {}
    for store, day, count in connection.execute(query.group_by(tally.c.store_id, tally.c.day)):
        days.setdefault(store, {})[day] = int(count)
    return days
