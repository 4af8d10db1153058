"""Servers that share an index: each gives signs of life, and looks after those of the others.

A server is taken for dead where its beats stand still for GONE_SECONDS of the clock of another, whose own beats are
heard meanwhile. So no clock is compared with another one, and a database that was away is nobody's death. What a dead
server was doing is free for others; it writes nothing any more (``index.servers``), and ends as soon as it notices.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.asked_aside import AskedAside
from gantry.errors import Expelled, StatusError
from gantry.index_protocols.servers import ServerIndex
from gantry.live_servers import LiveServer

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
GONE_SECONDS = 20.0
"""A pause of that length is none of a server that works: its interpreter stands still for a second at most."""
_DEAF_SECONDS = 2 * BEAT_SECONDS
"""After a pause of one's own the others are given their time again."""


class Membership:
    """One server that has the index for itself; see ``SharedMembership``."""

    id = ""
    is_shared = False
    is_keeper = True
    """Whether the work that one server does for all is this one's."""

    def find_state(self, operation: int) -> Any:
        """What another server that runs an operation says of it (``describe``); None where none does."""

    def find_busy_stores(self, deleted: Collection[int]) -> set[int]:
        """Those of these stores that another server may write to yet."""
        return set()

    def list_running(self) -> set[int]:
        """The operations of other servers."""
        return set()

    def find_longest_silence(self) -> float:
        """Seconds since another server has given the oldest sign of life that is its last one, as far as this one has
        seen; 0 where there is no other."""
        return 0.0

    def is_held(self) -> bool:
        """Whether a backup is made in the data directory of another server."""
        return False

    def start(self, describe: Callable[[], State], end: Callable[[], None]) -> None:
        """``describe`` is what the others must know, ``end`` is called once this server was taken for dead."""

    def beat(self) -> None:
        """Give a sign of life now, and look at those of the others. Raises Expelled, Interrupted."""

    def tell(self) -> None:
        """What the others must know has changed."""

    def stop(self) -> None:
        """This server takes no more work, and has ended what it did."""


@dataclass(frozen=True)
class State:
    """What the others must know: the stores that are written to, the operations that run or wait, each with what it
    waits for or None."""

    stores: Collection[int] = ()
    operations: Mapping[int, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        operations = {str(number): waits for number, waits in self.operations.items()}
        return {"stores": sorted(self.stores), "operations": operations}


class SharedMembership(Membership):
    """One of several. It is alive, and gives signs of life by itself, from the beginning to ``stop``.
    ``holds`` says whether a backup is made in its data directory. No beat waits for its disk: one that hangs may have a
    backup."""

    is_shared = True

    def __init__(self, index: ServerIndex, name: str, home: str, runs: bool, holds: Callable[[], bool]) -> None:
        """Raises Interrupted."""
        self.id, self._runs = index.join(name, home, runs), runs
        self._index, self._holds = index, AskedAside(holds)
        self._seen: dict[str, tuple[int, float]] = {}  # id → beats, and when they were first seen
        self._asked: dict[int, dict[str, int]] = {}  # deleted store → the beats of each server when that was noticed
        self._heard = time.monotonic()
        self._live: Sequence[LiveServer] = ()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="signs of life", daemon=True)
        self._describe: Callable[[], State] = State
        self._end: Callable[[], None] = self._stopping.set
        self._is_gone = False
        self.beat()
        self._thread.start()

    @property
    def is_keeper(self) -> bool:  # type: ignore[override]
        """Of those that run operations it is the one that came first."""
        return self._runs and next((each.id for each in self._live if each.runs), "") == self.id

    @property
    def _others(self) -> Sequence[LiveServer]:
        return [each for each in self._live if each.id != self.id]

    def find_state(self, operation: int) -> Any:
        states = (each.state.get("operations", {}) for each in self._others)
        return next((state[str(operation)] for state in states if str(operation) in state), None)

    def find_busy_stores(self, deleted: Collection[int]) -> set[int]:
        """A server begins nothing in a store that it finds deleted: what it says after that is all that it does. The
        first sign of life after it may tell of the moment before."""
        self._asked = {number: self._asked.get(number) or self._read_beats() for number in deleted}
        return {number for number in deleted if any(self._may_write(each, number) for each in self._others)}

    def _read_beats(self) -> dict[str, int]:
        return {each.id: each.beats + 1 for each in self._index.list_live()}

    def _may_write(self, server: LiveServer, store_id: int) -> bool:
        asked = self._asked[store_id].get(server.id, -1)
        return server.beats <= asked or store_id in server.state.get("stores", ())

    def list_running(self) -> set[int]:
        return {int(number) for each in self._others for number in each.state.get("operations", ())}

    def find_longest_silence(self) -> float:
        now = time.monotonic()
        return max((now - since for _, since in self._seen.values()), default=0.0)

    def is_held(self) -> bool:
        is_deaf = time.monotonic() - self._heard > _DEAF_SECONDS  # nobody knows what they say now
        return is_deaf or any(each.state.get("holds") for each in self._others)

    def start(self, describe: Callable[[], State], end: Callable[[], None]) -> None:
        self._describe, self._end = describe, end
        if self._is_gone:  # before anybody could be told
            end()

    def tell(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """The others go on with its work at once."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(BEAT_SECONDS)
        try:
            self._index.leave()
        except StatusError as error:  # the others notice
            logger.warning("the others could not be told that this server stops: %s", error.message)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.beat()
            except Expelled as error:
                self._gone(error)
                return
            except StatusError as error:
                logger.warning("a sign of life could not be given, or not answered to: %s", error.message)
            except Exception:
                logger.exception("an unexpected error while a sign of life was given; it is tried again")

    def _gone(self, error: Expelled) -> None:
        if not self._stopping.is_set():
            logger.error("%s", error.message)
            self._is_gone = True
            self._end()

    def beat(self) -> None:
        holds = self._holds.get(unanswered=True)
        self._live = self._index.beat(self._describe().to_json() | {"holds": holds})
        now = time.monotonic()
        if now - self._heard > _DEAF_SECONDS:
            self._seen.clear()
        self._heard = now
        self._seen = {each.id: self._look_at(each, now) for each in self._others}
        for each in self._others:
            if now - self._seen[each.id][1] >= GONE_SECONDS and self._index.expel(each):
                logger.warning("server %s is gone: it has given no sign of life for %.0f s", each.name, GONE_SECONDS)

    def _look_at(self, server: LiveServer, now: float) -> tuple[int, float]:
        beats, since = self._seen.get(server.id, (-1, now))
        return (beats, since) if beats == server.beats else (server.beats, now)


def find_alive(index: ServerIndex) -> list[str]:
    """The names of servers that give signs of life now, before this one is among them. Where there are rows it takes
    some time: a database that was put back from a backup has those of servers that ran then."""
    before = {each.id: each.beats for each in index.list_live()}
    if not before:
        return []
    time.sleep(GONE_SECONDS)
    return [each.name for each in index.list_live() if each.beats != before.get(each.id)]
