"""What was done while a seed ran, line by line, and the error that says what is wrong."""

from __future__ import annotations

import threading
import time

_LAST = 2000  # lines that an error repeats


class Contradiction(AssertionError):
    """An answer, or what is stored, contradicts what was answered before."""


class Journal:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def write(self, who: str, text: str) -> None:
        with self._lock:
            self._lines.append(f"{time.monotonic() - self._begun:8.3f} {who:>8} {text}")

    def text(self) -> str:
        with self._lock:
            return "\n".join(self._lines[-_LAST:])


def require(holds: object, what: str) -> None:
    """Raises Contradiction unless ``holds``."""
    if not holds:
        raise Contradiction(what)
