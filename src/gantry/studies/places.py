"""A place among the uploads that work at a time: given up while one waits for a disk, so that another can work.

The HTTP side holds the place and calls ``offer_place``; the thread that works for the request inherits its context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class _Place(NamedTuple):
    leave: Callable[[], None]
    enter: Callable[[], None]


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


def offer_place(leave: Callable[[], None], enter: Callable[[], None]) -> None:
    """What this context's work calls, in its thread, to give its place up and to wait for one again."""
    _place.set(_Place(leave, enter))


@contextmanager
def without_place() -> Iterator[None]:
    """For a block that only waits."""
    place = _place.get()
    if place is not None:
        place.leave()
    try:
        yield
    finally:
        if place is not None:
            place.enter()
