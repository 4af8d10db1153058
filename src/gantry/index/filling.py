"""Instances come in; what studies and series do not say yet, they may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from gantry.index.change_packs import STORED, Cause
from gantry.index.insertion import Placed, insert_instances
from gantry.index.lookups import CHUNK
from gantry.index.retelling import retell_series, retell_study, series_said, study_said
from gantry.index.statements import FEW, by_columns
from gantry.index.tables import series, study
from gantry.index.terms import tell_modalities
from gantry.merging import Attributes, fill
from gantry.resources import Instance, SeriesAttributes, StudyAttributes

_NONE: Mapping[int, Any] = MappingProxyType({})


def add_instances(
    connection: Connection, store_id: int, instances: Sequence[Instance], now: int, cause: Cause = STORED
) -> None:
    """New rows, and what they say of studies and series that do not say it. Raises AlreadyExists.

    The first instance counts; those after it fill what it left open.
    """
    fill_rows(connection, *insert_instances(connection, store_id, instances, now, cause))


def fill_rows(
    connection: Connection,
    placed: Sequence[Placed],
    studies: Mapping[int, StudyAttributes] = _NONE,
    all_series: Mapping[int, SeriesAttributes] = _NONE,
) -> None:
    """Studies and series say what ``placed`` say of them, where they have said nothing.

    ``studies`` and ``all_series`` are what some of them are known to say: rows that would not change are not read.
    """
    described = [(item, item.instance.description) for item in placed if item.instance.description is not None]
    _fill_series(connection, _collect(((item.series_id, said.series) for item, said in described), all_series))
    _fill_studies(connection, _collect(((item.study_id, said.study) for item, said in described), studies))


def _collect(
    every: Iterable[tuple[int, Attributes]], known: Mapping[int, Attributes]
) -> dict[int, dict[Attributes, None]]:
    """What is said of rows by their number, each once; without those that say nothing else themselves."""
    found: dict[int, dict[Attributes, None]] = {}
    last: tuple[int, object] = (0, None)
    for number, said in every:
        if last != (number, id(said)):  # instances of one series share the object; to compare it costs more
            last = number, id(said)
            if (before := known.get(number)) is not said and before != said:
                found.setdefault(number, {})[said] = None
    return found


def _fill_series(connection: Connection, said: Mapping[int, Iterable[SeriesAttributes]]) -> None:
    retold = set()
    for row in _rows(connection, series, sorted(said)):
        found = before = series_said(row)
        for each in said[row.id]:
            found = fill(found, each)
        if found != before:
            retell_series(connection, row, found)
            retold.add(row.study_id)
    tell_modalities(connection, retold)


def _fill_studies(connection: Connection, said: Mapping[int, Iterable[StudyAttributes]]) -> None:
    for row in _rows(connection, study, sorted(said)):
        found = before = study_said(row)
        for each in said[row.id]:
            found = fill(found, each)
        if found != before:
            retell_study(connection, row, found)


def _rows(connection: Connection, table: Table, numbers: Sequence[int]) -> Iterator[Row[Any]]:
    if len(numbers) <= FEW:
        for rows in by_columns(table.c.id).fetch_each(connection, [(number,) for number in numbers]):
            yield from rows
        return
    for start in range(0, len(numbers), CHUNK):
        query = select(table).where(table.c.id.in_(numbers[start : start + CHUNK]))
        yield from connection.execute(query).all()
