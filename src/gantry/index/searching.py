"""Searches in SQL. Statements are made once per shape of a query, so that a search costs little more than SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from gantry.index.database import Part
from gantry.index.resource_rows import get_store_id
from gantry.index.statements import fetch_tuples
from gantry.index.stored import select_stored
from gantry.index.tables import TERMS, TEXT_FIELDS, instance, series, study, study_modality, study_term, study_text
from gantry.matching import name_keys
from gantry.moments import FIRST, LAST, make_span
from gantry.names import DicomStoreName
from gantry.queries import FoundSeries, FoundStudy, Level, Match, Operator, Query
from gantry.resources import SeriesAttributes, StoredInstance, StudyAttributes
from gantry.short_members import lengthen_series, lengthen_study

_LAST = "\U0010ffff"
_TIMES = ("study_time",)
_MODALITIES = {"modality": "globs", "modalities_in_study": "modalities"}
_TRIGRAM = 3
_TABLES = {Level.STUDY: study, Level.SERIES: series, Level.INSTANCE: instance}
_STUDY_SAID = [study.c[name] for name in StudyAttributes._fields]
_SERIES_SAID = [series.c[name] for name in SeriesAttributes._fields]
_STUDY_ROW = [*_STUDY_SAID, *(study.c[name] for name in FoundStudy._fields if name not in StudyAttributes._fields)]
_SERIES_ROW = [*_SERIES_SAID, series.c.series_instance_uid, series.c.instance_count, *_STUDY_ROW]


class _Shape(NamedTuple):
    """All of a query that its statement depends on. ``depth`` is how many UIDs the address gives, ``after`` how many
    say where the answer begins."""

    level: Level
    depth: int
    after: int
    conditions: tuple[_Condition, ...]


class _Condition(NamedTuple):
    """How one match is looked up; see ``_CONDITIONS``."""

    kind: str
    level: Level
    field: str
    parts: int = 1


class Search(Part):
    """Every search reads an index in the order of its answer: nothing in it grows with the instances of a store."""

    def search_studies(self, store: DicomStoreName, query: Query) -> list[FoundStudy]:
        return list(map(_found_study, self._search(store, query)))

    def search_series(self, store: DicomStoreName, query: Query) -> list[FoundSeries]:
        return list(map(_found_series, self._search(store, query)))

    def search_instances(self, store: DicomStoreName, query: Query) -> list[StoredInstance]:
        return [StoredInstance._make(row) for row in self._search(store, query)]

    def _search(self, store: DicomStoreName, query: Query) -> Sequence[Any]:
        values: dict[str, Any] = {"limit": query.limit, "offset": query.offset}
        values |= {f"path{place}": uid for place, uid in enumerate(query.path) if uid}
        conditions = []
        for number, match in enumerate(query.matches):
            condition, bound = _condition(match)
            conditions.append(condition)
            values |= {f"m{number}_{place}": value for place, value in enumerate(bound)}
        values |= {f"after{place}": uid for place, uid in enumerate(query.after)}
        shape = _Shape(query.level, sum(map(bool, query.path)), len(query.after), tuple(conditions))
        with self.database.read() as connection:
            values["store"] = get_store_id(connection, store)
            return fetch_tuples(connection, _statement(shape), values)


def _found_study(row: Any) -> FoundStudy:
    uid, *others = row[len(_STUDY_SAID) :]
    return FoundStudy(uid, *lengthen_study(row[: len(_STUDY_SAID)]), *others)


def _found_series(row: Any) -> FoundSeries:
    its_own = len(_SERIES_SAID)
    uid, count = row[its_own : its_own + 2]
    its_study = _found_study(row[its_own + 2 :])
    return FoundSeries(its_study.study_instance_uid, uid, *lengthen_series(row[:its_own]), count, its_study)


# --- matches to conditions and their values


def _condition(match: Match) -> tuple[_Condition, tuple[Any, ...]]:
    level, field, operator, values = match
    if field in _MODALITIES and operator is Operator.WILDCARD:
        patterns = tuple(value.replace("[", "[[]") for value in values)
        return _Condition(_MODALITIES[field], level, field, len(patterns)), patterns
    if field == "modalities_in_study":
        one = len(values) == 1
        return _Condition("modality", level, field, 1 if one else 2), (values[0] if one else list(values),)
    if operator is Operator.EQUALS and field in TERMS:
        keys = name_keys(values[0])
        return _Condition("names", level, field, len(keys)), tuple(keys)
    if operator is Operator.EQUALS:
        return _Condition("in", level, field), (list(values),)
    if operator is Operator.RANGE and field in _TIMES:
        return _Condition("times", level, field), make_span("TM", *values)
    if operator is Operator.RANGE:
        return _Condition("range", level, field), (values[0], values[1] + _LAST)
    if operator is Operator.WORDS:
        return _Condition("words", level, field, len(values)), _prefix_bounds(values)
    return _wildcard(match)


def _wildcard(match: Match) -> tuple[_Condition, tuple[Any, ...]]:
    level, field, _, (pattern, *_) = match
    glob = pattern.replace("[", "[[]")
    if field not in TEXT_FIELDS:
        return _Condition("glob", level, field), (glob,)
    start = pattern[:-1]
    if field in TERMS:
        if pattern.endswith("*") and not {"*", "?"} & set(start):
            return _Condition("name_prefix", level, field), _prefix_bounds([start])
        glob = f"*={glob}=*"
    runs = [run for run in pattern.replace("?", "*").split("*") if len(run) >= _TRIGRAM]
    if not runs:
        return _Condition("short_text", level, field), (glob,)
    return _Condition("text", level, field), (f"{field} : ({' AND '.join(map(_phrase, runs))})", glob)


def _phrase(run: str) -> str:
    """A string of FTS5's query language."""
    return '"' + run.replace('"', '""') + '"'


