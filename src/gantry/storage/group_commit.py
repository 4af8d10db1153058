"""One sync for all who wait for one at the same time."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable

from gantry.errors import DiskAway, StatusError

logger = logging.getLogger(__name__)

BROKEN_OFF = DiskAway("what was written may not be kept: its sync was broken off")
"""Memory is short, or threads. It is no error of one instance: a batch that took it for one would name lost bytes."""


class _Round:
    def __init__(self) -> None:
        self.done = False
        self.error: StatusError | None = None


class GroupCommit:
    """Calls of ``run`` from any thread; each returns after a call of ``sync`` that began after its own. At most
    ``most`` calls of ``sync`` run at a time."""

    def __init__(self, sync: Callable[[], None], most: int = 1) -> None:
        self._sync, self._most = sync, most
        self._changed = threading.Condition()
        self._running = 0
        self._next = _Round()

    def run(self) -> None:
        """Raises what ``sync`` raised, to everybody who waited for that call of it."""
        with self._changed:
            mine = self._next
            while not mine.done:
                if mine is self._next and self._running < self._most:
                    self._lead(mine)
                else:
                    self._changed.wait()
        if mine.error is not None:
            raise copy.copy(mine.error)  # each thread adds its own traceback

    def _lead(self, mine: _Round) -> None:
        """Sync for all who have come so far. Whoever comes meanwhile waits for the next time."""
        self._running, self._next = self._running + 1, _Round()
        self._changed.release()
        try:
            self._sync()
        except StatusError as error:
            mine.error = error
        except Exception:
            logger.exception("a sync was broken off")
            mine.error = BROKEN_OFF
        except BaseException:
            mine.error = BROKEN_OFF
            raise
        finally:
            self._changed.acquire()
            mine.done, self._running = True, self._running - 1
            self._changed.notify_all()
