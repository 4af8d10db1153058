"""Whether the client of a request is still there, for work that only makes sense while it is.

The HTTP side calls ``watch`` for a request and ``leave`` when its client has gone; threads that work for the request
inherit its context.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

from gantry.errors import Cancelled

_left: ContextVar[threading.Event | None] = ContextVar("client_left", default=None)


def watch() -> None:
    """Begin a request in this context."""
    _left.set(threading.Event())


def leave() -> None:
    """The client of this context's request has gone."""
    left = _left.get()
    if left is not None:
        left.set()


def require_client() -> None:
    """Raises Cancelled where the client has gone: nobody would read the answer."""
    left = _left.get()
    if left is not None and left.is_set():
        raise Cancelled("the client has closed the connection")
