"""Whether the client of a request is still connected, for work that is useless after it has gone.

The API calls ``watch`` for a request and ``leave`` when its client has disconnected; threads that work for the request
inherit its context.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

from gantry.errors import Cancelled

_left: ContextVar[threading.Event | None] = ContextVar("client_left", default=None)


def watch() -> None:
    """Begin to watch the client of a request in this context."""
    _left.set(threading.Event())


def leave() -> None:
    """Record that the client of this context's request has disconnected."""
    left = _left.get()
    if left is not None:
        left.set()


def require_client() -> None:
    """Raises Cancelled where the client has disconnected."""
    left = _left.get()
    if left is not None and left.is_set():
        raise Cancelled("the client has closed the connection")
