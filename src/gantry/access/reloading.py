"""The content of a file or directory, read again when it has changed."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from gantry.errors import InvalidArgument

logger = logging.getLogger(__name__)

SECONDS = 1.0  # between two checks for changes
_SETTLED = 2_000_000_000  # ns: file systems have coarse clocks, so a second change within 2 s may leave the same time
Held = TypeVar("Held")


class Reloaded(Generic[Held]):
    """Safe to use from many threads. Raises InvalidArgument, as ``load`` does, if the first reading fails.

    If a later reading fails, the log says so, and the old content stays.
    """

    def __init__(self, path: Path, load: Callable[[], Held]) -> None:
        self._path, self._load = path, load
        self._lock = threading.Lock()
        self._seen = self._stamp()
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
        stamp = self._stamp()
        if stamp is not None and stamp == self._seen:
            return
        try:
            self._held, self._seen = self._load(), stamp
        except InvalidArgument as error:
            logger.error("%s; what was read before stays valid", error.message)

    def _stamp(self) -> tuple[int, int, int] | None:
        """None for a path that does not exist or has just changed: it is read again at the next check."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        recent = time.time_ns() - status.st_mtime_ns < _SETTLED
        return None if recent else (status.st_mtime_ns, status.st_size, status.st_ino)