def _prefix_bounds(prefixes: Sequence[str]) -> tuple[str, ...]:
    return tuple(bound for prefix in prefixes for bound in (prefix, prefix + _LAST))


# --- shapes to statements


@lru_cache(maxsize=1000)
def _statement(shape: _Shape) -> Select[Any]:
    """SQLite, which knows nothing of how rare a value is, is told where to begin.

    A rare study is looked up, and what was found is sorted; everything else is read in the order of the answer. A sum
    or a concatenation keeps it from another index.
    """
    if shape.level is Level.STUDY and [item.kind for item in shape.conditions] in (["modality"], ["modalities"]):
        return _by_modality(shape.conditions[0])
    by_key = any(item.field in _KEYS and item.kind == "in" for item in shape.conditions)
    by_id = not by_key and any(item.kind in _FINDING for item in shape.conditions)
    query = _FROM[shape.level](by_key or by_id)
    whose = study if shape.level is Level.STUDY or shape.depth or by_key or by_id else series
    store_id = whose.c.store_id + 0 if by_id and not shape.depth else whose.c.store_id
    query = query.where(store_id == bindparam("store"))
    for column, place in zip(_PATH, range(shape.depth), strict=False):
        query = query.where(column == bindparam(f"path{place}"))
    query = query.where(*_AFTER[shape.after])
    for number, condition in enumerate(shape.conditions):
        query = query.where(_CONDITIONS[condition.kind](condition, f"m{number}_"))
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
_KEYS = ("study_instance_uid", "patient_id", "accession_number")
_FINDING = ("names", "name_prefix", "words", "text")


def _studies(rare: bool) -> Select[Any]:
    date = study.c.study_date + "" if rare else study.c.study_date
    return select(*_STUDY_ROW).order_by(date.desc(), study.c.id.desc())


def _series(rare: bool) -> Select[Any]:
    query = select(*_SERIES_ROW).join_from(series, study, study.c.id == series.c.study_id)
    return query.order_by(_series_uid(rare), series.c.id)


def _instances(rare: bool) -> Select[Any]:
    return select_stored().order_by(_series_uid(rare), series.c.id, instance.c.sop_instance_uid)


def _series_uid(rare: bool) -> ColumnElement[str]:
    return series.c.series_instance_uid + "" if rare else series.c.series_instance_uid


_FROM = {Level.STUDY: _studies, Level.SERIES: _series, Level.INSTANCE: _instances}


def _by_modality(condition: _Condition) -> Select[Any]:
    """The one condition whose own table is in the order of the answer; a rare modality would mean a long way else."""
    query = select(*_STUDY_ROW).join_from(study_modality, study, study.c.id == study_modality.c.study_id)
    query = query.where(_is_modality(condition, "m0_"))
    if condition.kind == "modalities" or condition.parts > 1:
        query = query.distinct()
    query = query.where(study_modality.c.store_id == bindparam("store"))
    query = query.order_by(study_modality.c.study_date.desc(), study_modality.c.study_id.desc())
    return query.limit(bindparam("limit")).offset(bindparam("offset"))


def _column(condition: _Condition) -> Any:
    return _TABLES[condition.level].c[condition.field]


