"""Which operations wait, for what, since when, and when each is tried again.

This is kept in memory: an operation may wait for the index, and after a start every one is tried again at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gantry.errors import StatusError, Wait
from gantry.resources import Operation, Waiting

FIRST_SECONDS, MOST_SECONDS = 2.0, 60.0
"""Between two attempts, doubled each time: a pause is over within a minute of the change that was waited for."""

_GO_ON = {
    Wait.ROOM: "it goes on by itself once there is room",
    Wait.BUCKET: "it goes on by itself once the bucket is back",
    Wait.DISK: "it goes on by itself once the disk can be used",
    Wait.INDEX: "it goes on by itself once the index can be used",
    Wait.WORKER: "it goes on by itself once the worker does, or another one takes its place",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    waiting: Waiting
    attempts: int = 0  # that ended in this wait, without progress in between
    operation: Operation | None = None  # None while an attempt runs
    due: float = 0.0


class Waits:
    """The waiting operations of this process, by their numbers. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._beats: dict[int, float] = {}  # of running attempts

    def beat(self, number: int) -> None:
        """A sign of life of a running attempt."""
        self._beats[number] = time.monotonic()

    def silence(self, number: int) -> float:
        """Seconds since the last sign of life of a running attempt."""
        return time.monotonic() - self._beats.get(number, time.monotonic())

    def stop(self, number: int) -> None:
        """The attempt is over."""
        self._beats.pop(number, None)

    def begin(self, operation: Operation, error: StatusError, cause: Wait) -> float:
        """An attempt ended in an error that passes. Returns the seconds until the next attempt."""
        with self._lock:
            old = self._entries.get(operation.name.id)
            attempts = 1 + (old.attempts if old else 0)
            # Half of it is left to chance: operations that wait for the same do not all come back at once.
            seconds = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 20)) * random.uniform(0.5, 1)  # noqa: S311
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            waiting = _describe(old, cause, error.message, at)
            self._entries[operation.name.id] = _Entry(waiting, attempts, operation, time.monotonic() + seconds)
        return seconds

    def note(self, number: int, cause: Wait, message: str) -> None:
        """An attempt that runs does not move."""
        with self._lock:
            old = self._entries.get(number)
            if old is None or old.operation is None:
                waiting = _describe(old, cause, message, None)
                self._entries[number] = _Entry(waiting, old.attempts if old else 0)

    def end(self, number: int) -> None:
        """The operation goes on, or is over."""
        with self._lock:
            self._entries.pop(number, None)

    def find(self, number: int) -> Waiting | None:
        entry = self._entries.get(number)
        return None if entry is None else entry.waiting

    def list_waiting(self) -> list[Operation]:
        """Those that no attempt runs for."""
        with self._lock:
            return [entry.operation for entry in self._entries.values() if entry.operation is not None]

    def has_due(self) -> bool:
        with self._lock:
            return any(map(_is_due, self._entries.values()))

    def take_due(self) -> Operation | None:
        """One whose next attempt is due. It stays listed as waiting until it goes on."""
        with self._lock:
            for number, entry in self._entries.items():
                if _is_due(entry):
                    return self._take(number, entry)
        return None

    def take(self, operation: Operation) -> bool:
        """Whether it waited, and nobody else has taken it."""
        with self._lock:
            entry = self._entries.get(operation.name.id)
            if entry is None or entry.operation is None:
                return False
            self._take(operation.name.id, entry)
            return True

    def _take(self, number: int, entry: _Entry) -> Operation | None:
        waiting = replace(entry.waiting, next_attempt=None)
        self._entries[number] = replace(entry, operation=None, waiting=waiting)
        return entry.operation

    def count(self) -> dict[Wait, int]:
        with self._lock:
            counts = Counter(entry.waiting.cause for entry in self._entries.values())
        return {cause: counts[cause] for cause in Wait}

    def find_longest(self) -> float:
        """Seconds since the first of those that wait began to; 0 where none does."""
        with self._lock:
            since = min((entry.waiting.since for entry in self._entries.values()), default=None)
        return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


def _is_due(entry: _Entry) -> bool:
    return entry.operation is not None and entry.due <= time.monotonic()


def _describe(old: _Entry | None, cause: Wait, message: str, at: datetime | None) -> Waiting:
    """It waits since it began to wait for this."""
    since = old.waiting.since if old is not None and old.waiting.cause is cause else datetime.now(UTC)
    return Waiting(cause, since, at, f"{message}; {_GO_ON[cause]}, or cancel it")


def to_json(value: Waiting | None) -> dict[str, str] | None:
    """For other servers."""
    if value is None:
        return None
    next_attempt = "" if value.next_attempt is None else value.next_attempt.isoformat()
    return {
        "cause": value.cause.value,
        "since": value.since.isoformat(),
        "next": next_attempt,
        "message": value.message,
    }


def from_json(value: Mapping[str, str] | None) -> Waiting | None:
    if value is None:
        return None
    next_attempt = datetime.fromisoformat(value["next"]) if value["next"] else None
    return Waiting(Wait(value["cause"]), datetime.fromisoformat(value["since"]), next_attempt, value["message"])
