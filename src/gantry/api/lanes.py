"""Which threads a request is answered in: what is short never waits for a thread behind what is long.

All threads of a process take turns at the interpreter's lock (the GIL), so more of them than keep the processors busy
make each of them slower. Work that waits for a thread of its lane waits in a queue and takes no turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from anyio import CancelScope

Result = TypeVar("Result")


class Lane(Enum):
    """READ: small reads of the index, metadata, pages. SEARCH: searches. WRITE: what waits for its turn to write to the
    index. SIGN_IN: what waits for an issuer of tokens. PICTURE: what waits for a worker that makes pixels. LONG: files,
    frames, and searches that look through all headers of a study. TABLE: tables of metadata, and jobs, which lie on
    their disks: one that gives no answer keeps no other request waiting."""

    READ = "read"
    SEARCH = "search"
    WRITE = "write"
    SIGN_IN = "sign-in"
    PICTURE = "picture"
    LONG = "long"
    TABLE = "table"


SHORT = frozenset({Lane.READ, Lane.SEARCH, Lane.TABLE})
"""Lanes of requests that begin at once; those of the others wait for a turn (``gantry.api.turns``)."""

SLOTS = MappingProxyType({Lane.READ: 8, Lane.SEARCH: 4, Lane.WRITE: 4, Lane.SIGN_IN: 16, Lane.TABLE: 8})
"""Threads of each lane. More that read, search or write would only compete for the GIL: two keep it in use, and one
thread writes at a time. Those that sign in wait for an issuer, without the GIL."""

PER_WORKER = 2
"""Threads of PICTURE and of LONG for each worker that makes pixels: one waits for it, one more has work ready."""


class Lanes:
    """The threads of one server that has so many workers for pixels.

    A thread that is done takes the next of its lane by itself. If it waited for the event loop to give it one, a busy
    event loop would limit each lane to its slots times the turns of the loop in a second, however short the work is.
    """

    def __init__(self, pixel_workers: int) -> None:
        waiting = PER_WORKER * pixel_workers
        slots = {**SLOTS, Lane.PICTURE: waiting, Lane.LONG: waiting}
        self._pools = {lane: ThreadPoolExecutor(slots[lane], lane.value) for lane in Lane}

    async def run(self, lane: Lane, work: Callable[..., Result], *arguments: object) -> Result:
        """Run ``work`` in a thread of the lane, first come, first served, in the context of the caller.

        A caller that is cancelled leaves the queue; once its work has begun, the end of the work is awaited.
        """
        begun = self._pools[lane].submit(copy_context().run, _call, work, *arguments)
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            if not begun.cancel():
                with CancelScope(shield=True):
                    await asyncio.gather(asyncio.wrap_future(begun), return_exceptions=True)
            raise


def _call(work: Callable[..., Result], *arguments: object) -> Result:
    try:
        return work(*arguments)
    except StopIteration as error:
        # The future that the event loop waits for takes no StopIteration: the caller would wait for ever.
        raise RuntimeError("the work has raised StopIteration") from error
