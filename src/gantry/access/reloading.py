"""What a file or a directory holds, read again when it has changed."""

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

SECONDS = 1.0  # between two looks
_SETTLED = 2_000_000_000  # ns: clocks of file systems are coarse, so what changed just now may change again unseen
Held = TypeVar("Held")


class Reloaded(Generic[Held]):
    """Safe to use from many threads. Raises InvalidArgument, as ``load`` does, for what cannot be read at the start.

    What cannot be read later is reported in the log, and what was known before stays.
    """

    def __init__(self, path: Path, load: Callable[[], Held]) -> None:
        self._path, self._load = path, load
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._held = load()
        self._looked = time.monotonic()

    def get(self) -> Held:
        """What is known. One caller at a time looks whether it has changed; the others do not wait for the disk."""
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
            logger.error("%s; what was known before stays good", error.message)

    def _stamp(self) -> tuple[int, int, int] | None:
        """None for what is not there, or has changed just now: it is read again at the next look."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        recent = time.time_ns() - found.st_mtime_ns < _SETTLED
        return None if recent else (found.st_mtime_ns, found.st_size, found.st_ino)
