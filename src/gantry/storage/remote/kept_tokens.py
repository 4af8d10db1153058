"""A token of a sign-in service, which is renewed before it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_RENEWED_BEFORE, _LEFT = 300.0, 30.0
"""Seconds before the end of a token from which on a new one is asked for, and up to which the old one still is used
where none comes: a metadata service may give out the same one to its end. Between two such requests at least the latter
pass."""


class KeptToken:
    """``renew`` gives a token, and when it ends (seconds since 1970). Safe to use from many threads."""

    def __init__(self, renew: Callable[[], tuple[str, float]]) -> None:
        self._renew, self._lock = renew, threading.Lock()
        self._token, self._ends, self._asked_at = "", 0.0, -_LEFT
        self._error: Exception | None = None

    def get(self) -> str:
        """Raises what ``renew`` does. Those who wait for a token that does not come hear of it at once: one after the
        other they would wait as often."""
        came = time.monotonic()
        with self._lock:
            left = self._ends - time.time()
            if left < _LEFT:
                if self._error is not None and came < self._asked_at:
                    raise self._error
                self._ask(is_needed=True)
            elif left < _RENEWED_BEFORE and came >= self._asked_at + _LEFT:
                self._ask(is_needed=False)
            return self._token

    def _ask(self, is_needed: bool) -> None:
        try:
            self._token, self._ends = self._renew()
            self._error = None
        except Exception as error:
            self._error = error
            if is_needed:
                raise
        finally:
            self._asked_at = time.monotonic()

    def forget(self) -> None:
        """It was refused."""
        with self._lock:
            self._ends, self._error = 0.0, None
