"""Instances come in; what studies and series do not say yet, they may."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from gantry.index.insertion import Placed, insert_instances
from gantry.index.lookups import CHUNK
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.tables import series, study
from gantry.index.terms import tell_modalities
from gantry.merging import fill
from gantry.resources import Instance, SeriesAttributes, StudyAttributes


def add_instances(connection: Connection, store_id: int, instances: Sequence[Instance], now: int) -> None:
    """New rows, and what they say of studies and series that do not say it. Raises AlreadyExists.

    The first instance counts; those after it fill what it left open.
    """
    fill_rows(connection, insert_instances(connection, store_id, instances, now))


def fill_rows(connection: Connection, placed: Sequence[Placed]) -> None:
    """Studies and series say what ``placed`` say of them, where they have said nothing."""
    _fill_series(connection, placed)
    _fill_studies(connection, placed)


def _fill_series(connection: Connection, placed: Sequence[Placed]) -> None:
    said: dict[int, dict[SeriesAttributes, None]] = {}
    for item in placed:
        if (description := item.instance.description) is not None:
            said.setdefault(item.series_id, {})[description.series] = None
    retold = set()
    for row in _rows(connection, series, sorted(said)):
        found = before = series_said(row)
        for each in said[row.id]:
            found = fill(found, each)
        if found != before:
            retell_series(connection, row, found)
            retold.add(row.study_id)
    tell_modalities(connection, retold)


def _fill_studies(connection: Connection, placed: Sequence[Placed]) -> None:
    said: dict[int, dict[StudyAttributes, None]] = {}
    for item in placed:
        if (description := item.instance.description) is not None:
            said.setdefault(item.study_id, {})[description.study] = None
    for row in _rows(connection, study, sorted(said)):
        found = before = study_said(row)
        for each in said[row.id]:
            found = fill(found, each)
        if found != before:
            retell_study(connection, row, found)


def _rows(connection: Connection, table: Table, numbers: Sequence[int]) -> Iterator[Row[Any]]:
    for start in range(0, len(numbers), CHUNK):
        query = select(table).where(table.c.id.in_(numbers[start : start + CHUNK]))
        yield from connection.execute(query).all()
