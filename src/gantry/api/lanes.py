"""Which threads a request is answered in: what is short never waits for a thread behind what is long.

All threads of a process take turns at the interpreter's lock (the GIL), so more of them than keep the processors busy
make each of them slower. Whoever waits for a place in a lane waits in the event loop and takes no turns.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from anyio import CapacityLimiter


class Lane(Enum):
    """READ: small reads of the index, metadata, pages. SEARCH: searches. WRITE: what waits for its turn to write to the
    index, or for an issuer of tokens. PICTURE: what waits for a worker that makes pixels. LONG: files, frames, and
    searches that look through all headers of a study."""

    READ = "read"
    SEARCH = "search"
    WRITE = "write"
    PICTURE = "picture"
    LONG = "long"


PLACES = MappingProxyType({Lane.READ: 8, Lane.SEARCH: 4, Lane.WRITE: 16, Lane.LONG: 16})
"""Threads of each lane. Reads and searches only compete for the GIL with more of them; those that write wait for one
writer; those of LONG, for the workers of a large machine (16) and for disks."""

PICTURES_PER_WORKER = 2
"""Threads of PICTURE: one waits for its picture, the next has one ready for the worker to begin."""


class Lanes:
    """The limits of one server that has so many workers for pixels."""

    def __init__(self, pixel_workers: int) -> None:
        places = {**PLACES, Lane.PICTURE: PICTURES_PER_WORKER * pixel_workers}
        self._limiters = {lane: CapacityLimiter(places[lane]) for lane in Lane}

    def __getitem__(self, lane: Lane) -> CapacityLimiter:
        return self._limiters[lane]
