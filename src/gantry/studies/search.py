"""QIDO-RS (PS3.18 §10.6): parses the parameters of a search.

Attributes of ``_ATTRIBUTES`` are searched in the index. Others are refused, or, in one study, matched by
``search_inside``. In strict mode attributes, matching and answers are exactly those of the Cloud Healthcare API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gantry.dicom.attributes import SERIES_DEFAULT, SERIES_MORE, STUDY_DEFAULT, STUDY_MORE
from gantry.dicom.dictionary import keyword_of, tag_of, vr_of
from gantry.dicom.tags import (
    ACCESSION_NUMBER,
    CHARACTER_SET,
    INSTANCE_AVAILABILITY,
    INSTANCE_NUMBER,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PROCEDURE_STEP_START_DATE,
    PROCEDURE_STEP_START_TIME,
    REFERRING_PHYSICIAN_NAME,
    REQUEST_ATTRIBUTES,
    REQUESTED_PROCEDURE_ID,
    SCHEDULED_STEP_ID,
    SERIES,
    SERIES_DESCRIPTION,
    SERIES_INSTANCE_COUNT,
    SERIES_NUMBER,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_ID,
    STUDY_INSTANCE_COUNT,
    STUDY_SERIES_COUNT,
    STUDY_TIME,
)
from gantry.errors import InvalidArgument
from gantry.matching import pattern_key, split_words
from gantry.moments import parse_ends
from gantry.names import ResourcePath, split_uids, strip_uid
from gantry.queries import Level, Match, Operator, Query
from gantry.studies.search_inside import Inside, is_universal, parse_inside
from gantry.whole_numbers import read_number

MAX_OFFSET = 1_000_000  # rows that a search may skip: it reads all of them
MAX_CONDITIONS, MAX_TEXT, MAX_WORDS, MAX_PATTERNS = 50, 1024, 50, 50  # keep the SQL statement and its time bounded
# Default and maximum of ``limit``: those of the Cloud Healthcare API.
_LIMITS = {Level.STUDY: (100, 5000), Level.SERIES: (100, 5000), Level.INSTANCE: (1000, 50_000)}
_MAX_VALUES = 1000  # parameters of one SQL statement
_ABOVE = {
    Level.STUDY: (Level.STUDY,),
    Level.SERIES: (Level.STUDY, Level.SERIES),
    Level.INSTANCE: (Level.STUDY, Level.SERIES, Level.INSTANCE),
}
_OF_THE_ANSWER = ("limit", "offset", "fuzzymatching", "includefield")  # §8.3.4
_OF_THE_REQUEST = ("accept", "charset")  # PS3.18 §8.3.3
_UID = re.compile(r"[^\0-\x20,*?\\\x7f]{1,64}")
"""Any text without blanks and wildcards: files have UIDs with other characters, and a search for one finds nothing, or
what another server has stored (PS3.5 §9.1 allows digits and periods alone)."""

# OHIF 3.13 sends these in ``includefield`` of every search for studies and series.
_ALWAYS_ASKED_FOR = frozenset(
    (MODALITY, MODALITIES_IN_STUDY, STUDY_SERIES_COUNT, STUDY_INSTANCE_COUNT, SERIES_INSTANCE_COUNT)
)


class _Attribute(NamedTuple):
    level: Level
    field: str
    kind: str
    strict: bool


_ATTRIBUTES = {
    STUDY: _Attribute(Level.STUDY, "study_instance_uid", "uid", True),
    PATIENT_NAME: _Attribute(Level.STUDY, "patient_name", "name", True),
    PATIENT_ID: _Attribute(Level.STUDY, "patient_id", "text", True),
    ACCESSION_NUMBER: _Attribute(Level.STUDY, "accession_number", "text", True),
    REFERRING_PHYSICIAN_NAME: _Attribute(Level.STUDY, "referring_physician_name", "name", True),
    STUDY_DATE: _Attribute(Level.STUDY, "study_date", "date", True),
    STUDY_TIME: _Attribute(Level.STUDY, "study_time", "time", False),
    STUDY_DESCRIPTION: _Attribute(Level.STUDY, "study_description", "text", False),
    STUDY_ID: _Attribute(Level.STUDY, "study_id", "text", False),
    MODALITIES_IN_STUDY: _Attribute(Level.STUDY, "modalities_in_study", "code", False),
    SERIES: _Attribute(Level.SERIES, "series_instance_uid", "uid", True),
    MODALITY: _Attribute(Level.SERIES, "modality", "code", True),
    SERIES_NUMBER: _Attribute(Level.SERIES, "series_number", "numeral", False),
    SERIES_DESCRIPTION: _Attribute(Level.SERIES, "series_description", "text", False),
    PROCEDURE_STEP_START_DATE: _Attribute(Level.SERIES, "start_date", "date", False),
    PROCEDURE_STEP_START_TIME: _Attribute(Level.SERIES, "start_time", "time", False),
    SOP_INSTANCE: _Attribute(Level.INSTANCE, "sop_instance_uid", "uid", True),
    SOP_CLASS: _Attribute(Level.INSTANCE, "sop_class_uid", "uid", False),
    INSTANCE_NUMBER: _Attribute(Level.INSTANCE, "instance_number", "integer", False),
}

# In the items of RequestAttributesSequence; all conditions on them hold for one of its items.
_REQUESTED: dict[tuple[int | None, ...], _Attribute] = {
    (REQUEST_ATTRIBUTES, SCHEDULED_STEP_ID): _Attribute(Level.SERIES, "scheduled_step_id", "text", False),
    (REQUEST_ATTRIBUTES, REQUESTED_PROCEDURE_ID): _Attribute(Level.SERIES, "requested_procedure_id", "text", False),
}


@dataclass(frozen=True, slots=True)
class Search:
    """``fields`` are the tags of ``includefield``; ``every`` means ``all``. ``inside`` are conditions without index.

    ``matched`` are the tags of conditions, which results have, too (PS3.18 §10.6.3.3); none in strict mode.
    """

    query: Query
    fields: frozenset[int] = frozenset()
    every: bool = False
    strict: bool = False
    inside: tuple[Inside, ...] = ()
    matched: frozenset[int] = frozenset()


# --- parameters


def list_parameters(level: Level) -> tuple[str, ...]:
    """The names of all parameters of a search, attributes as keywords: those that the index has."""
    found = (keyword_of(tag) for tag, attribute in _ATTRIBUTES.items() if attribute.level in _ABOVE[level])
    return (*_OF_THE_ANSWER, *_OF_THE_REQUEST, *found)


def parse_search(level: Level, path: ResourcePath, parameters: Iterable[tuple[str, str]], strict: bool) -> Search:
    """Parse the parameters of a request. Raises InvalidArgument, which names the parameter."""
    matches: list[Match] = []
    fields: set[int] = set()
    every = fuzzy = False
    limit, offset = _LIMITS[level][0], 0
    conditions = []
    for name, value in parameters:
        if name == "limit":
            limit = _parse_number(name, value, _LIMITS[level][1])
        elif name == "offset":
            offset = _parse_number(name, value, MAX_OFFSET)
        elif name == "fuzzymatching":
            fuzzy = _parse_boolean(name, value)
        elif name == "includefield":
            words = [word.strip() for word in value.split(",") if word.strip()]
            every = every or "all" in words
            fields.update(_parse_field(word, level, strict) for word in words if word != "all")
        elif name not in _OF_THE_REQUEST:
            conditions.append((name, value))
    matched = set[int]()
    if not strict:
        conditions = _join_uids(conditions)
        matched.update(tag for name, _ in conditions if (tag := tag_of(name.partition(".")[0])) is not None)
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidArgument(f"the search has {len(conditions)} conditions; up to {MAX_CONDITIONS} are allowed")
    inside: list[Inside] = []
    for name, value in conditions:
        if tag_of(name) == REQUEST_ATTRIBUTES and is_universal(value) and not strict and level is not Level.STUDY:
            continue  # a sequence without keys (PS3.4 §C.2.2.2.6)
        if path.study and not strict and tag_of(name) not in _ATTRIBUTES:
            condition = parse_inside(name, _check(name, "text", value), level)
            if condition is not None:
                inside += () if is_universal(value) else (condition,)
                continue
        attribute = _find_attribute(name, level, strict)
        matches.extend(_parse_matches(name, attribute, value, fuzzy, strict))
    query = Query(level, path, tuple(matches), limit, offset)
    return Search(query, frozenset(fields), every, strict, tuple(inside), frozenset(matched))


def _join_uids(conditions: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Several parameters for one UID are a list of UIDs, of which one must match (PS3.4 §C.2.2.2.2), as clients mean
    them: all of them together would match nothing."""
    joined: list[tuple[str, str]] = []
    places: dict[tuple[int | None, ...], int] = {}
    for name, value in conditions:
        path = tuple(map(tag_of, name.split(".")))
        if path[-1] is None or vr_of(path[-1]) != "UI":
            joined.append((name, value))
        elif path not in places:
            places[path] = len(joined)
            joined.append((name, strip_uid(value)))
        else:
            first, others = joined[places[path]]
            either = (others, strip_uid(value))
            joined[places[path]] = first, "" if any(map(is_universal, either)) else "\\".join(either)
    return joined


