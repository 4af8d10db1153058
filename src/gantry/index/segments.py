"""Segments: what is left in them, for ``gantry storage`` and for compaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Integer, String, case, func, literal_column, select

from gantry.errors import Aborted
from gantry.index.blob_keys import BLOB_KEY, join_segments
from gantry.index.changes import apply_changes
from gantry.index.counting import seal_segments
from gantry.index.database import Part
from gantry.index.dialect import position
from gantry.index.repeating import repeated
from gantry.index.tables import dataset, dicom_store, instance, operation, segment
from gantry.names import DicomStoreName
from gantry.resources import Change, Failure, Segment, SegmentTotals
from gantry.storage.extents import SMALL_BYTES

# Without values that are bound: PostgreSQL takes two of them for different ones, and so the places they are in.
_SLASH, _ONE = literal_column("'/'", String), literal_column("1", Integer)
_PLACE = func.substr(segment.c.key, _ONE, position(segment.c.key, _SLASH) - _ONE).label("place")
_SUMS = [func.sum(segment.c[name]) for name in ("bytes", "live_instances", "live_bytes")]
_SMALL = func.sum(case((segment.c.bytes < SMALL_BYTES, 1), else_=0))
_TOTALS = (
    select(segment.c.store_id, _PLACE, func.count(), *_SUMS, _SMALL)
    .group_by(segment.c.store_id, _PLACE)
    .order_by(segment.c.store_id, _PLACE)
)
_NAMES = (
    select(dicom_store.c.id, dataset.c.project, dataset.c.location, dataset.c.dataset, dicom_store.c.store)
    .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
    .where(dicom_store.c.deleted.is_(False))
)


def _is_busy(connection: Connection, store_id: int) -> bool:
    mine = operation.c.end_time.is_(None), operation.c.store_id == store_id
    return connection.execute(select(operation.c.id).where(*mine).limit(1)).first() is not None


class Segments(Part):
    """Promises: ``index_protocols.SegmentIndex``."""

    def list_sparse(self, limit: int, share: float, after: str = "") -> list[Segment]:
        is_sparse = segment.c.sealed.is_(True), segment.c.live_bytes < segment.c.bytes * share
        query = select(*(segment.c[name] for name in Segment._fields)).where(segment.c.key > after, *is_sparse)
        query = query.join(dicom_store, dicom_store.c.id == segment.c.store_id).where(dicom_store.c.deleted.is_(False))
        with self.database.read() as connection:
            return [Segment._make(row) for row in connection.execute(query.order_by(segment.c.key).limit(limit))]

    def list_small(self, limit: int, size: int, least: int, after: str = "") -> list[Segment]:
        is_small = segment.c.sealed.is_(True), segment.c.bytes < size, segment.c.live_instances > 0
        alive = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))
        groups = select(segment.c.store_id, _PLACE, func.max(segment.c.key).label("last")).where(
            segment.c.key > after, *is_small, segment.c.store_id.in_(alive)
        )
        groups = groups.group_by(segment.c.store_id, _PLACE).having(func.count() >= least).order_by(_PLACE, "last")
        found = select(*(segment.c[name] for name in Segment._fields)).where(segment.c.key > after, *is_small)
        with self.database.read() as connection:
            group = connection.execute(groups.limit(1)).one_or_none()
            if group is None:
                return []
            mine = found.where(segment.c.store_id == group.store_id, group.place == _PLACE)
            return [Segment._make(row) for row in connection.execute(mine.order_by(segment.c.key).limit(limit))]

    def is_busy(self, store_id: int) -> bool:
        with self.database.read() as connection:
            return _is_busy(connection, store_id)

    @repeated
    def move_instances(self, store_id: int, moves: Sequence[Change], segments: Sequence[str]) -> tuple[Failure, ...]:
        with self.database.write() as connection:
            if _is_busy(connection, store_id):
                raise Aborted("an operation of this DICOM store is not done; its instances are moved afterwards")
            lost = apply_changes(connection, store_id, moves, self.database.now(), moves=True)
            seal_segments(connection, segments)
        return lost

    def list_named(self, key: str, known: Collection[str]) -> list[str]:
        columns = segment.c.id, segment.c.live_instances
        with self.database.read() as connection:
            row = connection.execute(select(*columns).where(segment.c.key == key)).one_or_none()
            if row is None or row.live_instances <= len(known):
                return list(known)
            inside = join_segments(select(BLOB_KEY).select_from(instance)).where(instance.c.segment_id == row.id)
            return list(connection.execute(inside).scalars())

    def list_stores(self) -> list[int]:
        with self.database.read() as connection:
            return [row.id for row in connection.execute(_NAMES.order_by(dicom_store.c.id))]

    def find_names(self, store_ids: Collection[int]) -> dict[int, DicomStoreName]:
        with self.database.read() as connection:
            rows = connection.execute(_NAMES.where(dicom_store.c.id.in_(store_ids)))
            return {row[0]: DicomStoreName(*row[1:]) for row in rows}

    def list_totals(self) -> list[SegmentTotals]:
        with self.database.read() as connection:
            rows = connection.execute(_TOTALS).all()
            names = {row[0]: DicomStoreName(*row[1:]) for row in connection.execute(_NAMES)}
        return [SegmentTotals(names.get(row[0]), *row) for row in rows]
