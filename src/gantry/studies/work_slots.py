"""A slot among the uploads that work at a time: given up while one waits for a disk, so that another can work.

The HTTP side holds the slot and calls ``offer_slot``; the thread that works for the request inherits its context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class _Slot(NamedTuple):
    leave: Callable[[], None]
    enter: Callable[[], None]


_slot: ContextVar[_Slot | None] = ContextVar("slot", default=None)


def offer_slot(leave: Callable[[], None], enter: Callable[[], None]) -> None:
    """What this context's work calls, in its thread, to give its slot up and to wait for one again."""
    _slot.set(_Slot(leave, enter))


@contextmanager
def without_slot() -> Iterator[None]:
    """For a block that only waits."""
    slot = _slot.get()
    if slot is not None:
        slot.leave()
    try:
        yield
    finally:
        if slot is not None:
            slot.enter()
