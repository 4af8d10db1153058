"""Entries of the error logs of operations, and filters for them. Frozen values, no I/O, no JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from gantry.resources import Failure


class Severity(IntEnum):
    """Severity of a log entry; names and numbers are those of Cloud Logging."""

    DEFAULT = 0
    DEBUG = 100
    INFO = 200
    NOTICE = 300
    WARNING = 400
    ERROR = 500
    CRITICAL = 600
    ALERT = 700
    EMERGENCY = 800


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of an operation's error log."""

    seq: int
    time: datetime
    failure: Failure
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A condition on entries of the error log.

    ``operator`` is ``all``, ``any`` or ``not`` of ``parts``, or compares ``field`` with ``value``: ``=``, ``!=``,
    ``<``, ``<=``, ``>``, ``>=``, and ``:`` for "contains". Fields: ``time`` in microseconds, ``project``,
    ``location``, ``dataset``, ``store``, ``operation`` (a number), ``method``, ``resource``, ``message``, ``code``,
    ``severity`` (a number).
    ``all`` of nothing is true, ``any`` of nothing is false.
    """

    operator: str
    field: str = ""
    value: str | int = ""
    parts: tuple[LogFilter, ...] = ()


class LogPosition(NamedTuple):
    """Position of an entry in the order of time; ``time`` in microseconds since 1970."""

    time: int
    operation: int
    seq: int
