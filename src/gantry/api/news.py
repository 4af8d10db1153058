"""Requests that wait for changes of a DICOM store, or for the end of a job. They hold no thread meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

from gantry.api.lanes import Lane, Lanes
from gantry.errors import StatusError

News = tuple[int, int]
Find = Callable[[Collection[int]], dict[int, News]]

PAUSE_SECONDS = 0.25
"""Between two looks: so soon is seen what another server has committed."""


class NotYet(NamedTuple):
    """In the place of an answer: ``again`` makes it once the store has other news than these, or ``until`` has come
    (``time.monotonic``)."""

    store_id: int
    news: News
    until: float
    again: Callable[[], Any]


class Unfinished(NamedTuple):
    """In the place of an answer: ``again`` makes it once ``is_over``, or once ``until`` has come."""

    is_over: Callable[[], bool]
    until: float
    again: Callable[[], Any]


_FIRST_PAUSE, _LONGER = 0.01, 1.3


class Lookout:
    """``find`` is ``FeedIndex.find_news``. All who wait for the same store share a look."""

    def __init__(self, find: Find, is_stopping: Callable[[], bool]) -> None:
        self._find, self._is_stopping = find, is_stopping
        self._seen: dict[int, tuple[float, News]] = {}

    async def wait(self, lanes: Lanes, wanted: NotYet | Unfinished) -> None:
        """Return when the answer is to be made; at once where the server stops."""
        if isinstance(wanted, Unfinished):
            await self._wait_for_end(lanes, wanted)
            return
        while not self._is_stopping() and (left := wanted.until - time.monotonic()) > 0:
            await asyncio.sleep(min(PAUSE_SECONDS, left))
            with suppress(StatusError):  # the index is away: whoever waits is told nothing of it before the end
                if await self._look(lanes, wanted.store_id) != wanted.news:
                    return

    async def _wait_for_end(self, lanes: Lanes, wanted: Unfinished) -> None:
        pause = _FIRST_PAUSE
        while not self._is_stopping() and (left := wanted.until - time.monotonic()) > 0:
            if await lanes.run(Lane.TABLE, wanted.is_over):
                return
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _LONGER, PAUSE_SECONDS)

    async def _look(self, lanes: Lanes, store_id: int) -> News:
        moment, news = self._seen.get(store_id, (0.0, (0, 0)))
        if (now := time.monotonic()) - moment >= PAUSE_SECONDS:
            news = (await lanes.run(Lane.READ, self._find, (store_id,)))[store_id]
            self._seen[store_id] = now, news
        return news
