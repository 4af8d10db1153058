"""When work is to stop half way: a caller has cancelled its operation, or the server stops.

Whatever may last calls a ``Check`` several times a second, also where it finds nothing. What it raises ends the work.
"""

from __future__ import annotations

import threading
import time

from gantry.errors import Cancelled, StatusError
from gantry.resources import CANCELLED, Operation
from gantry.seams import Check, Seams

ASK_SECONDS = 0.25
"""How often the index is asked for a cancel: callers see it within a second, and a query takes 0.1 ms."""


class Stopping(Exception):
    """The server stops: what is under way goes on at its checkpoint, at the next start."""


def go_on() -> None:
    """The check of work that nothing interrupts."""


def until(stopping: threading.Event) -> Check:
    """A check that raises Stopping once the event is set."""

    def check() -> None:
        if stopping.is_set():
            raise Stopping

    return check


def listen(seams: Seams, operation: Operation, stopping: threading.Event) -> Check:
    """The check of an operation under way: raises Stopping, or Cancelled where its cancel is asked for."""
    asked = -ASK_SECONDS

    def check() -> None:
        nonlocal asked
        if stopping.is_set():
            raise Stopping
        if time.monotonic() - asked >= ASK_SECONDS:
            asked = time.monotonic()
            if _is_cancelled(seams, operation):
                raise Cancelled(CANCELLED.message)

    return check


def _is_cancelled(seams: Seams, operation: Operation) -> bool:
    try:
        return seams.index.operations.cancel_requested(operation.name)
    except StatusError:
        return False  # not known now: it is asked again, and a commit would say what is wrong with the index
