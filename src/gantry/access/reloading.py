"""What others may change meanwhile, read again: a file when it has changed, anything else when it is old."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from gantry.errors import InvalidArgument, StatusError

logger = logging.getLogger(__name__)

SECONDS = 1.0
"""Between two checks for changes: what others have changed counts after it."""
_SETTLED = 2_000_000_000  # ns: file systems have coarse clocks, so a second change within 2 s may leave the same time
Held = TypeVar("Held")
Stamp = tuple[int, int, int]


class Reloaded(Generic[Held]):
    """Safe to use from many threads. Raises InvalidArgument, as ``load`` does, if the first reading fails.

    If a later reading fails, the log says so, and the old content stays.
    """

    def __init__(self, path: Path, load: Callable[[], Held]) -> None:
        self._path, self._load = path, load
        self._lock = threading.Lock()
        self._seen = read_stamp(path)
        self._held = load()
        self._looked = time.monotonic()

    def get(self) -> Held:
        """The content. One caller at a time checks for changes; the others do not wait for the disk."""
        if time.monotonic() >= self._looked + SECONDS and self._lock.acquire(blocking=False):
            try:
                self._looked = time.monotonic()
                self._look()
            finally:
                self._lock.release()
        return self._held

    def _look(self) -> None:
        stamp = read_stamp(self._path)
        if stamp is not None and stamp == self._seen:
            return
        try:
            self._held, self._seen = self._load(), stamp
        except InvalidArgument as error:
            logger.error("%s; what was read before stays valid", error.message)


def read_stamp(path: Path) -> Stamp | None:
    """What changes with a file, or with the names in a directory. None for a path that does not exist or has just
    changed: it is to be read again at the next check."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    recent = time.time_ns() - status.st_mtime_ns < _SETTLED
    return None if recent else (status.st_mtime_ns, status.st_size, status.st_ino)


class Recent(Generic[Held]):
    """What ``read`` returns, at most SECONDS old. Safe to use from many threads: those who come while it is read wait
    for that, and share its error."""

    def __init__(self, read: Callable[[], Held], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._held: Held
        self._error: StatusError | None = None
        self._fresh_until = self._read_at = self._next_look = -math.inf

    def get(self) -> Held:
        """Raises what ``read`` raises."""
        came = self._clock()
        if came < self._fresh_until:
            return self._held
        with self._lock:
            if came >= self._fresh_until and came >= self._read_at:
                self._renew()
            if self._error is not None:
                raise self._error.with_traceback(None)
            return self._held

    def look_again(self) -> Held:
        """It is read now, unless somebody has looked again within SECONDS: whoever asks for what is not there makes
        no work. Raises what ``read`` raises."""
        with self._lock:
            now = self._clock()
            if now >= self._next_look:
                self._next_look = now + SECONDS
                self._fresh_until = self._read_at = -math.inf
        return self.get()

    def forget(self) -> None:
        """It is read with the next call: this process has changed it."""
        with self._lock:
            self._fresh_until = self._read_at = -math.inf

    def _renew(self) -> None:
        began = self._clock()
        try:
            self._held, self._error = self._read(), None
            self._fresh_until = began + SECONDS
        except StatusError as error:
            self._error, self._fresh_until = error, -math.inf
        self._read_at = self._clock()
