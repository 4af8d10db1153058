"""Streamed answers: threads make them while the event loop sends them, so that memory holds about a megabyte."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from anyio import CancelScope
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gantry.api.web import Answer
from gantry.errors import StatusError
from gantry.studies.departure import leave, require_client, watch

logger = logging.getLogger(__name__)

_PIECE = 1 << 20
_WATCH_SECONDS = 0.05  # seconds of a request after which a task watches its client; most are shorter
_PATIENCE = 0.05  # seconds after which the pieces made so far are sent
_MAX_PIECES = 64  # of one round, so that small pieces are sent soon


class StreamedAnswer:
    """ASGI response that draws pieces from an iterator in a thread while earlier ones are sent.

    If the iterator fails half way, the connection is closed, so that clients notice that the answer is incomplete. If
    the client disconnects, the iterator is closed.
    """

    def __init__(self, answer: Answer, first: list[bytes], rest: Iterator[bytes]) -> None:
        self._answer, self._first, self._rest = answer, first, rest
        self._failure: StatusError | None = None

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
        except StatusError as error:
            # uvicorn closes the connection if an answer has no end.
            logger.warning("%s: broken off half way: %s", scope["path"], error.message)
        finally:
            gone.cancel()
            await run_sync(_close, self._rest)

    async def _send_all(self, send: Send, gone: asyncio.Future[None]) -> None:
        """More is drawn once the client has taken what was sent before: for one that reads nothing no more is held, and
        the connection closes it in the end (``gantry.closing``)."""
        pieces, self._first, ended = self._first, [], False
        while pieces and not gone.done():
            following: asyncio.Future[tuple[list[bytes], bool]] | None = None
            try:
                for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if following is None and not ended:
                        following = asyncio.ensure_future(run_sync(self._draw))
            finally:
                pieces, ended = await following if following else ([], True)
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _draw(self) -> tuple[list[bytes], bool]:
        """As ``draw``; what was made before an error is sent before the error is raised."""
        if self._failure is not None:
            raise self._failure
        drawn: list[bytes] = []
        try:
            return drawn, _fill(drawn, self._rest)
        except StatusError as error:
            if not drawn:
                raise
            self._failure = error
            return drawn, False


def begin_stream(answer: Answer, pieces: Iterator[bytes]) -> StreamedAnswer:
    """Make the first pieces, in a thread: an error up to here can still set the status of the answer."""
    first, _ = draw(pieces)
    return StreamedAnswer(answer, first, pieces)


def draw(pieces: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """The next pieces, about a megabyte or those of 50 ms; and whether they are the last."""
    drawn: list[bytes] = []
    return drawn, _fill(drawn, pieces)


def _fill(drawn: list[bytes], pieces: Iterator[bytes]) -> bool:
    """Put the next pieces into ``drawn``; whether they are the last."""
    size, until = 0, time.monotonic() + _PATIENCE
    for piece in pieces:
        if piece:
            drawn.append(piece)
            size += len(piece)
        if size >= _PIECE or len(drawn) >= _MAX_PIECES or (drawn and time.monotonic() > until):
            return False
    return True


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


@asynccontextmanager
async def watch_client(request: Request) -> AsyncIterator[None]:
    """During the block, and in the answer after it, work in threads is stopped when the client disconnects. What waits
    for a thread is not begun: the block is left with Cancelled.

    Only for requests without a body: watching would take the bytes of a body.
    """
    watch()
    if request.method not in ("GET", "HEAD"):
        yield
        return
    tasks: list[asyncio.Future[None]] = []
    scope = CancelScope()
    begin = asyncio.get_running_loop().call_later(
        _WATCH_SECONDS, lambda: tasks.append(asyncio.ensure_future(_cancel_when_gone(request.receive, scope)))
    )
    try:
        with scope:
            yield
    finally:
        begin.cancel()
        for task in tasks:
            task.cancel()
    if scope.cancelled_caught:
        require_client()


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    await _wait_until_gone(receive)
    scope.cancel()  # of waits in the event loop: a thread that has begun ends by itself


def _close(pieces: Iterator[bytes]) -> None:
    close: Callable[[], None] | None = getattr(pieces, "close", None)
    if close is not None:
        close()
