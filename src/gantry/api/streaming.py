"""Answers on their way out: made in threads while the event loop sends them, never much of them at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gantry.api.web import Answer
from gantry.errors import StatusError
from gantry.studies.departure import leave, watch

logger = logging.getLogger(__name__)

SEND_SECONDS = 120.0
"""How long a client may read nothing before it is given up."""

_PIECE = 1 << 20
_WATCH_SECONDS = 0.05  # after which it is worth a task to see whether the client is still there
_PATIENCE = 0.05  # seconds after which what there is goes out
_MAX_PIECES = 64


class StreamedAnswer:
    """ASGI response that draws pieces from an iterator in a thread while earlier ones are sent.

    When the iterator fails half way, the connection is broken off, so that nobody takes a part for the whole. When the
    client goes away, the iterator is closed.
    """

    def __init__(self, answer: Answer, first: list[bytes], rest: Iterator[bytes]) -> None:
        self._answer, self._first, self._rest = answer, first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self._answer.content_type.encode("latin-1"))]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in self._answer.headers.items()]
        await send({"type": "http.response.start", "status": self._answer.status, "headers": headers})
        if scope["method"] == "HEAD":
            await run_sync(_close, self._rest)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        gone = asyncio.ensure_future(_wait_until_gone(receive))
        try:
            await self._send_all(send, gone)
        except TimeoutError:
            logger.warning("%s: broken off: the client reads nothing for %g seconds", scope["path"], SEND_SECONDS)
        except StatusError as error:
            # uvicorn cuts the connection when an answer is not brought to its end.
            logger.warning("%s: broken off half way: %s", scope["path"], error.message)
        finally:
            gone.cancel()
            await run_sync(_close, self._rest)

    async def _send_all(self, send: Send, gone: asyncio.Future[None]) -> None:
        pieces, ended = self._first, False
        while pieces and not gone.done():
            following = None if ended else asyncio.ensure_future(run_sync(draw, self._rest))
            try:
                for piece in pieces:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                pieces, ended = await following if following else ([], True)
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def begin_stream(answer: Answer, pieces: Iterator[bytes]) -> StreamedAnswer:
    """Begun here, in a thread: what goes wrong before the first piece has an answer of its own."""
    first, _ = draw(pieces)
    return StreamedAnswer(answer, first, pieces)


def draw(pieces: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The next pieces, about a megabyte of them, or what there is after a moment; and whether that was the end."""
    found: list[bytes] = []
    size, until = 0, time.monotonic() + _PATIENCE
    for piece in pieces:
        if piece:
            found.append(piece)
            size += len(piece)
        if size >= _PIECE or len(found) >= _MAX_PIECES or (found and time.monotonic() > until):
            return found, False
    return found, True


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


@asynccontextmanager
async def watch_client(request: Request) -> AsyncIterator[None]:
    """While the block lasts, and in the answer that follows, work in threads learns when the client goes away.

    For requests without a body: what a body holds is taken off the connection.
    """
    watch()
    if request.method not in ("GET", "HEAD"):
        yield
        return
    tasks: list[asyncio.Future[None]] = []
    begin = asyncio.get_running_loop().call_later(
        _WATCH_SECONDS, lambda: tasks.append(asyncio.ensure_future(_wait_until_gone(request.receive)))
    )
    try:
        yield
    finally:
        begin.cancel()
        for task in tasks:
            task.cancel()


def _close(pieces: Iterator[bytes]) -> None:
    close: Callable[[], None] | None = getattr(pieces, "close", None)
    if close is not None:
        close()
