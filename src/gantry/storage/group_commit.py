"""One sync for all who wait for one at the same time."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

from gantry.errors import StatusError, Unavailable

BROKEN_OFF = Unavailable("the disk may not have kept what was written: the sync was broken off")


class _Round:
    def __init__(self) -> None:
        self.done = False
        self.error: StatusError | None = None


class GroupCommit:
    """Calls of ``run`` from any thread; each returns after a call of ``sync`` that began after its own."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._changed = threading.Condition()
        self._running = False
        self._next = _Round()

    def run(self) -> None:
        """Raises what ``sync`` raised, to everybody who waited for that call of it."""
        with self._changed:
            mine = self._next
            while not mine.done:
                if self._running:
                    self._changed.wait()
                else:
                    self._lead(mine)
        if mine.error is not None:
            raise copy.copy(mine.error)  # each thread adds its own traceback

    def _lead(self, mine: _Round) -> None:
        """Sync for all who have come so far. Whoever comes meanwhile waits for the next time."""
        self._running, self._next = True, _Round()
        self._changed.release()
        try:
            self._sync()
        except StatusError as error:
            mine.error = error
        except BaseException:
            mine.error = BROKEN_OFF
            raise
        finally:
            self._changed.acquire()
            mine.done, self._running = True, False
            self._changed.notify_all()
