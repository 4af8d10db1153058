"""What the sweeper removes: blobs that have lost their rows, and what lies below deleted stores, studies and series."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select

from gantry.holdings import Unswept
from gantry.index.counting import discard_blobs
from gantry.index.database import Part, with_reserve
from gantry.index.purging import PIECE, purge
from gantry.index.repeating import repeated
from gantry.index.tables import change_start, dicom_store, garbage, saved_search, series, tally

_IS_REMOVED = dicom_store.c.deleted.is_(True), dicom_store.c.removed_from.is_not(None)


class Garbage(Part):
    """Promises: ``index_protocols.GarbageIndex``."""

    def list_deleted_stores(self) -> list[int]:
        query = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(True), dicom_store.c.removed_from.is_(None))
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    @with_reserve
    @repeated
    def purge_store(self, store_id: int, limit: int = PIECE) -> bool:
        with self.database.write() as connection:
            return purge(connection, store_id, limit, keep_list=False)

    @with_reserve
    @repeated
    def forget_store(self, store_id: int) -> None:
        with self.database.write() as connection:
            connection.execute(delete(dicom_store).where(dicom_store.c.id == store_id, dicom_store.c.deleted.is_(True)))
            for table in (tally, saved_search, change_start):
                gone = table.c.store_id.not_in(select(dicom_store.c.id))
                connection.execute(delete(table).where(table.c.store_id == store_id, gone))

    @with_reserve
    @repeated
    def purge_removed(self, limit: int = PIECE) -> bool:
        with self.database.read() as connection:
            number = connection.execute(select(dicom_store.c.id).where(*_IS_REMOVED).limit(1)).scalar()
        if number is None:
            return True
        with self.database.write() as connection:
            if purge(connection, number, limit, keep_list=True):
                connection.execute(delete(dicom_store).where(dicom_store.c.id == number, *_IS_REMOVED))
        return False

    def list_blobs(self, after: str = "", limit: int = 1000) -> list[str]:
        query = select(garbage.c.blob_key).where(garbage.c.blob_key > after).order_by(garbage.c.blob_key)
        with self.database.read() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def measure_unswept(self, most: int) -> Unswept:
        listed = select(garbage.c.blob_key).limit(most).subquery()
        deleted = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(True))
        below = select(func.count(), func.coalesce(func.sum(series.c.blob_bytes), 0)).where(
            series.c.store_id.in_(deleted)
        )
        with self.database.read() as connection:
            blobs = connection.execute(select(func.count()).select_from(listed)).scalar_one()
            count, size = connection.execute(below).one()
            return Unswept(blobs, count, int(size))

    @repeated
    def add_blobs(self, keys: Sequence[str]) -> None:
        with self.database.write() as connection:
            discard_blobs(connection, keys)

    @with_reserve
    @repeated
    def forget_blobs(self, keys: Sequence[str]) -> None:
        with self.database.write() as connection:
            connection.execute(delete(garbage).where(garbage.c.blob_key.in_(keys)))