def _parse_number(name: str, value: str, most: int) -> int:
    number = read_number(value, most)
    if number is None:
        raise InvalidArgument(f"{name}: {value[:100]!r} is not a number from 0 to {most}")
    return number


def _parse_boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise InvalidArgument(f"{name}: {value[:100]!r} is neither true nor false")
    return value.lower() == "true"


def _parse_field(word: str, level: Level, strict: bool) -> int:
    tag = tag_of(word.partition(".")[0])
    if tag is None or (strict and level is not Level.INSTANCE and tag not in _list_strict_fields(level)):
        raise InvalidArgument(f"includefield: unknown/unsupported QIDO attribute: {word[:100]}")
    return tag


def _list_strict_fields(level: Level) -> frozenset[int]:
    levels = {Level.STUDY: (STUDY_DEFAULT, STUDY_MORE), Level.SERIES: (SERIES_DEFAULT, SERIES_MORE)}
    found = {tag for above in _ABOVE[level] for tags in levels.get(above, ()) for tag in tags}
    return frozenset(found | {CHARACTER_SET, INSTANCE_AVAILABILITY, STUDY, SERIES} | _ALWAYS_ASKED_FOR)


def _find_attribute(name: str, level: Level, strict: bool) -> _Attribute:
    found = _get_attribute(name)
    if found is None or (strict and not found.strict):
        known = ", ".join(_list_known(strict))
        below = "" if strict else "; series and instances of one study (studies/UID/…) are searched by any attribute"
        raise InvalidArgument(f"{_describe_unsupported(name, level)}. Searches support {known}{below}")
    if found.level not in _ABOVE[level]:
        raise InvalidArgument(f"{_describe_unsupported(name, level)}, it belongs to a {found.level}; search there")
    return found


