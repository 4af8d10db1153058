"""Conditions of searches: from a match to a condition and its values, and from a condition to SQL."""

from __future__ import annotations

from collections.abc import Sequence
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
    or_,
    select,
    true,
)

from gantry.index.dialect import (
    KEY_CHARACTERS,
    begins_with_date,
    cut_key,
    folded,
    glob,
    has_trigrams,
    is_between,
    is_in_texts,
    is_time,
    likely,
)
from gantry.index.statements import FEW
from gantry.index.tables import (
    TERMS,
    TEXT_FIELDS,
    instance,
    series,
    series_request,
    study,
    study_modality,
    study_term,
    study_text,
)
from gantry.matching import MAX_CODE, name_keys
from gantry.moments import FIRST, LAST, make_span
from gantry.queries import Level, Match, Operator

_LAST = "\U0010ffff"
_TIMES = ("study_time", "start_time")
_MODALITIES = {"modality": "globs", "modalities_in_study": "modalities"}
_TRIGRAM = 3
REQUESTED = ("scheduled_step_id", "requested_procedure_id")
"""Fields of ``series_request``, in which a series may have several rows."""
_CODES = frozenset(("study_date", "study_time", "modality", "start_date", "start_time", *REQUESTED))
_LONG = frozenset(("patient_id", "accession_number"))
"""Fields whose index in PostgreSQL has their beginning alone."""
_TABLES = {Level.STUDY: study, Level.SERIES: series, Level.INSTANCE: instance}


class Condition(NamedTuple):
    """How one match is looked up; see ``_CONDITIONS``. ``long``: of ``parts``, those that have no room in a key."""

    kind: str
    level: Level
    field: str
    parts: int = 1
    long: int = 0


# --- matches to conditions and their values


def read_match(match: Match) -> tuple[Condition, tuple[Any, ...]]:
    level, field, operator, values = match
    if field in _MODALITIES and operator is Operator.WILDCARD:
        patterns = tuple(value.replace("[", "[[]") for value in values)
        return Condition(_MODALITIES[field], level, field, len(patterns)), patterns
    if field == "modalities_in_study":
        values, one = tuple(value[:MAX_CODE] for value in values), len(values) == 1
        return Condition("modality", level, field, 1 if one else 2), (values[0] if one else list(values),)
    if operator is Operator.EQUALS and field in TERMS:
        return _read_names(Condition("names", level, field), name_keys(values[0]))
    if operator is Operator.EQUALS:
        most = MAX_CODE if field in _CODES else None
        return _one_of(Condition("in", level, field), [value[:most] for value in values])
    if operator is Operator.RANGE and field in _TIMES:
        return Condition("times", level, field), make_span("TM", *values)
    if operator is Operator.RANGE:
        return Condition("range", level, field), (values[0], values[1] + _LAST)
    if operator is Operator.WORDS:
        return Condition("words", level, field, len(values)), _prefix_bounds([_cut(value) for value in values])
    if operator is Operator.PREFIX:
        return Condition("prefix", level, field, len(values)), _prefix_bounds(values)
    return _wildcard(match)


def _cut(term: str) -> str:
    return term[:KEY_CHARACTERS]


def _read_names(condition: Condition, keys: list[str]) -> tuple[Condition, tuple[Any, ...]]:
    """Of long keys the terms have the beginning alone, so each is compared with the whole name as well."""
    terms = tuple(map(_cut, keys))
    patterns = [f"*={key.replace('[', '[[]')}=*" for key in keys if len(key) > KEY_CHARACTERS]
    return condition._replace(parts=len(keys), long=len(patterns)), (*terms, *patterns)


def _one_of(condition: Condition, values: list[str]) -> tuple[Condition, tuple[Any, ...]]:
    """A few values are bound one by one, so that SQL is made once for all searches with as many; ``parts`` is how many,
    0 for one list of more, and then what ``cut_key`` makes of them."""
    if len(values) > FEW:
        return condition._replace(parts=0), (values, [_cut(value) for value in values])
    return condition._replace(parts=len(values)), tuple(values)


def _wildcard(match: Match) -> tuple[Condition, tuple[Any, ...]]:
    level, field, _, (pattern, *_) = match
    glob = pattern.replace("[", "[[]")
    if field not in TEXT_FIELDS:
        return Condition("glob", level, field), (glob,)
    start = pattern[:-1]
    if field in TERMS:
        if pattern.endswith("*") and not {"*", "?"} & set(start) and len(start) <= KEY_CHARACTERS:
            return Condition("name_prefix", level, field), _prefix_bounds([start])
        glob = f"*={glob}=*"
    runs = [run for run in pattern.replace("?", "*").split("*") if len(run) >= _TRIGRAM]
    if not runs:
        return Condition("short_text", level, field), (glob,)
    return Condition("text", level, field), (f"{field} : ({' AND '.join(map(_phrase, runs))})", glob)


def _phrase(run: str) -> str:
    """A string of FTS5's query language."""
    return '"' + run.replace('"', '""') + '"'


