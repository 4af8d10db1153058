"""Turns of the event loop for requests that may be long: where hundreds began together, short ones would wait for all
of them at each of their steps."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """One of these requests begins in each turn of the event loop; the next ones wait, first come, first served.

    Whatever else is ready, such as short requests, which take no turn, is done between two of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one whose turn is taken

    async def take(self) -> None:
        """Wait for a turn. Whoever comes in another event loop than those who wait begins at once."""
        loop = asyncio.get_running_loop()
        if self._loop is None or self._loop.is_closed():  # it has ended before it has given its turn back
            self._waiting.clear()
            self._loop = loop
            loop.call_soon(self._give)
            return
        if loop is not self._loop:
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _give(self) -> None:
        """Called once in each turn of the event loop while somebody waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever has left is passed over
                turn.set_result(None)
                turn.get_loop().call_soon(self._give)
                return
        self._loop = None
