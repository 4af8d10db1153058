"""A search as a value: its level, its conditions, and the part of the results that is wanted (PS3.18 §10.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gantry.names import ResourcePath


class Level(StrEnum):
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Operator(StrEnum):
    """``EQUALS``: any of the values. ``RANGE``: from the first value to the second, both inclusive, "" for an open end.
    ``WILDCARD``: values with ``*`` and ``?``, as keys of ``matching``: any of them for modalities, else the first.
    ``WORDS``: a word of the name begins with one of the values. ``PREFIX``: PatientID or AccessionNumber begins with
    one of the values."""

    EQUALS = "equals"
    RANGE = "range"
    WILDCARD = "wildcard"
    WORDS = "words"
    PREFIX = "prefix"


class Match(NamedTuple):
    """A condition on a field of the index: a column of ``index.tables``, or ``modalities_in_study``."""

    level: Level
    field: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """``path`` are the UIDs of the address above the level. Every match must hold.

    ``after``: the results begin after this Series Instance UID, for instances also this SOP Instance UID; only for
    searches in one study.
    """

    level: Level
    path: ResourcePath
    matches: tuple[Match, ...] = ()
    limit: int = 100
    offset: int = 0
    after: tuple[str, ...] = ()


class FoundStudy(NamedTuple):
    """``modalities`` are joined by backslashes. For ``members`` see ``StudyAttributes``."""

    study_instance_uid: str
    members: str
    more_members: str
    modalities: str
    series_count: int
    instance_count: int


class StudyTotals(NamedTuple):
    """What the studies that a search finds hold together."""

    studies: int
    series: int
    instances: int


class FoundSeries(NamedTuple):
    """A series with its study."""

    study_instance_uid: str
    series_instance_uid: str
    members: str
    more_members: str
    instance_count: int
    study: FoundStudy
