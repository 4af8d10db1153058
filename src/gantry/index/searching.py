"""Searches in SQL. Statements are made once per shape of a query, so that a search costs little more than SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from gantry.index.conditions import Condition, is_modality, make_clause, read_match
from gantry.index.database import Part
from gantry.index.dialect import without_index
from gantry.index.resource_rows import get_store_id
from gantry.index.series_keys import FEW, KEYS, count_candidates, list_keys, make_key_clauses
from gantry.index.statements import CompiledQuery
from gantry.index.stored import select_stored
from gantry.index.tables import instance, series, study, study_modality
from gantry.names import DicomStoreName
from gantry.queries import FoundSeries, FoundStudy, Level, Query, StudyTotals
from gantry.resources import SeriesAttributes, StoredInstance, StudyAttributes
from gantry.short_members import lengthen_series, lengthen_study

_STUDY_SAID = [study.c[name] for name in StudyAttributes._fields]
_SERIES_SAID = [series.c[name] for name in SeriesAttributes._fields]
_STUDY_ROW = [*_STUDY_SAID, *(study.c[name] for name in FoundStudy._fields if name not in StudyAttributes._fields)]
_SERIES_ROW = [*_SERIES_SAID, series.c.series_instance_uid, series.c.instance_count, *_STUDY_ROW]


class _Shape(NamedTuple):
    """All of a query that its statement depends on. ``depth`` is how many UIDs the address gives, ``after`` how many
    say where the answer begins, ``few`` the keys of series that only few have; see ``series_keys``."""

    level: Level
    depth: int
    after: int
    conditions: tuple[Condition, ...]
    few: frozenset[str] = frozenset()


class Search(Part):
    """Every search reads an index in the order of its answer: nothing in it grows with the instances of a store."""

    def search_studies(self, store: DicomStoreName, query: Query) -> list[FoundStudy]:
        return list(map(_found_study, self._search(store, query)))

    def count_studies(self, store: DicomStoreName, query: Query) -> StudyTotals:
        ((studies, series_count, instances),) = self._search(store, query, _count)
        return StudyTotals(studies, int(series_count), int(instances))

    def search_series(self, store: DicomStoreName, query: Query) -> list[FoundSeries]:
        return list(map(_found_series, self._search(store, query)))

    def search_instances(self, store: DicomStoreName, query: Query) -> list[StoredInstance]:
        return [StoredInstance._make(row) for row in self._search(store, query)]

    def _search(
        self, store: DicomStoreName, query: Query, make: Callable[[_Shape], CompiledQuery] | None = None
    ) -> Sequence[Any]:
        values: dict[str, Any] = {"limit": query.limit, "offset": query.offset}
        values |= {f"path{place}": uid for place, uid in enumerate(query.path) if uid}
        conditions = []
        for number, match in enumerate(query.matches):
            condition, bound = read_match(match)
            conditions.append(condition)
            values |= {f"m{number}_{place}": value for place, value in enumerate(bound)}
        values |= {f"after{place}": uid for place, uid in enumerate(query.after)}
        shape = _Shape(query.level, sum(map(bool, query.path)), len(query.after), tuple(conditions))
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            shape = shape._replace(few=_find_few(connection, shape, values))
            return (make or _statement)(shape).fetch(connection, values)


def _find_few(connection: Connection, shape: _Shape, values: dict[str, Any]) -> frozenset[str]:
    """The keys of series that only few series of the store have; none where something else is looked up first."""
    if shape.depth or _looks_up_study(shape):
        return frozenset()
    return frozenset(
        key
        for key in list_keys(shape.conditions)
        if _count_candidates(key, shape.conditions).fetch(connection, values)[0][0] <= FEW[key]
    )


def _found_study(row: Any) -> FoundStudy:
    uid, *others = row[len(_STUDY_SAID) : len(_STUDY_ROW)]
    return FoundStudy(uid, *lengthen_study(row[: len(_STUDY_SAID)]), *others)


def _found_series(row: Any) -> FoundSeries:
    its_own = len(_SERIES_SAID)
    uid, count = row[its_own : its_own + 2]
    its_study = _found_study(row[its_own + 2 :])
    return FoundSeries(its_study.study_instance_uid, uid, *lengthen_series(row[:its_own]), count, its_study)


# --- shapes to statements


@lru_cache(maxsize=1000)
def _statement(shape: _Shape) -> CompiledQuery:
    return CompiledQuery(_select(shape))


@lru_cache(maxsize=200)
def _count(shape: _Shape) -> CompiledQuery:
    found = _select(shape).subquery()
    sums = (func.coalesce(func.sum(found.c[name]), 0) for name in ("series_count", "instance_count"))
    return CompiledQuery(select(func.count(), *sums).select_from(found))


@lru_cache(maxsize=100)
def _count_candidates(key: str, conditions: tuple[Condition, ...]) -> CompiledQuery:
    return CompiledQuery(count_candidates(key, conditions))


def _select(shape: _Shape) -> Select[Any]:
    """SQLite, which knows nothing of how rare a value is, is told where to begin.

    A rare study is looked up, and what was found is sorted; everything else is read in the order of the answer.
    ``without_index`` keeps it from another index.
    """
    if shape.level is Level.STUDY and [item.kind for item in shape.conditions] in (["modality"], ["modalities"]):
        return _by_modality(shape.conditions[0])
    by_key = _has_key(shape)
    by_id = not by_key and (bool(shape.few) or _looks_up_study(shape))
    query = _FROM[shape.level](by_key or by_id)
    whose = study if shape.level is Level.STUDY or shape.depth or by_key or by_id else series
    store_id = without_index(whose.c.store_id) if by_id and not shape.depth else whose.c.store_id
    query = query.where(store_id == bindparam("store"))
    for column, place in zip(_PATH, range(shape.depth), strict=False):
        query = query.where(column == bindparam(f"path{place}"))
    query = query.where(*_AFTER[shape.after])
    for number, condition in enumerate(shape.conditions):
        if condition.field not in KEYS:
            query = query.where(make_clause(condition, number))
    query = query.where(*make_key_clauses(shape.conditions, shape.few))
    return query.limit(bindparam("limit")).offset(bindparam("offset"))


_PATH = (study.c.study_instance_uid, series.c.series_instance_uid)
_AFTER: tuple[tuple[ColumnElement[bool], ...], ...] = (
    (),
    (series.c.series_instance_uid > bindparam("after0"),),
    (
        series.c.series_instance_uid >= bindparam("after0"),
        (series.c.series_instance_uid > bindparam("after0")) | (instance.c.sop_instance_uid > bindparam("after1")),
    ),
)


def _has_key(shape: _Shape) -> bool:
    return any(item.field in _KEYS and item.kind in ("in", "prefix") for item in shape.conditions)


def _looks_up_study(shape: _Shape) -> bool:
    """Whether a condition finds few studies, by an index of theirs."""
    return _has_key(shape) or any(item.kind in _FINDING for item in shape.conditions)


_KEYS = ("study_instance_uid", "patient_id", "accession_number")
_FINDING = ("names", "name_prefix", "words", "text")


def _studies(rare: bool) -> Select[Any]:
    date = without_index(study.c.study_date) if rare else study.c.study_date
    return select(*_STUDY_ROW).order_by(date.desc(), study.c.id.desc())


def _series(rare: bool) -> Select[Any]:
    query = select(*_SERIES_ROW).join_from(series, study, study.c.id == series.c.study_id)
    return query.order_by(_series_uid(rare), series.c.id)


def _instances(rare: bool) -> Select[Any]:
    return select_stored().order_by(_series_uid(rare), series.c.id, instance.c.sop_instance_uid)


def _series_uid(rare: bool) -> ColumnElement[str]:
    return without_index(series.c.series_instance_uid) if rare else series.c.series_instance_uid


_FROM = {Level.STUDY: _studies, Level.SERIES: _series, Level.INSTANCE: _instances}


def _by_modality(condition: Condition) -> Select[Any]:
    """The one condition whose own table is in the order of the answer; a rare modality would mean a long way else."""
    query = select(*_STUDY_ROW).join_from(study_modality, study, study.c.id == study_modality.c.study_id)
    query = query.where(is_modality(condition, "m0_"))
    if condition.kind == "modalities" or condition.parts > 1:
        # What is ordered by must be among what is distinct.
        query = query.add_columns(study_modality.c.study_date, study_modality.c.study_id).distinct()
    query = query.where(study_modality.c.store_id == bindparam("store"))
    query = query.order_by(study_modality.c.study_date.desc(), study_modality.c.study_id.desc())
    return query.limit(bindparam("limit")).offset(bindparam("offset"))
