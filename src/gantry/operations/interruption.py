"""How work is interrupted: its operation was cancelled, or the server stops.

Work that may take long calls a ``Check`` several times a second. An exception that it raises ends the work.
"""

from __future__ import annotations

import threading
import time

from gantry.errors import Cancelled, StatusError
from gantry.resources import CANCELLED, Operation
from gantry.seams import Check, Seams

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


def make_check(seams: Seams, operation: Operation, stopping: threading.Event) -> Check:
    """The check of a running operation: raises Stopping, or Cancelled once its cancel was requested."""
    last_query = -POLL_SECONDS

    def check() -> None:
        nonlocal last_query
        if stopping.is_set():
            raise Stopping
        if time.monotonic() - last_query >= POLL_SECONDS:
            last_query = time.monotonic()
            if _is_cancelled(seams, operation):
                raise Cancelled(CANCELLED.message)

    return check


def _is_cancelled(seams: Seams, operation: Operation) -> bool:
    try:
        return seams.index.operations.cancel_requested(operation.name)
    except StatusError:
        return False  # the next query tries again, and the next commit reports the error of the index