def _is_in(condition: _Condition, name: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = _column(condition).in_(bindparam(f"{name}0", expanding=True))
    return found


def _range(condition: _Condition, name: str) -> ColumnElement[bool]:
    """What is stored and is no date is in no range."""
    column = _column(condition)
    return and_(column >= bindparam(f"{name}0"), column <= bindparam(f"{name}1"), column.op("GLOB")("[0-9]" * 8 + "*"))


def _times(condition: _Condition, name: str) -> ColumnElement[bool]:
    """A time without seconds is the span of its minute, as in ``moments``. Rows of older versions may have colons."""
    stored = func.replace(_column(condition), ":", "", type_=Text)
    rest = func.length(stored) + 1
    first, last = (stored.concat(func.substr(whole["TM"], rest, type_=Text)) for whole in (FIRST, LAST))
    is_time = stored.op("GLOB")("[0-9][0-9]*"), not_(stored.op("GLOB", is_comparison=True)("*[^0-9.\\]*"))
    return and_(last >= bindparam(f"{name}0"), first <= bindparam(f"{name}1"), *is_time)


def _glob(condition: _Condition, name: str) -> ColumnElement[bool]:
    return _is_like(_column(condition), name, 1)


def _globs(condition: _Condition, name: str) -> ColumnElement[bool]:
    return _is_like(_column(condition), name, condition.parts)


def _is_like(column: Any, name: str, patterns: int) -> ColumnElement[bool]:
    return or_(*(func.lower(column).op("GLOB")(bindparam(f"{name}{place}")) for place in range(patterns)))


def _modality(condition: _Condition, name: str) -> ColumnElement[bool]:
    same = study_modality.c.store_id == study.c.store_id, study_modality.c.study_id == study.c.id
    of_date = study_modality.c.study_date == study.c.study_date
    return exists().where(*same, of_date, _is_modality(condition, name)).correlate(study)


def _is_modality(condition: _Condition, name: str) -> ColumnElement[bool]:
    """By name, or by patterns: these are compared with each modality of the store once, not with each study's."""
    column = study_modality.c.modality
    found: ColumnElement[bool]
    if condition.kind == "modalities":
        each = _each_modality()
        found = column.in_(select(each.c.modality).where(_is_like(each.c.modality, name, condition.parts)))
    elif condition.parts == 1:
        found = column == bindparam(f"{name}0")
    else:
        found = column.in_(bindparam(f"{name}0", expanding=True))
    return found


def _each_modality() -> CTE:
    """The modalities of the store, from one to the next along the index: SQLite would read all rows for a DISTINCT."""
    inner = study_modality.alias()
    in_store = inner.c.store_id == bindparam("store")
    each = select(func.min(inner.c.modality).label("modality")).where(in_store).cte(recursive=True)
    following = select(func.min(inner.c.modality)).where(in_store, inner.c.modality > each.c.modality)
    return each.union_all(select(following.correlate(each).scalar_subquery()).where(each.c.modality.is_not(None)))


def _names(condition: _Condition, name: str) -> ColumnElement[bool]:
    kind = TERMS[condition.field][0]
    wanted = (study_term.c.term == bindparam(f"{name}{place}") for place in range(condition.parts))
    return and_(true(), *(study.c.id.in_(_term_query(kind, term)) for term in wanted))


def _name_prefix(condition: _Condition, name: str) -> ColumnElement[bool]:
    return study.c.id.in_(_term_query(TERMS[condition.field][0], _begins(name, 0)))


def _words(condition: _Condition, name: str) -> ColumnElement[bool]:
    kind = TERMS[condition.field][1]
    words = (_term_query(kind, _begins(name, 2 * place)) for place in range(condition.parts))
    # Nothing but marks has no word: universal matching (PS3.4 §C.2.2.2.3).
    return or_(*(study.c.id.in_(word) for word in words)) if condition.parts else true()


def _begins(name: str, place: int) -> ColumnElement[bool]:
    term = study_term.c.term
    return and_(term >= bindparam(f"{name}{place}"), term < bindparam(f"{name}{place + 1}"))


def _term_query(kind: int, *conditions: ColumnElement[bool]) -> Select[Any]:
    query = select(study_term.c.study_id)
    return query.where(study_term.c.store_id == bindparam("store"), study_term.c.kind == kind, *conditions)


def _text(condition: _Condition, name: str) -> ColumnElement[bool]:
    """Trigrams find the candidates, whatever store they are in; they are compared with the whole pattern."""
    candidates = literal_column(study_text.name).op("MATCH")(bindparam(f"{name}0"))
    return study.c.id.in_(select(study_text.c.rowid).where(candidates, _matches_glob(condition, f"{name}1")))


def _short_text(condition: _Condition, name: str) -> ColumnElement[bool]:
    """Too short for a trigram: study by study in the order of the answer, until there are enough."""
    same = study_text.c.rowid == study.c.id
    return exists(select(study_text.c.rowid).where(same, _matches_glob(condition, f"{name}0")).correlate(study))


def _matches_glob(condition: _Condition, name: str) -> ColumnElement[bool]:
    """FTS5 must not see the pattern: it takes one character of three bytes for a trigram, and finds nothing."""
    found: ColumnElement[bool] = (study_text.c[condition.field] + "").op("GLOB")(bindparam(name))
    return found


_CONDITIONS = {
    "in": _is_in,
    "range": _range,
    "times": _times,
    "glob": _glob,
    "globs": _globs,
    "modality": _modality,
    "modalities": _modality,
    "names": _names,
    "name_prefix": _name_prefix,
    "words": _words,
    "text": _text,
    "short_text": _short_text,
}
