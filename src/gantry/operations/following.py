"""Tells topics and tables of the changes of stores: at least once, in the order of the changes, and never in the way of
who makes them.

Each has a position of its own in the change feed, kept in the index and moved when all before it has arrived. One
server does it for all that share the index; if another one takes over, positions are moved by compare and set.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

from gantry.backoff import Backoff
from gantry.errors import DataLoss, OutOfRange, StatusError
from gantry.followed import Followed, Key, find_most
from gantry.index_protocols.deliveries import Delivery
from gantry.operations.interruption import Stopping
from gantry.seams import Seams

logger = logging.getLogger(__name__)

_AT_A_TIME = 8  # topics, or tables
_FAILED_AT_A_TIME = 4  # of those that have failed before: however many do not answer, they keep no other waiting
_HANG_SECONDS = 120.0  # of one turn: a disk that takes so long may never answer
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 60.0
"""Between two attempts: a receiver is restarted within seconds, and one that is away for a night asks for no more."""

_ENDED = "the change feed was off since, and nobody knows what happened meanwhile"
_DAMAGED = "changes of one transaction are damaged in the index; it goes on behind them (`gantry check` finds them)"
_EXPIRED = "they could not be sent for as long as changes are kept (the setting changes_days)"
_News = tuple[int, int]


class Work(Protocol):
    """What is done with changes. ``name`` is that of its threads, ``what`` is sent: "messages"."""

    name: str
    what: str
    followed: Followed

    def covers(self, receiver: str) -> bool:
        """Whether it is done for this receiver."""
        ...

    def is_due(self, receiver: str) -> bool:
        """Whether the receiver may be told now."""
        ...

    def find_disk(self, receiver: str) -> str:
        """What tells the disk of a receiver from others: it may hang for any time. "" where all that is done for it has
        a deadline."""
        ...

    def tell(self, delivery: Delivery, is_crowded: Callable[[], bool]) -> bool:
        """Tell what comes after a position, and move it. False where there may be more: the server stops, or others
        wait for their turn (``is_crowded``), or have gone on with it. Raises StatusError, Stopping, OutOfRange where
        the feed does not have it any more, and DataLoss where what comes next is damaged."""
        ...


class Following:
    """Recurring work: ``run`` begins what is to be told, and returns at once."""

    def __init__(self, seams: Seams, work: Work, stopping: threading.Event) -> None:
        self._seams, self._work, self._stopping = seams, work, stopping
        self._backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS)
        self._lock = threading.Lock()
        self._running: dict[Key, float] = {}
        self._hanging: set[Key] = set()
        self._news: dict[Key, _News] = {}
        self._said: dict[Key, str] = {}
        self._turns: dict[Key, int] = {}
        self._numbers = count(1)
        self._revision: str | None = None
        self._keys: list[Key] = []

    def run(self) -> None:
        if not self._seams.members.is_keeper:
            self._forget_others(set())  # another server tells them, and how far it is
            self._revision, self._keys = None, []
            return
        self._look()
        self._find_hanging()
        news = self._seams.index.feed.find_news({key[0] for key in self._keys}) if self._keys else {}
        self._work.followed.see(find_most(self._keys, news))
        for key in sorted(self._keys, key=lambda key: self._turns.get(key, 0)):
            self._begin(key, news.get(key[0], (0, 0)))

    def _look(self) -> None:
        """There may be ten thousand: they are read where they are others than before."""
        revision = self._seams.index.deliveries.get_revision()
        if revision == self._revision:
            return
        known = [each for each in self._seams.index.deliveries.list_deliveries() if self._work.covers(each.receiver)]
        self._keys, self._revision = [(each.store_id, each.receiver) for each in known], revision
        self._forget_others({*self._keys})
        for each in known:
            self._work.followed.reach((each.store_id, each.receiver), each.position.number)

    def _forget_others(self, keys: set[Key]) -> None:
        self._work.followed.see(dict.fromkeys(keys, 0))
        with self._lock:
            known: tuple[dict[Key, Any], ...] = self._news, self._said, self._turns
            for gone in {*self._news, *self._said, *self._turns} - keys - self._running.keys():
                self._backoff.succeed(str(gone))
                for each in known:
                    each.pop(gone, None)

    def _begin(self, key: Key, news: _News) -> None:
        with self._lock:
            is_known = self._news.get(key) == news or not self._backoff.is_due(str(key))
            if not self._is_free(key) or is_known or not self._work.is_due(key[1]):
                return
            self._running[key] = time.monotonic()
            self._turns[key] = next(self._numbers)
        threading.Thread(target=self._deliver, args=(key, news), name=self._work.name, daemon=True).start()

    def _is_free(self, key: Key) -> bool:
        if key in self._running or self._is_crowded() or self._hangs(key):
            return False
        failed = self._running.keys() & self._said.keys() - self._hanging
        return key not in self._said or len(failed) < _FAILED_AT_A_TIME

    def _is_crowded(self) -> bool:
        return len(self._running) - len(self._hanging) >= _AT_A_TIME

    def _find_hanging(self) -> None:
        """Those that a disk holds back do so to no others, but to those of the same disk."""
        with self._lock:
            begun = time.monotonic() - _HANG_SECONDS
            late = {key for key, since in self._running.items() if since < begun and self._work.find_disk(key[1])}
            new, self._hanging = late - self._hanging, late
        for key in sorted(new):
            self._fail(key, "DEADLINE_EXCEEDED", f"its disk has given no answer for {_HANG_SECONDS:.0f} s")

    def _hangs(self, key: Key) -> bool:
        disk = self._work.find_disk(key[1]) if self._hanging else ""
        return bool(disk) and any(self._work.find_disk(other[1]) == disk for other in self._hanging)

    def _deliver(self, key: Key, news: _News) -> None:
        try:
            if self._tell(key):
                with self._lock:
                    self._news[key] = news
                self._work.followed.wait(key, None)
            self._succeed(key)
        except Stopping:
            pass
        except StatusError as error:
            self._fail(key, error.code.name, error.message)
        except Exception as error:  # what is unexpected is tried again too: nothing is lost by it
            if not self._stopping.is_set():
                logger.exception("%s for %s", self._work.what, key[1])
                self._fail(key, "UNKNOWN", f"an unexpected {type(error).__name__}")
        finally:
            with self._lock:
                self._running.pop(key, None)
                self._hanging.discard(key)

    def _tell(self, key: Key) -> bool:
        """False where there may be more."""
        delivery = self._seams.index.deliveries.find(*key)  # another server may have moved it
        era = self._seams.index.feed.get_era()
        if delivery is None or not era:
            return True
        if delivery.era != era:
            self._begin_anew(delivery, era, _ENDED if delivery.era else "")
            return False
        try:
            return self._work.tell(delivery, self._is_crowded)
        except OutOfRange:
            self._give_up(key, era)
            return False
        except DataLoss:
            if not self._pass_damaged(key, era):
                raise
            return False

    def _pass_damaged(self, key: Key, era: str) -> bool:
        """Go on behind changes that cannot be read; False where there are none."""
        delivery = self._seams.index.deliveries.find(*key)
        if delivery is None:
            return False
        try:
            position = self._seams.index.feed.pass_damaged(delivery.store_id, delivery.position)
        except OutOfRange:
            self._begin_anew(delivery, era, _EXPIRED)
            return True
        if position is None or not self._seams.index.deliveries.move(delivery, position, era):
            return False
        self._say_given_up(delivery, _DAMAGED)
        return True

    def _give_up(self, key: Key, era: str) -> None:
        delivery = self._seams.index.deliveries.find(*key)
        if delivery is None:
            return
        try:
            self._seams.index.feed.pass_damaged(delivery.store_id, delivery.position)
        except OutOfRange:
            self._begin_anew(delivery, era, _EXPIRED)

    def _begin_anew(self, delivery: Delivery, era: str, why: str) -> None:
        """With the oldest change that is kept. Said aloud where something is lost."""
        start = self._seams.index.feed.find_start(delivery.store_id)
        if self._seams.index.deliveries.move(delivery, start, era) and why:
            self._say_given_up(delivery, f"{why}; it goes on with the oldest change that is kept")

    def _say_given_up(self, delivery: Delivery, why: str) -> None:
        self._work.followed.count("given_up", 1)
        logger.error("%s of %s for %s are given up: %s", self._work.what, delivery.store, delivery.receiver, why)

    def _succeed(self, key: Key) -> None:
        self._backoff.succeed(str(key))
        with self._lock:
            said = self._said.pop(key, "")
        if said:
            logger.info("%s for %s arrive again", self._work.what, key[1])

    def _fail(self, key: Key, reason: str, message: str) -> None:
        """Said once for each reason."""
        self._backoff.fail(str(key))
        self._work.followed.fail(reason)
        with self._lock:
            before, self._said[key] = self._said.get(key), message
        if before != message:
            logger.warning(
                "%s for %s cannot be sent, and are kept and tried again: %s", self._work.what, key[1], message
            )
