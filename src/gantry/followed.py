"""Who is told of the changes of a DICOM store, topics and tables, and what became of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gantry.notices import list_topics
from gantry.resources import DicomStore

Key = tuple[int, str]
"""The number of a store, and a topic or the address of a table."""

TABLE = "bq://"
"""Addresses of tables begin so; those of topics do not."""


def list_tables(store: DicomStore) -> dict[str, dict[str, Any]]:
    """The tables that follow a store, each with its ``bigqueryDestination``."""
    found = (each.get("bigquery_destination") or {} for each in store.stream_configs)
    return {each["table_uri"]: each for each in found if each.get("table_uri")}


def list_receivers(store: DicomStore) -> list[str]:
    """Topics and tables."""
    return [*list_topics(store), *list_tables(store)]


class Told(NamedTuple):
    """``counts`` by outcome, ``failures`` by reason; the ``oldest`` change that somebody has not been told of, and how
    many transactions the one who is most ``behind`` has not."""

    counts: Mapping[str, int]
    failures: Mapping[str, int]
    oldest: datetime | None
    behind: int


class Followed:
    """What became of changes, for ``/metrics``. Safe to use from many threads."""

    def __init__(self, *outcomes: str) -> None:
        self._lock = threading.Lock()
        self._counts, self._failures = Counter(dict.fromkeys(outcomes, 0)), Counter[str]()
        self._waiting: dict[Key, datetime] = {}
        self._reached: dict[Key, int] = {}
        self._last: dict[Key, int] = {}

    def count(self, outcome: str, count: int) -> None:
        with self._lock:
            self._counts[outcome] += count

    def fail(self, reason: str) -> None:
        """An attempt has failed."""
        with self._lock:
            self._counts["failed"] += 1
            self._failures[reason] += 1

    def wait(self, key: Key, since: datetime | None) -> None:
        """When the oldest change was that one has not been told of; None where it knows all."""
        with self._lock:
            if since is None:
                self._waiting.pop(key, None)
            else:
                self._waiting[key] = since

    def is_waiting(self, key: Key) -> bool:
        with self._lock:
            return key in self._waiting

    def reach(self, key: Key, number: int) -> None:
        """The last transaction that one was told of."""
        with self._lock:
            self._reached[key] = number

    def see(self, last: Mapping[Key, int]) -> None:
        """The last transaction of the store of each. No others are told any more."""
        with self._lock:
            self._last = dict(last)
            self._waiting = {key: since for key, since in self._waiting.items() if key in last}
            self._reached = {key: number for key, number in self._reached.items() if key in last}

    def read(self) -> Told:
        with self._lock:
            behind = (number - self._reached.get(key, number) for key, number in self._last.items())
            oldest = min(self._waiting.values(), default=None)
            return Told(dict(self._counts), dict(self._failures), oldest, max(0, *behind, 0))


def find_most(keys: Collection[Key], numbers: Mapping[int, tuple[int, int]]) -> dict[Key, int]:
    """The last transaction of the store of each, as ``FeedIndex.find_news`` says it."""
    return {key: numbers.get(key[0], (0, 0))[0] for key in keys}
