"""What rows say of headers, brought up to date in the background: rows of an older Gantry, which kept no headers, and
studies and series that an older reader has described.

What is written is true of the instances of that moment, or not written at all: a row of a study or series is changed
only where it, its counts and the bytes of the instances that it is made from are still those that were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_, update

from gantry.index.counting import Delta, change_counts
from gantry.index.database import Part
from gantry.index.filling import fill_rows
from gantry.index.insertion import NO_PACK, Packs, Placed, columns_of, insert_packs
from gantry.index.lookups import find_places, find_rows
from gantry.index.repeating import repeated
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.stored import select_stored
from gantry.index.tables import dicom_store, instance, series, study
from gantry.index.terms import tell_modalities
from gantry.resources import (
    READER,
    Instance,
    OutdatedSeries,
    OutdatedStudy,
    SeriesAttributes,
    StoredInstance,
    StudyAttributes,
)


class Descriptions(Part):
    """Promises: ``index_protocols.DescriptionIndex``."""

    def list_undescribed(self, limit: int, after: tuple[int, str] = (0, "")) -> list[tuple[int, StoredInstance]]:
        place = instance.c.series_id, instance.c.sop_instance_uid
        query = select_stored().add_columns(study.c.store_id).where(instance.c.pack_number.is_(None))
        query = query.where(tuple_(*place) > tuple_(*after)).order_by(*place)
        query = query.join(dicom_store, dicom_store.c.id == study.c.store_id).where(dicom_store.c.deleted.is_(False))
        with self.database.read() as connection:
            return [(row.store_id, StoredInstance._make(row[:-1])) for row in connection.execute(query.limit(limit))]

    @repeated
    def describe(self, store_id: int, instances: Sequence[Instance]) -> None:
        with self.database.write() as connection:
            places = find_places(connection, store_id, [item.uids for item in instances])
            rows = {places[place]: row for place, row in find_rows(connection, places).items()}
            # Not where it was stored anew, or moved, since it was read: its header is another one, or is read again.
            there = [
                (row, item)
                for item in instances
                if (row := rows.get(item.uids)) and row.pack_number is None and row.blob_key == item.blob_key
            ]
            placed = [Placed(row.study_id, row.series_id, item) for row, item in there]
            packs = insert_packs(connection, placed)
            for item in placed:
                _write_header(connection, item, packs)
            change_counts(connection, store_id, (_grow(row, item) for row, item in there), self.database.now())
            fill_rows(connection, placed)

    def count_outdated(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).where(study.c.described_by < READER)).scalar_one())

    def list_outdated_studies(self, after: tuple[int, int], limit: int) -> list[OutdatedStudy]:
        place = study.c.described_by, study.c.id
        query = select(study).where(study.c.described_by < READER, tuple_(*place) > tuple_(*after))
        with self.database.read() as connection:
            return [_outdated(row) for row in connection.execute(query.order_by(*place).limit(limit))]

    def list_series(self, study_id: int, after: int, limit: int) -> list[OutdatedSeries]:
        query = select(series).where(series.c.study_id == study_id, series.c.id > after)
        with self.database.read() as connection:
            return [_series(row) for row in connection.execute(query.order_by(series.c.id).limit(limit))]

    def list_first_in_series(self, series_id: int, limit: int) -> list[StoredInstance]:
        return self._first(instance.c.series_id == series_id, limit)

    def list_first_in_study(self, study_id: int, limit: int) -> list[StoredInstance]:
        numbers = select(series.c.id).where(series.c.study_id == study_id)
        return self._first(instance.c.series_id.in_(numbers), limit)

    def _first(self, which: Any, limit: int) -> list[StoredInstance]:
        """As ``StoredInstance.order`` sorts them."""
        order = instance.c.create_time, instance.c.pack_id.is_(None), instance.c.pack_id, instance.c.pack_number
        query = select_stored().where(which).order_by(*order, instance.c.sop_instance_uid).limit(limit)
        with self.database.read() as connection:
            return list(map(StoredInstance._make, connection.execute(query)))

    def are_there(self, places: Iterable[StoredInstance]) -> bool:
        with self.database.read() as connection:
            return _are_there(connection, places)

    def redescribe_series(
        self, study_id: int, before: OutdatedSeries, said: SeriesAttributes, places: Iterable[StoredInstance]
    ) -> bool:
        with self.database.write() as connection:
            mine = series.c.id == before.id, dicom_store.c.id == series.c.store_id, dicom_store.c.deleted.is_(False)
            row = connection.execute(select(series).where(*mine)).one_or_none()
            if row is None or _series(row) != before or not _are_there(connection, places):
                return False
            retell_series(connection, row, said)
            tell_modalities(connection, {study_id})
        return True

    def redescribe_study(self, before: OutdatedStudy, said: StudyAttributes, places: Iterable[StoredInstance]) -> bool:
        with self.database.write() as connection:
            row = connection.execute(select(study).where(study.c.id == before.id)).one_or_none()
            if row is None or _outdated(row) != before or not _are_there(connection, places):
                return False
            retell_study(connection, row, said)
            _mark(connection, [before])
        return True

    @repeated
    def mark_described(self, studies: Sequence[OutdatedStudy]) -> None:
        with self.database.write() as connection:
            _mark(connection, studies)


def _grow(row: Row[Any], item: Instance) -> Delta:
    more = 0 if item.description is None else item.structured_size - row.structured_size
    return Delta(row.study_id, row.series_id, row.storage_class, 0, 0, more)


def _write_header(connection: Connection, item: Placed, packs: Packs) -> None:
    new = item.instance
    row = (instance.c.series_id == item.series_id) & (instance.c.sop_instance_uid == new.sop_instance_uid)
    values = {"pack_number": NO_PACK} if new.description is None else columns_of(item, packs)
    connection.execute(update(instance).where(row).values(values))


def _mark(connection: Connection, studies: Sequence[OutdatedStudy]) -> None:
    numbers = [item.id for item in studies]
    connection.execute(update(study).where(study.c.id.in_(numbers)).values(described_by=READER))


def _are_there(connection: Connection, places: Iterable[StoredInstance]) -> bool:
    # One instance may be among them twice: as it was before a change, and as it is after it.
    wanted = {((place.series_id, place.sop_instance_uid), place.blob_key) for place in places}
    rows = find_rows(connection, {key for key, _ in wanted})
    return all(key in rows and rows[key].blob_key == blob_key for key, blob_key in wanted)


def _outdated(row: Row[Any]) -> OutdatedStudy:
    place = row.described_by, row.id
    return OutdatedStudy(place, row.study_instance_uid, study_said(row), row.series_count, row.instance_count)


def _series(row: Row[Any]) -> OutdatedSeries:
    return OutdatedSeries(row.id, row.series_instance_uid, series_said(row), row.instance_count)
