"""How work is interrupted: its operation was cancelled, or the server stops.

Work that may take long calls a ``Check`` several times a second. An exception that it raises ends the work.
"""

from __future__ import annotations

import threading
import time

from gantry.errors import Cancelled, StatusError, Wait
from gantry.operations.waits import Waits
from gantry.resources import CANCELLED, Operation
from gantry.seams import Seams
from gantry.worker_calls import Check

POLL_SECONDS = 0.25
"""Between two queries for a cancel: it takes effect within a second, and a query takes 0.1 ms."""


class Stopping(Exception):
    """The server stops: operations continue at their checkpoint at the next start."""


def go_on() -> None:
    """The check of work that is never interrupted."""


def make_stop_check(stopping: threading.Event) -> Check:
    """A check that raises Stopping once the event is set."""

    def check() -> None:
        if stopping.is_set():
            raise Stopping

    return check


class OperationCheck:
    """The check of a running operation: raises Stopping, or Cancelled once its cancel was requested."""

    def __init__(self, seams: Seams, operation: Operation, stopping: threading.Event, waits: Waits) -> None:
        self._seams, self._operation, self._waits = seams, operation, waits
        self._stop = make_stop_check(stopping)
        self._last_query = -POLL_SECONDS

    def __call__(self) -> None:
        self._waits.beat(self._operation.name.id)
        self.look()

    def look(self) -> None:
        """As a call, but for the sign of life: somebody else still sees that the operation does not move."""
        self._stop()
        if time.monotonic() - self._last_query >= POLL_SECONDS:
            self._last_query = time.monotonic()
            if _is_cancelled(self._seams, self._operation):
                raise Cancelled(CANCELLED.message)

    def hear_silence(self, seconds: float) -> None:
        """The worker that the operation waits for hangs, or goes on."""
        if seconds:
            self._waits.note(self._operation.name.id, Wait.WORKER, describe_silence(seconds))
        else:
            self._waits.end(self._operation.name.id)


def describe_silence(seconds: float) -> str:
    return (
        f"a worker process has given no sign of life for {seconds:.0f} s; the disk or the network that it reads from "
        "may not answer"
    )


def _is_cancelled(seams: Seams, operation: Operation) -> bool:
    try:
        return seams.index.operations.cancel_requested(operation.name)
    except StatusError:
        return False  # the next query tries again, and the next commit reports the error of the index
