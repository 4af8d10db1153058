"""Whether the client of a request is still connected, for work that is useless after it has gone.

The API calls ``watch`` for a request and ``leave`` when its client has disconnected; threads that work for the request
inherit its context.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gantry.errors import Cancelled


class _Client:
    """One client, and what is called when it goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []
        self.has_left = False

    def leave(self) -> None:
        with self._lock:
            self.has_left = True
            calls = list(self._calls)
        for call in calls:
            call()

    def add(self, call: Callable[[], object]) -> None:
        with self._lock:
            self._calls.append(call)
            has_left = self.has_left
        if has_left:
            call()

    def remove(self, call: Callable[[], object]) -> None:
        with self._lock:
            self._calls.remove(call)


_client: ContextVar[_Client | None] = ContextVar("client", default=None)


def watch() -> None:
    """Begin to watch the client of a request in this context."""
    _client.set(_Client())


def leave() -> None:
    """Record that the client of this context's request has disconnected."""
    client = _client.get()
    if client is not None:
        client.leave()


@contextmanager
def on_leave(call: Callable[[], object]) -> Iterator[None]:
    """``call`` is called when the client disconnects during the block; at once if it has disconnected before."""
    client = _client.get()
    if client is None:
        yield
        return
    client.add(call)
    try:
        yield
    finally:
        client.remove(call)


def require_client() -> None:
    """Raises Cancelled where the client has disconnected."""
    client = _client.get()
    if client is not None and client.has_left:
        raise Cancelled("the client has closed the connection")
