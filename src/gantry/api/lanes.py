"""Which threads a request is answered in: what is short never waits for a thread behind what is long.

All threads of a process take turns at the interpreter's lock (the GIL), so more of them than keep the processors busy
make each of them slower. Whoever waits for a slot in a lane waits in the event loop and takes no turns.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from anyio import CapacityLimiter


class Lane(Enum):
    """READ: small reads of the index, metadata, pages. SEARCH: searches. WRITE: what waits for its turn to write to the
    index. SIGN_IN: what waits for an issuer of tokens. PICTURE: what waits for a worker that makes pixels. LONG: files,
    frames, and searches that look through all headers of a study."""

    READ = "read"
    SEARCH = "search"
    WRITE = "write"
    SIGN_IN = "sign-in"
    PICTURE = "picture"
    LONG = "long"


SLOTS = MappingProxyType({Lane.READ: 8, Lane.SEARCH: 4, Lane.WRITE: 4, Lane.SIGN_IN: 16})
"""Threads of each lane. More that read, search or write would only compete for the GIL: two keep it in use, and one
thread writes at a time. Those that sign in wait for an issuer, without the GIL."""

PER_WORKER = 2
"""Threads of PICTURE and of LONG for each worker that makes pixels: one waits for it, one more has work ready."""


class Lanes:
    """The limits of one server that has so many workers for pixels."""

    def __init__(self, pixel_workers: int) -> None:
        waiting = PER_WORKER * pixel_workers
        slots = {**SLOTS, Lane.PICTURE: waiting, Lane.LONG: waiting}
        self._limiters = {lane: CapacityLimiter(slots[lane]) for lane in Lane}

    def __getitem__(self, lane: Lane) -> CapacityLimiter:
        return self._limiters[lane]
