"""Claims operations and runs them to completion."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from contextlib import suppress

from gantry.errors import Interrupted, NotFound, StatusError, TakenOver
from gantry.operations.attempt import run_operation
from gantry.operations.blob_keys import sweep_uncommitted
from gantry.operations.commits import Totals
from gantry.operations.interruption import make_stop_check
from gantry.operations.sweeps import Sweeps, make_chores
from gantry.resources import Operation
from gantry.seams import Seams

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5  # between two looks for operations that came without ``notify``
_PAUSE_SECONDS = 5  # after an interrupted attempt: the cause may still be there
_STOP_SECONDS = 8
"""Threads stop within a second; one that hangs in a system call must not delay the end of the process."""


class Runner:
    """Runs operations and sweeps in threads of its own, ``slots`` operations at a time, from ``start`` to ``stop``.

    An operation that is running at ``stop`` stays claimed; the next runner continues it at its checkpoint.
    """

    def __init__(self, seams: Seams, slots: int = 4) -> None:
        self.id = secrets.token_hex(8)
        self.totals = Totals()
        self._active: dict[int, int] = {}  # operation id → store id
        self._seams = seams
        self._wake = threading.Semaphore(0)
        self._interrupted: deque[tuple[Operation, bool]] = deque()  # not released yet; whether its blobs are swept
        self._stopping = threading.Event()
        self._sweeps = Sweeps(make_chores(seams, self._stopping, lambda: set(self._active.values())), self._stopping)
        works = [(f"runner-{number}", self._work) for number in range(slots)]
        works += [(f"sweeper-{number}", work) for number, work in enumerate(self._sweeps.works)]
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """How many operations are running."""
        return len(self._active)

    def notify(self) -> None:
        """Report that there is a new operation."""
        self._wake.release()

    def sweep(self) -> None:
        """Report that blobs have lost their rows: something was deleted or replaced."""
        self._sweeps.wake()

    def begin_stop(self) -> None:
        """Tell all threads to stop; returns at once."""
        self._stopping.set()
        self._sweeps.wake()
        for _ in self._threads:
            self._wake.release()

    def stop(self) -> None:
        """Return when every thread has ended, or ``_STOP_SECONDS`` have passed."""
        self.begin_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            if thread.ident is not None:  # None for a thread that was never started
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    logger.warning("%s does not stop; its work continues at the next start", thread.name)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._release_interrupted()
                operation = self._seams.index.operations.claim_operation(self.id)
                if operation is not None:
                    self._run(operation)
                    continue
            except StatusError as error:
                logger.warning("operations wait: %s", error.message)
            except Exception:
                logger.exception("an unexpected error in a runner; it continues")
            self._wake.acquire(timeout=_LOOK_SECONDS)

    def _release_interrupted(self) -> None:
        """Release interrupted operations, so that they can be claimed again. Raises Interrupted; they stay listed then.

        Their uncommitted blobs are removed first, because one that is cancelled before it is claimed ends at once.
        They are removed once: a release that raised an error may have been written, and another attempt may run.
        """
        with suppress(IndexError):
            while True:
                operation, swept = self._interrupted.popleft()
                try:
                    if not swept:
                        sweep_uncommitted(self._seams, operation, make_stop_check(self._stopping))
                        swept = True
                    self._seams.index.operations.release_operation(operation, self.id)
                except NotFound:
                    continue  # it was deleted
                except Exception:
                    self._interrupted.append((operation, swept))
                    raise

    def _run(self, operation: Operation) -> None:
        self._active[operation.name.id] = operation.store_id
        logger.info("operation %s: attempt %d begins", operation.name, operation.attempt)
        try:
            run_operation(self._seams, operation, self.id, self._stopping, self.totals)
        except TakenOver as error:
            logger.warning("%s", error.message)
        except Interrupted as error:
            logger.warning("operation %s: attempt %d interrupted: %s", operation.name, operation.attempt, error.message)
            self._stopping.wait(_PAUSE_SECONDS)
            self._interrupted.append((operation, False))
        except Exception:
            logger.exception("operation %s: attempt %d interrupted", operation.name, operation.attempt)
            self._stopping.wait(_PAUSE_SECONDS)
            self._interrupted.append((operation, False))
        finally:
            del self._active[operation.name.id]
