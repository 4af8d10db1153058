"""Studies and series that an older reader has described: found, and told anew in small transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_, update

from gantry.index.headers import HeaderPacks
from gantry.index.insertion import NO_PACK, tell_modalities
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.tables import instance, series, study
from gantry.resources import (
    READER,
    HeaderPlace,
    OutdatedSeries,
    OutdatedStudy,
    SeriesAttributes,
    StudyAttributes,
)

_LAST = 1 << 62  # behind every pack: an instance without one does not say when in its batch it came


class Redescription(HeaderPacks):
    """What is written is true of the instances of that moment, or not written at all: a row is changed only where it,
    its counts and the bytes of the instances that it is made from are still those that were read."""

    def count_outdated(self) -> int:
        """Studies that an older reader has described."""
        with self._read() as connection:
            return int(connection.execute(select(func.count()).where(study.c.described_by < READER)).scalar_one())

    def outdated_studies(self, after: tuple[int, int], limit: int) -> list[OutdatedStudy]:
        """Those whose position is behind ``after``, in their order."""
        place = study.c.described_by, study.c.id
        query = select(study).where(study.c.described_by < READER, tuple_(*place) > tuple_(*after))
        with self._read() as connection:
            return [_outdated(row) for row in connection.execute(query.order_by(*place).limit(limit))]

    def series_of(self, study_id: int, after: int, limit: int) -> list[OutdatedSeries]:
        """The series of a study whose numbers are above ``after``, in their order."""
        query = select(series).where(series.c.study_id == study_id, series.c.id > after)
        with self._read() as connection:
            return [_series(row) for row in connection.execute(query.order_by(series.c.id).limit(limit))]

    def first_in_series(self, series_id: int, limit: int) -> list[HeaderPlace]:
        """Where the headers of those instances are that came first."""
        return self._first(instance.c.series_id == series_id, limit)

    def first_in_study(self, study_id: int, limit: int) -> list[HeaderPlace]:
        """The same of all series of a study."""
        numbers = select(series.c.id).where(series.c.study_id == study_id)
        return self._first(instance.c.series_id.in_(numbers), limit)

    def _first(self, which: Any, limit: int) -> list[HeaderPlace]:
        # A batch has one time; in it, packs and their numbers are in the order of the instances.
        pack_id = func.coalesce(instance.c.pack_id, _LAST)
        columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.blob_key, instance.c.create_time
        query = select(*columns, instance.c.pack_id, instance.c.pack_number, pack_id.label("place")).where(which)
        query = query.order_by(instance.c.create_time, pack_id, instance.c.pack_number, instance.c.sop_instance_uid)
        with self._read() as connection:
            return [_place(row) for row in connection.execute(query.limit(limit))]

    def are_there(self, places: Iterable[HeaderPlace]) -> bool:
        """Whether the instances are there, with the bytes that they had."""
        with self._read() as connection:
            return _are_there(connection, places)

    def redescribe_series(
        self, study_id: int, before: OutdatedSeries, said: SeriesAttributes, places: Iterable[HeaderPlace]
    ) -> bool:
        """False where something has changed since ``before`` and ``places`` were read: nothing is written then."""
        with self._write() as connection:
            row = connection.execute(select(series).where(series.c.id == before.id)).one_or_none()
            if row is None or _series(row) != before or not _are_there(connection, places):
                return False
            retell_series(connection, row, said)
            tell_modalities(connection, {study_id})
        return True

    def redescribe_study(self, before: OutdatedStudy, said: StudyAttributes, places: Iterable[HeaderPlace]) -> bool:
        """The same of a study, which is up to date then."""
        with self._write() as connection:
            row = connection.execute(select(study).where(study.c.id == before.id)).one_or_none()
            if row is None or _outdated(row) != before or not _are_there(connection, places):
                return False
            retell_study(connection, row, said)
            _mark(connection, [before])
        return True

    def mark_described(self, studies: Sequence[OutdatedStudy]) -> None:
        """They are up to date, and say what they should. Those that are gone are none."""
        with self._write() as connection:
            _mark(connection, studies)


def _mark(connection: Connection, studies: Sequence[OutdatedStudy]) -> None:
    numbers = [item.id for item in studies]
    connection.execute(update(study).where(study.c.id.in_(numbers)).values(described_by=READER))


def _are_there(connection: Connection, places: Iterable[HeaderPlace]) -> bool:
    for place in places:
        row = instance.c.series_id == place.series_id, instance.c.sop_instance_uid == place.sop_instance_uid
        if connection.execute(select(instance.c.blob_key).where(*row)).scalar() != place.blob_key:
            return False
    return True


def _outdated(row: Row[Any]) -> OutdatedStudy:
    place = row.described_by, row.id
    return OutdatedStudy(place, row.study_instance_uid, study_said(row), row.series_count, row.instance_count)


def _series(row: Row[Any]) -> OutdatedSeries:
    return OutdatedSeries(row.id, row.series_instance_uid, series_said(row), row.instance_count)


def _place(row: Any) -> HeaderPlace:
    number = NO_PACK if row.pack_number is None else row.pack_number
    order = row.create_time, row.place, number
    return HeaderPlace(order, row.series_id, row.sop_instance_uid, row.blob_key, row.pack_id, number)
