"""How far a streamed answer is made ahead of its client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gantry.api.streaming import _PIECE, StreamedAnswer, draw
from gantry.api.web import Answer


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_two_pieces_at_most_are_made_ahead_of_a_client_that_stops(taken: int) -> None:
    """One that was sent and has not been taken, and one that waits to be sent."""
    drawn: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(20):
            drawn.append(number)
            yield bytes(_PIECE)

    async def answer() -> None:
        left, stopped = taken + 1, asyncio.Event()  # the one more is in the buffer of the connection

        async def send(message: Any) -> None:
            nonlocal left
            if not message.get("body"):
                return
            if not left:
                stopped.set()
                await asyncio.sleep(60)
            left -= 1

        async def receive() -> Any:
            await asyncio.sleep(60)

        body = pieces()
        streamed = StreamedAnswer(Answer(body, "a/b"), draw(body)[0], body)
        task = asyncio.ensure_future(streamed({"method": "GET", "path": "/"}, receive, send))
        await stopped.wait()
        await asyncio.sleep(0.2)
        assert len(drawn) == taken + 2
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(answer())
