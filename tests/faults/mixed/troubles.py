"""Which troubles a server had, and when: only those excuse an error."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

GRACE = 2.0
"""Seconds after the end of a trouble in which an answer may still speak of it."""


@dataclass
class Trouble:
    """``place``: ``blobs``, ``cold``, ``index``, ``source``, ``out``, or ``server`` and ``worker`` for processes.
    ``calls`` are the system calls that failed."""

    place: str
    what: str
    calls: tuple[str, ...] = ()
    begun: float = 0.0
    ended: float | None = None

    def touches(self, begin: float, end: float) -> bool:
        return self.begun <= end and (self.ended is None or self.ended + GRACE >= begin)


class Troubles:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._all: list[Trouble] = []
        self._lock = threading.Lock()

    def begin(self, place: str, what: str, calls: tuple[str, ...] = ()) -> Trouble:
        trouble = Trouble(place, what, calls, time.monotonic())
        with self._lock:
            self._all.append(trouble)
        return trouble

    def end(self, trouble: Trouble) -> None:
        trouble.ended = time.monotonic()

    def during(self, begin: float, *places: str, calls: tuple[str, ...] = ()) -> list[Trouble]:
        """From ``begin`` until now; of ``places`` and ``calls`` alone where some are named."""
        end = time.monotonic()
        with self._lock:
            return [
                item
                for item in self._all
                if item.touches(begin, end)
                and (not places or item.place in places)
                and (not calls or set(calls) & set(item.calls))
            ]
