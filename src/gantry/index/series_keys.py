"""Keys of series that are looked up in a whole store: when their procedure step began, and what was requested (PS3.18
Table 10.6.1-5).

A key that few series have is looked up, and what was found is sorted. Where many have it, series are read in the order
of the answer: a page is soon full. SQLite cannot know, so the series that have it are counted first, up to ``FEW``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, literal_column, select
from sqlalchemy.sql.util import ClauseAdapter

from gantry.index.conditions import REQUESTED, Condition, make_clause
from gantry.index.tables import HAS_START, series, series_request

FEW = {"start": 20_000, "request": 2000}
"""Series that are looked up and sorted in some 20 ms. Those of a day may all have the last UIDs of the store, so that a
page of them would be found at the end of a million."""
_FIELDS = {"start": ("start_date", "start_time"), "request": REQUESTED}
KEYS = frozenset(field for fields in _FIELDS.values() for field in fields)
_other = series.alias("other")


def list_keys(conditions: Sequence[Condition]) -> list[str]:
    """Which of the keys ``start`` and ``request`` are searched for."""
    return [key for key in _FIELDS if _make_clauses(key, conditions)]


def count_candidates(key: str, conditions: Sequence[Condition]) -> Select[Any]:
    """The number of series in the store with a key, at most one more than ``FEW``."""
    return select(func.count()).select_from(_select_candidates(key, conditions).limit(FEW[key] + 1).subquery("counted"))


def make_key_clauses(conditions: Sequence[Condition], few: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """The conditions on the keys. Those in ``few`` are looked up; the others are compared series by series."""
    for key in list_keys(conditions):
        if key in few:
            yield series.c.id.in_(_select_candidates(key, conditions))
        elif key == "start":
            yield from _make_clauses(key, conditions)
        else:
            mine = series_request.c.series_id == series.c.id
            yield exists().where(mine, *_make_clauses(key, conditions)).correlate(series)


def _select_candidates(key: str, conditions: Sequence[Condition]) -> Select[Any]:
    """Numbers of series. One item of a sequence has all that is asked of it (PS3.4 §C.2.2.2.6)."""
    clauses = _make_clauses(key, conditions)
    if key == "request":
        return select(series_request.c.series_id).where(series_request.c.store_id == bindparam("store"), *clauses)
    adapter = ClauseAdapter(_other)
    in_store: tuple[ColumnElement[bool], ...] = (
        _other.c.store_id == bindparam("store"),
        literal_column(f"({HAS_START})"),
    )
    return select(_other.c.id).where(*in_store, *map(adapter.traverse, clauses))


def _make_clauses(key: str, conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
    return [make_clause(each, number) for number, each in enumerate(conditions) if each.field in _FIELDS[key]]