def _prefix_bounds(prefixes: Sequence[str]) -> tuple[str, ...]:
    return tuple(bound for prefix in prefixes for bound in (prefix, prefix + _LAST))


# --- conditions to SQL


def _column(condition: Condition) -> Any:
    table = series_request if condition.field in REQUESTED else _TABLES[condition.level]
    return table.c[condition.field]


def _is_in(condition: Condition, name: str) -> ColumnElement[bool]:
    column, values = _column(condition), _values(condition, name)
    if condition.field not in _LONG:
        found: ColumnElement[bool] = column.in_(values)
        return found
    starts: Any = [cut_key(value) for value in values] if condition.parts else bindparam(f"{name}1", expanding=True)
    return is_in_texts(column, values, starts)


def _begins_with(condition: Condition, name: str) -> ColumnElement[bool]:
    column, starts = _column(condition), range(0, 2 * condition.parts, 2)
    return or_(*(is_between(column, bindparam(f"{name}{n}"), bindparam(f"{name}{n + 1}")) for n in starts))


def _values(condition: Condition, name: str) -> Any:
    if not condition.parts:
        return bindparam(f"{name}0", expanding=True)
    return [bindparam(f"{name}{place}") for place in range(condition.parts)]


def _range(condition: Condition, name: str) -> ColumnElement[bool]:
    """What is stored and is no date is in no range."""
    column = _column(condition)
    return and_(column >= bindparam(f"{name}0"), column <= bindparam(f"{name}1"), begins_with_date(column))


def _times(condition: Condition, name: str) -> ColumnElement[bool]:
    """A time without seconds is the span of its minute, as in ``moments``. Rows of older versions may have colons."""
    stored = func.replace(_column(condition), ":", "", type_=Text)
    rest = func.length(stored) + 1
    first, last = (stored.concat(func.substr(whole["TM"], rest, type_=Text)) for whole in (FIRST, LAST))
    return likely(and_(last >= bindparam(f"{name}0"), first <= bindparam(f"{name}1"), is_time(stored)))


def _glob(condition: Condition, name: str) -> ColumnElement[bool]:
    return likely(_is_like(_column(condition), name, 1))


def _globs(condition: Condition, name: str) -> ColumnElement[bool]:
    return likely(_is_like(_column(condition), name, condition.parts))


def _is_like(column: Any, name: str, patterns: int) -> ColumnElement[bool]:
    return or_(*(glob(folded(column), bindparam(f"{name}{place}")) for place in range(patterns)))


def _modality(condition: Condition, name: str) -> ColumnElement[bool]:
    same = study_modality.c.store_id == study.c.store_id, study_modality.c.study_id == study.c.id
    of_date = study_modality.c.study_date == study.c.study_date
    return exists().where(*same, of_date, is_modality(condition, name)).correlate(study)


def is_modality(condition: Condition, name: str) -> ColumnElement[bool]:
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


def _names(condition: Condition, name: str) -> ColumnElement[bool]:
    kind = TERMS[condition.field][0]
    wanted = (study_term.c.term == bindparam(f"{name}{place}") for place in range(condition.parts))
    found = [study.c.id.in_(_term_query(kind, term)) for term in wanted]
    patterns = range(condition.parts, condition.parts + condition.long)
    return and_(true(), *found, *(_has_text(condition, f"{name}{place}") for place in patterns))


def _name_prefix(condition: Condition, name: str) -> ColumnElement[bool]:
    return study.c.id.in_(_term_query(TERMS[condition.field][0], _begins(name, 0)))


def _words(condition: Condition, name: str) -> ColumnElement[bool]:
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


def _text(condition: Condition, name: str) -> ColumnElement[bool]:
    """Trigrams find the candidates, whatever store they are in; they are compared with the whole pattern."""
    candidates = has_trigrams(study_text.c[condition.field], bindparam(f"{name}0"), bindparam(f"{name}1"))
    return study.c.id.in_(select(study_text.c.rowid).where(candidates, _matches_glob(condition, f"{name}1")))


def _short_text(condition: Condition, name: str) -> ColumnElement[bool]:
    """Too short for a trigram: study by study in the order of the answer, until there are enough."""
    return _has_text(condition, f"{name}0")


def _has_text(condition: Condition, name: str) -> ColumnElement[bool]:
    same = study_text.c.rowid == study.c.id
    return exists(select(study_text.c.rowid).where(same, _matches_glob(condition, name)).correlate(study))


def _matches_glob(condition: Condition, name: str) -> ColumnElement[bool]:
    """FTS5 must not see the pattern: it takes one character of three bytes for a trigram, and finds nothing."""
    return glob(study_text.c[condition.field] + "", bindparam(name))


_CONDITIONS = {
    "in": _is_in,
    "prefix": _begins_with,
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


def make_clause(condition: Condition, number: int) -> ColumnElement[bool]:
    """The SQL of a condition, whose values are parameters ``m{number}_0`` and so on."""
    return _CONDITIONS[condition.kind](condition, f"m{number}_")
