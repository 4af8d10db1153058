"""A search as a value: what is looked for, how it must match, which part of the answer is wanted (PS3.18 §10.6)."""

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
    """``EQUALS`` any of the values. ``RANGE`` from the first value to the second, both inclusive, "" for an open end.
    ``WILDCARD``: ``*`` and ``?`` in the values, folded by ``matching``: any of several for modalities, else
    the first. ``WORDS``: one of the values begins a word of the name."""

    EQUALS = "equals"
    RANGE = "range"
    WILDCARD = "wildcard"
    WORDS = "words"


class Match(NamedTuple):
    """A condition on a field of the index; fields are columns of ``index.tables`` and ``modalities_in_study``."""

    level: Level
    field: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """``path`` are the UIDs of the address above the level. Every match must hold.

    ``after``: the Series, for instances also the SOP Instance UID behind which the answer begins; in one study alone.
    """

    level: Level
    path: ResourcePath
    matches: tuple[Match, ...] = ()
    limit: int = 100
    offset: int = 0
    after: tuple[str, ...] = ()


class FoundStudy(NamedTuple):
    """``modalities`` are joined by backslashes; for ``members`` see ``StudyAttributes``."""

    study_instance_uid: str
    members: str
    more_members: str
    modalities: str
    series_count: int
    instance_count: int


class FoundSeries(NamedTuple):
    """The members of its study are there as well."""

    study_instance_uid: str
    series_instance_uid: str
    members: str
    more_members: str
    instance_count: int
    study_members: str
    study_more_members: str
