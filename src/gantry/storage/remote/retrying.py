"""Requests that are tried again, and how many of them are in flight."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gantry.errors import BucketAway, Unavailable
from gantry.seams import beat_again
from gantry.storage.remote.errors import Overloaded

ATTEMPTS = 5
FIRST_SECONDS, MOST_SECONDS = 0.2, 10.0
"""Between two attempts, doubled each time, half of it left to chance: 1.5 to 3 s in all before the fifth one. Longer
trouble is the bucket's: then the operation waits (``RemoteBucket.require_mounted``)."""
Out = TypeVar("Out")


class Pace:
    """At most so many requests of one process to one bucket at a time. The number is halved when the provider asks for
    fewer, and grows by one after as many requests that went well (AIMD, as TCP does). Safe to use from many threads."""

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(most)
        self._running = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._running >= int(self.limit):
                self._changed.wait()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify()

    def note_success(self) -> None:
        with self._changed:
            if self.limit < self.most:
                self.limit = min(self.most, self.limit + 1 / self.limit)
                self._changed.notify()

    def note_overload(self) -> None:
        with self._changed:
            self.limit = max(1.0, self.limit / 2)


def retry(act: Callable[[], Out], pace: Pace, attempts: int = ATTEMPTS) -> Out:
    """The outcome of a request. One that is Unavailable is tried again; the last error is raised."""
    for attempt in range(attempts):
        try:
            with pace:
                found = act()
        except BucketAway:
            raise
        except Unavailable as error:
            after = 0.0
            if isinstance(error, Overloaded):
                pace.note_overload()
                after = error.after
            if attempt == attempts - 1:
                raise
            pause = min(MOST_SECONDS, FIRST_SECONDS * 2.0**attempt) * random.uniform(0.5, 1)  # noqa: S311
            beat_again()
            time.sleep(max(after, pause))
        else:
            pace.note_success()
            return found
    raise AssertionError("unreachable")  # pragma: no cover - there is at least one attempt
