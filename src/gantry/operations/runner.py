"""Claims operations and runs them to completion."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from contextlib import suppress

from gantry.errors import Interrupted, NotFound, TakenOver
from gantry.operations.attempt import run_operation
from gantry.operations.blob_keys import sweep_uncommitted
from gantry.operations.commits import Totals
from gantry.operations.interruption import until
from gantry.operations.sweeps import Sweeps, chores
from gantry.resources import Operation
from gantry.seams import Seams

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5  # for operations that nobody said were there: those that another server gave back
_STOP_SECONDS = 8
"""Threads hear the end within a second; one that hangs in a system call must not hold up the process."""


class Runner:
    """Runs operations in threads of its own, ``slots`` at a time, from ``start`` to ``stop``; sweeps meanwhile.

    What is under way at ``stop`` stays claimed and is taken up at the checkpoint by the next runner.
    """

    def __init__(self, seams: Seams, slots: int = 4) -> None:
        self.id = secrets.token_hex(8)
        self.totals = Totals()
        self._active: dict[int, int] = {}  # operation id → store id
        self._seams = seams
        self._wake = threading.Semaphore(0)
        self._broken_off: deque[tuple[Operation, bool]] = deque()  # not given back yet; whether its bytes are swept
        self._stopping = threading.Event()
        self._sweeps = Sweeps(chores(seams, self._stopping, lambda: set(self._active.values())), self._stopping)
        works = [(f"runner-{number}", self._work) for number in range(slots)]
        works += [(f"sweeper-{number}", work) for number, work in enumerate(self._sweeps.works)]
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """Operations under way."""
        return len(self._active)

    def notify(self) -> None:
        """There is a new operation."""
        self._wake.release()

    def sweep(self) -> None:
        """There are bytes that nothing points to any more: something was deleted or replaced."""
        self._sweeps.wake()

    def begin_stop(self) -> None:
        """Say that the server stops; returns at once."""
        self._stopping.set()
        self._sweeps.wake()
        for _ in self._threads:
            self._wake.release()

    def stop(self) -> None:
        """Return when every thread has ended, or ``_STOP_SECONDS`` have passed."""
        self.begin_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    logger.warning("%s does not stop; what it does is taken up at the next start", thread.name)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._give_back()
                operation = self._seams.index.operations.claim_operation(self.id)
                if operation is not None:
                    self._run(operation)
                    continue
            except Exception:
                logger.exception("a runner met an error it did not expect; it goes on")
            self._wake.acquire(timeout=_LOOK_SECONDS)

    def _give_back(self) -> None:
        """Let operations that broke off be claimed again. Raises Interrupted, and they stay on the list.

        What they have not committed is removed first: one that is cancelled before anybody claims it ends as it is.
        That is done once. A release that ends in an error may have been written: another attempt may be under way.
        """
        with suppress(IndexError):
            while True:
                operation, swept = self._broken_off.popleft()
                try:
                    if not swept:
                        sweep_uncommitted(self._seams, operation, until(self._stopping))
                        swept = True
                    self._seams.index.operations.release_operation(operation, self.id)
                except NotFound:
                    continue  # it was deleted
                except Exception:
                    self._broken_off.append((operation, swept))
                    raise

    def _run(self, operation: Operation) -> None:
        self._active[operation.name.id] = operation.store_id
        logger.info("operation %s: attempt %d begins", operation.name, operation.attempt)
        try:
            run_operation(self._seams, operation, self.id, self._stopping, self.totals)
        except TakenOver as error:
            logger.warning("%s", error.message)
        except Interrupted as error:
            logger.warning("operation %s: attempt %d broke off: %s", operation.name, operation.attempt, error.message)
            self._stopping.wait(5)
            self._broken_off.append((operation, False))
        except Exception:
            logger.exception("operation %s: attempt %d broke off", operation.name, operation.attempt)
            self._stopping.wait(5)
            self._broken_off.append((operation, False))
        finally:
            del self._active[operation.name.id]
