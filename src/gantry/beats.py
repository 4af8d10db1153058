"""Signs of life from inside a call in a worker process: whoever waits for it knows that it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

CALL_SECONDS, CALL_BYTES = 60.0, 1_000_000
"""How long a worker may be silent about an object: so long, and a second more for so many bytes, which is slower than
any disk or network that is worth waiting for. Then another worker takes its place."""
SYNC_SECONDS = 600.0  # how long a sync may take: a disk that others write to, too, may have much to do first
_BEAT_SECONDS = 1.0  # between two signs of life: each wakes a thread of the server


def beat(seconds: float | None) -> None:
    """Report from inside a call that it is alive, and that it will beat again or return within ``seconds``.

    A call that never beats, or beats with None, has no time limit. Does nothing outside a worker process. It costs
    little: a beat that says nothing new is left out.
    """
    if _listeners and _last.is_news(seconds):
        for listener in _listeners:
            listener(seconds)


def beat_for(size: int) -> None:
    """Report that the next sign of life comes once so many bytes are read or written, or before."""
    beat(CALL_SECONDS + size / CALL_BYTES)


def beat_again() -> None:
    """Report that it goes on, and that it will beat again within the time that it has announced last."""
    if _last.seconds is not None:
        beat(_last.seconds)


class _LastBeat:
    """``seconds`` is what was announced last."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._at = 0.0

    def is_news(self, seconds: float | None) -> bool:
        now = time.monotonic()
        covered = seconds is not None and self.seconds is not None and seconds <= self.seconds
        if covered and now - self._at < _BEAT_SECONDS:
            return False
        self.seconds, self._at = seconds, now
        return True


_last = _LastBeat()


def hear_beats(listener: Callable[[float | None], None]) -> None:
    """For executors: call ``listener`` for every beat of this process."""
    _listeners.append(listener)


_listeners: list[Callable[[float | None], None]] = []
