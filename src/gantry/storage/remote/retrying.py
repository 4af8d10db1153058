"""Requests that are tried again, and how many of them are in flight."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from gantry.beats import beat_again
from gantry.calls_that_hang import call_hearing, find_check
from gantry.errors import BucketAway, Unavailable
from gantry.storage.remote.errors import Overloaded
from gantry.worker_calls import LISTEN_SECONDS, Check

ATTEMPTS, OVERLOAD_ATTEMPTS = 5, 8
FIRST_SECONDS, MOST_SECONDS = 0.2, 10.0
"""Between two attempts, doubled each time, half of it left to chance: 1.5 to 3 s in all before the fifth one. Longer
trouble is the bucket's: then the operation waits (``RemoteBucket.require_mounted``). A provider that asks for fewer
requests is given 10 to 20 s, or what it asks for itself."""
Out = TypeVar("Out")


class _Mine(threading.local):
    """Of a thread."""

    repeats = 0


_mine = _Mine()


def count_repeats() -> int:
    """How many requests this thread has sent again. The provider may still carry out what came before: a write is then
    written once more, whatever has become of the object meanwhile."""
    return _mine.repeats


class Pace:
    """At most so many requests of one process to one bucket at a time. The number is halved when the provider asks for
    fewer, and grows by one after as many requests that went well (AIMD, as TCP does). Safe to use from many threads."""

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(most)
        self._running = 0
        self._lowered = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, check: Check | None = None) -> Iterator[float]:
        """While one request is in flight. Gives the time when it began. ``check`` is called before, while others are
        in flight."""
        while not self._begin():
            if check is not None:
                check()
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def _begin(self) -> bool:
        with self._changed:
            may = self._changed.wait_for(lambda: self._running < int(self.limit), LISTEN_SECONDS)
            self._running += may
            return may

    def note_success(self) -> None:
        with self._changed:
            if self.limit < self.most:
                self.limit = min(self.most, self.limit + 1 / self.limit)
                self._changed.notify()

    def note_overload(self, began: float) -> None:
        """Requests that began before the number was halved say nothing of what it is now: it is halved once for all
        that were in flight."""
        with self._changed:
            if began >= self._lowered:
                self.limit, self._lowered = max(1.0, self.limit / 2), time.monotonic()


def retry(
    act: Callable[[], Out], pace: Pace, check: Check | None = None, may_repeat: Callable[[], bool] = lambda: True
) -> Out:
    """The outcome of a request. One that is Unavailable is tried again, if it ``may_repeat``; the last error is raised.
    ``check``, or that of ``hearing``, is called while it waits: what it raises ends it, also where the request
    hangs."""
    attempt, check = 0, check or find_check()
    while True:
        try:
            with pace.turn(check) as began:
                found = call_hearing(act, check)
        except BucketAway:
            raise
        except Unavailable as error:
            is_overload = isinstance(error, Overloaded)
            if is_overload:
                pace.note_overload(began)
            attempt += 1
            if attempt >= (OVERLOAD_ATTEMPTS if is_overload else ATTEMPTS) or not may_repeat():
                raise
            after = error.after if isinstance(error, Overloaded) else 0.0
            wait(max(after, make_pause(attempt)), check)
            _mine.repeats += 1
        else:
            pace.note_success()
            return found


def make_pause(attempt: int) -> float:
    """Seconds after so many attempts."""
    return min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311


def wait(seconds: float, check: Check | None) -> None:
    """A worker that waits gives signs of life; ``check`` may end it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat_again()
        if check is not None:
            check()
        time.sleep(min(left, LISTEN_SECONDS))
