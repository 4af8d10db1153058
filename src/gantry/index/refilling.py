"""Instances whose place is taken by others with the same UIDs: their series and studies keep their numbers.

A walk, and what a filter file has selected, finds a series by its number: one with another number would be left out,
although its instance was there at every moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, select

from gantry.index.lookups import CHUNK
from gantry.index.removal import take_out
from gantry.index.retelling import retell_series, retell_study
from gantry.index.tables import header_pack, series, series_tally, study
from gantry.index.terms import tell_modalities
from gantry.resources import SeriesAttributes, StudyAttributes


def make_room(connection: Connection, store_id: int, rows: Sequence[Row[Any]], now: int) -> None:
    """Remove instances, before others take their place in the same transaction. ``rows``: of ``find_rows``.

    Series and studies that are empty meanwhile say nothing, so that they say what comes as new ones would.
    """
    take_out(connection, store_id, rows, now)
    cleared = set()
    for row in _find_empty(connection, series, {row.series_id for row in rows}):
        _clear_series(connection, row)
        cleared.add(row.study_id)
    tell_modalities(connection, cleared)
    for row in _find_empty(connection, study, cleared):
        retell_study(connection, row, StudyAttributes())


def _find_empty(connection: Connection, table: Table, numbers: Collection[int]) -> Iterator[Row[Any]]:
    ordered = sorted(numbers)
    for start in range(0, len(ordered), CHUNK):
        is_empty = table.c.id.in_(ordered[start : start + CHUNK]), table.c.instance_count == 0
        yield from connection.execute(select(table).where(*is_empty)).all()


def _clear_series(connection: Connection, row: Row[Any]) -> None:
    for table in (header_pack, series_tally):
        connection.execute(delete(table).where(table.c.series_id == row.id))
    retell_series(connection, row, SeriesAttributes())
