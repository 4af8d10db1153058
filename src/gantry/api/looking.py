"""Looking at what may hang: in a thread of its own, so that no request waits for a disk that gives no answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gantry.errors import StatusError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 3.0
"""A look that takes longer is not waited for. A busy server takes some tenths of a second."""


class Look:
    """``find`` returns what is wrong, as sentences; it is called by one thread at a time, however many ask."""

    def __init__(self, find: Callable[[], list[str]]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._current: _Round | None = None

    def begin(self) -> _Round:
        """Look now, or take part in a look that has not ended."""
        with self._lock:
            if self._current is None or self._current.done.is_set():
                self._current = _Round(self._find)
                threading.Thread(target=self._current.run, name="look", daemon=True).start()
            return self._current


class _Round:
    def __init__(self, find: Callable[[], list[str]]) -> None:
        self.done = threading.Event()
        self._find = find
        self._begun = time.monotonic()
        self._found: list[str] = []

    def run(self) -> None:
        try:
            self._found = self._find()
        except StatusError as error:
            self._found = [error.message]
        except Exception:
            logger.exception("an unexpected error while the server looks at its parts")
            self._found = ["cannot be looked at; the server's log has the details"]
        finally:
            self.done.set()

    def get(self) -> list[str]:
        """What was found, or since when there is no answer."""
        if self.done.wait(max(0.0, self._begun + ANSWER_SECONDS - time.monotonic())):
            return self._found
        return [f"gives no answer for {time.monotonic() - self._begun:.0f} s"]