def _get_attribute(name: str) -> _Attribute | None:
    tags = tuple(map(tag_of, name.split(".")))
    if len(tags) > 1:
        return _REQUESTED.get(tags)
    return None if tags[0] is None else _ATTRIBUTES.get(tags[0])


def _list_known(strict: bool) -> Iterator[str]:
    """Keywords of what can be searched for in the index."""
    yield from sorted(keyword_of(tag) for tag, item in _ATTRIBUTES.items() if item.strict or not strict)
    if not strict:
        yield from (".".join(keyword_of(tag) for tag in tags if tag) for tags in _REQUESTED)


def _describe_unsupported(name: str, level: Level) -> str:
    """Both texts that clients of Google's API look for; the second one has the keyword whatever was sent (wsidicom)."""
    tag = tag_of(name)
    keyword = keyword_of(tag) if tag is not None else ""
    reason = f": {keyword} is not a supported {level} attribute" if keyword else ""
    return f"unknown/unsupported QIDO attribute: {name[:100]}{reason}"


def _parse_matches(name: str, attribute: _Attribute, value: str, fuzzy: bool, strict: bool) -> Iterator[Match]:
    """The conditions of one parameter; none for an empty value or ``*`` (PS3.4 §C.2.2.2.3, universal matching)."""
    _check(name, attribute.kind, value)
    if value and (strict or not is_universal(value)):
        yield from _KINDS[attribute.kind](name, attribute, value, fuzzy, strict)


def _check(name: str, kind: str, value: str) -> str:
    """Return the value. Raises InvalidArgument for one that is too long or holds NUL."""
    if "\0" in value:
        raise InvalidArgument(f"{name}: holds a NUL character")
    if kind in ("text", "name") and (len(value) > MAX_TEXT or len(split_words(value)) > MAX_WORDS):
        raise InvalidArgument(f"{name}: is longer than {MAX_TEXT} characters or {MAX_WORDS} words")
    return value


