"""A value that another server publishes, fetched in the background: no caller holds a lock during a fetch.

Each fetch runs in one thread. A caller that needs a value that is missing waits until two seconds after the start of
the fetch at most. Only a few callers wait at a time, because a server whose threads all wait for an issuer answers no
request. The others get Unavailable at once. A failed fetch is not repeated for some seconds. The value that was
fetched before stays valid.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gantry.errors import StatusError, Unavailable, retry_later

logger = logging.getLogger(__name__)

FRESH, STALE = 3600.0, 86_400.0
"""Seconds after which a value is fetched again, and after which it is not used any more."""
PAUSE = 30.0
"""Seconds between two fetches, if the first value lacked what a caller needs."""
FAILURE_PAUSE = 5.0
"""Seconds between a failure and the next fetch."""
PATIENCE = 2.0
"""Seconds that a caller waits for a fetch, counted from the start of the fetch."""
MAX_WAITING = 2
"""Callers that may wait at a time, of the 40 threads that requests have, and of the 4 that searches have."""
Held = TypeVar("Held")


class Refreshed(Generic[Held]):
    """``name`` appears in the log and in answers. Safe to use from many threads."""

    def __init__(self, name: str, fetch: Callable[[], Held]) -> None:
        self._name, self._fetch = name, fetch
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._held: Held | None = None
        self._fetched = self._ended = -math.inf  # of the last success, of the last fetch
        self._failed = False
        self._running: threading.Event | None = None
        self._began = 0.0

    def get(self, suffices: Callable[[Held], bool] = lambda _: True) -> Held:
        """The value. One that does not suffice is returned if no newer one is to be had.

        Raises Unavailable, with the seconds after which to try again, while a newer value may still arrive.
        """
        held = self._current()
        if held is not None and suffices(held):
            if time.monotonic() - self._fetched > FRESH:
                self._start()
            return held
        self._start()
        self._wait()
        held = self._current()
        if held is not None and (suffices(held) or not (self._failed or self._running)):
            return held
        raise self._unavailable()

    def _current(self) -> Held | None:
        with self._lock:
            return self._held if time.monotonic() - self._fetched <= STALE else None

    def _start(self) -> None:
        """Start a fetch, unless one is running or has just ended."""
        with self._lock:
            pause = FAILURE_PAUSE if self._failed else PAUSE
            if self._running is not None or time.monotonic() - self._ended < pause:
                return
            running = threading.Event()
            threading.Thread(target=self._run, args=(running,), daemon=True).start()
            self._running, self._began = running, time.monotonic()  # only now: a system may have no thread left

    def _run(self, done: threading.Event) -> None:
        held, failed = None, True
        try:
            held, failed = self._fetch(), False
        except StatusError as error:
            logger.error("%s cannot be fetched: %s", self._name, error.message)
        except Exception:
            logger.exception("%s cannot be fetched", self._name)
        with self._lock:
            self._ended, self._failed, self._running = time.monotonic(), failed, None
            if not failed:
                self._held, self._fetched = held, self._ended
        done.set()

    def _wait(self) -> None:
        with self._lock:
            running, seconds = self._running, self._began + PATIENCE - time.monotonic()
        if running is None or seconds <= 0 or not self._waiting.acquire(blocking=False):
            return
        try:
            running.wait(seconds)
        finally:
            self._waiting.release()

    def _unavailable(self) -> Unavailable:
        with self._lock:
            left = self._ended + FAILURE_PAUSE - time.monotonic() if self._running is None else 1
        error = Unavailable(f"{self._name} cannot be reached at the moment; try again")
        return retry_later(error, max(1, math.ceil(left)))
