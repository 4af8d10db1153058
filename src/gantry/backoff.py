"""What could not be done is tried again, less and less often."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(slots=True)
class _Failed:
    times: int
    due: float


class Backoff:
    """Remembers by name what failed: tried again after ``first`` seconds, then twice as many, at most ``longest``.

    At most ``most`` names are remembered; what is not remembered is tried each time. Safe to use from many threads.
    """

    def __init__(self, first: float = 5.0, longest: float = 300.0, most: int = 100_000) -> None:
        self._first, self._longest, self._most = first, longest, most
        self._lock = threading.Lock()
        self._failed: dict[str, _Failed] = {}

    def is_due(self, name: str) -> bool:
        found = self._failed.get(name)
        return found is None or found.due <= time.monotonic()

    def fail(self, name: str) -> bool:
        """It failed, or failed again; True for the first time."""
        with self._lock:
            found = self._failed.get(name)
            times = 0 if found is None else found.times
            if found is not None or len(self._failed) < self._most:
                seconds = min(self._longest, self._first * 2.0 ** min(times, 20))
                self._failed[name] = _Failed(times + 1, time.monotonic() + seconds)
            return found is None

    def succeed(self, name: str) -> None:
        if name in self._failed:
            with self._lock:
                self._failed.pop(name, None)

    @property
    def count(self) -> int:
        """How many have failed and not succeeded since."""
        return len(self._failed)