def _match_uid(name: str, attribute: _Attribute, value: str, _fuzzy: bool, strict: bool) -> Iterator[Match]:
    uids = split_uids(value)
    if not uids or not all(map(_UID.fullmatch, uids)) or (strict and {",", "\\"} & set(value)):
        raise InvalidArgument(f"{name}: {value[:100]!r} is no UID{'' if strict else ' and no list of UIDs'}")
    yield _make_equals(name, attribute, uids)


def _match_code(name: str, attribute: _Attribute, value: str, _fuzzy: bool, strict: bool) -> Iterator[Match]:
    if strict:
        yield _make_equals(name, attribute, [value])
        return
    values = [found for word in re.split(r"[,\\]", value) if (found := word.strip().upper())]
    if not values or "*" in values:
        return
    if not {"*", "?"} & set(value):
        yield _make_equals(name, attribute, values)
        return
    if len(values) > MAX_PATTERNS or len(value) > MAX_TEXT:
        raise InvalidArgument(f"{name}: has wildcards in more than {MAX_PATTERNS} values or {MAX_TEXT} characters")
    yield Match(attribute.level, attribute.field, Operator.WILDCARD, tuple(map(pattern_key, values)))


def _match_integer(name: str, attribute: _Attribute, value: str, _fuzzy: bool, _strict: bool) -> Iterator[Match]:
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", value.strip()):
        raise InvalidArgument(f"{name}: {value[:100]!r} is not a number")
    yield _make_equals(name, attribute, [str(int(value))])


def _match_numeral(name: str, attribute: _Attribute, value: str, fuzzy: bool, strict: bool) -> Iterator[Match]:
    """A number that the index has as text: ``03`` and ``+3`` are 3 (PS3.5 §6.2, IS)."""
    number = value.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,12}", number):
        yield _make_equals(name, attribute, [*dict.fromkeys((value, number, str(int(number))))])
    else:
        yield from _match_text(name, attribute, value, fuzzy, strict)


def _match_text(_name: str, attribute: _Attribute, value: str, _fuzzy: bool, strict: bool) -> Iterator[Match]:
    """Single values match exactly, but for blanks around them, which pad values in files (PS3.5 §6.2); wildcards ignore
    case (see docs/conformance.md)."""
    forms = (value,) if strict else tuple(dict.fromkeys((value, value.strip(" ") or value)))
    if not strict and {"*", "?"} & set(value):
        yield Match(attribute.level, attribute.field, Operator.WILDCARD, (pattern_key(value),))
        return
    yield Match(attribute.level, attribute.field, Operator.EQUALS, forms)
    if attribute.field == "study_description" and not {"*", "?"} & set(value):
        # The column has no index; the index of its trigrams finds the candidates.
        key = pattern_key(forms[-1])
        candidates = key if len(forms) == 1 else f"*{key}*"
        yield Match(attribute.level, attribute.field, Operator.WILDCARD, (candidates,))


def _match_name(_name: str, attribute: _Attribute, value: str, fuzzy: bool, strict: bool) -> Iterator[Match]:
    wild = {"*", "?"} & set(value)
    if fuzzy and (strict or not wild):
        yield Match(attribute.level, attribute.field, Operator.WORDS, tuple(split_words(value)))
    elif wild and not strict:
        yield Match(attribute.level, attribute.field, Operator.WILDCARD, (pattern_key(value),))
    else:
        yield Match(attribute.level, attribute.field, Operator.EQUALS, (value,))


def _match_range(vr: str) -> Callable[..., Iterator[Match]]:
    def parse(name: str, attribute: _Attribute, value: str, _fuzzy: bool, _strict: bool) -> Iterator[Match]:
        yield Match(attribute.level, attribute.field, Operator.RANGE, parse_ends(name, vr, value))

    return parse


def _make_equals(name: str, attribute: _Attribute, values: Sequence[str]) -> Match:
    if len(values) > _MAX_VALUES:
        raise InvalidArgument(f"{name}: has more than {_MAX_VALUES} values")
    return Match(attribute.level, attribute.field, Operator.EQUALS, tuple(values))


_KINDS = {
    "uid": _match_uid,
    "code": _match_code,
    "integer": _match_integer,
    "numeral": _match_numeral,
    "text": _match_text,
    "name": _match_name,
    "date": _match_range("DA"),
    "time": _match_range("TM"),
}
