"""Receiving the bodies of requests: limits of their size, of slow clients, and of how many at a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, from_thread
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from gantry.api.body import too_large
from gantry.errors import DeadlineExceeded
from gantry.studies.spool import Spool
from gantry.studies.work_slots import offer_slot

BODY_SECONDS = 60.0
"""How long a client may send nothing before its request fails."""

GRACE_SECONDS, WINDOW_SECONDS = 10.0, 60.0
"""The rate of a client is measured after the first ten seconds, over each minute."""

WORKING = 4
"""Uploads that work at a time. More only compete for the interpreter's lock (the GIL), which others wait for, too."""

OPEN, OPEN_EACH = 256, 128
"""Uploads that have a thread, working or waiting for their client or a disk: in all, and of one caller."""

LARGE, LARGE_EACH = 16, 8
"""Bodies of SMALL to 10 MiB that are held whole at a time: in all, and of one caller. All take 160 MiB."""

SMALL = 1 << 20
FIRST = 64 << 10
"""Bytes of an upload that must have come, if it has as many, before it gets a thread."""

_PIECE = 1 << 20
_GIVEN_UP = "gantry.given_up"  # in the scope of a request
IS_UNREAD = "gantry.is_unread"
"""In the scope of a request: a function; whether too much of the body is still to come for a further request."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a client must send a body. Only the time in which the server waits for the client counts.

    ``bytes_per_second``, after the first ten seconds, on average in every minute; 0 for any rate. ``seconds`` is the
    most for a whole body of any size. Both are settings.
    """

    bytes_per_second: int = 1000
    seconds: float = 43_200.0


class TooSlow(DeadlineExceeded):
    """A client sends too slowly (RFC 9110 §15.5.9). Its connection cannot be used any more."""

    http = 408


class _Clock:
    """How long the server has waited for one client, and how much has come."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._waited = self._idle = 0.0
        self._came, self._owed = 0, 0.0
        self._window_ends = GRACE_SECONDS + WINDOW_SECONDS

    @property
    def patience(self) -> float:
        """Seconds until the client must be checked again."""
        ends = min(self._window_ends, self._pace.seconds) - self._waited
        return max(0.0, min(BODY_SECONDS - self._idle, ends))

    def take(self, seconds: float, size: int) -> None:
        """``size`` bytes have come after ``seconds``. Raises TooSlow."""
        self._waited += seconds
        self._came += size
        self._idle = 0.0 if size else self._idle + seconds
        if self._idle >= BODY_SECONDS:
            raise TooSlow(f"nothing came of the request's body for {BODY_SECONDS:g} seconds")
        if self._waited >= self._pace.seconds:
            raise TooSlow(f"the request's body did not come within {self._pace.seconds:g} seconds")
        if self._waited < self._window_ends:
            return
        self._owed += self._pace.bytes_per_second * WINDOW_SECONDS
        if self._came < self._owed:
            raise TooSlow(
                f"the request's body comes too slowly: fewer than {self._pace.bytes_per_second} bytes per second"
            )
        self._owed = self._came  # bytes that came early do not count for the next minute
        self._window_ends = self._waited + WINDOW_SECONDS


async def read_pieces(request: Request, pace: Pace | None = None) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ClientDisconnect, and TooSlow.

    Time in which no next piece is requested does not count: then the client waits for the server.
    """
    clock, more = _Clock(pace or Pace()), True
    while more:
        begun, message = time.monotonic(), None
        try:
            async with asyncio.timeout(clock.patience):
                message = await request.receive()
        except TimeoutError:
            pass
        data: bytes = message.get("body", b"") if message else b""
        if message and message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message is None or message.get("more_body", False)
        if more:
            try:
                clock.take(time.monotonic() - begun, len(data))
            except TooSlow:
                request.scope[_GIVEN_UP] = True
                raise
        if data:
            yield data


def must_close(scope: Scope) -> bool:
    """Whether a connection cannot serve another request: its client was too slow, also where a part of what it sent has
    been stored, or has too much of the body still to send (RFC 9112 §9.3)."""
    return _GIVEN_UP in scope or (IS_UNREAD in scope and scope[IS_UNREAD]())


def require_declared(request: Request, most: int) -> None:
    """Raises InvalidArgument, before anything is read, if Content-Length is more than ``most``."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise too_large(most)


class Shares:
    """A limit of what runs at a time, in all (``most``) and of one caller (``each``)."""

    def __init__(self, most: int, each: int) -> None:
        self._all, self._each = asyncio.Semaphore(most), each
        self._own: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def hold(self, caller: str) -> AsyncIterator[None]:
        """Wait for a slot and hold it. The caller's own limit is checked first, so that its queue blocks no others."""
        own, users = self._own.get(caller) or (asyncio.Semaphore(self._each), 0)
        self._own[caller] = own, users + 1
        try:
            async with own, self._all:
                yield
        finally:
            own, users = self._own.pop(caller)
            if users > 1:
                self._own[caller] = own, users - 1


@asynccontextmanager
async def _spool() -> AsyncIterator[Spool]:
    spool = await run_sync(Spool)
    try:
        yield spool
    finally:
        spool.close()


class Intake:
    """Receives the bodies of one server, within its limits."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._large, self._open = Shares(LARGE, LARGE_EACH), Shares(OPEN, OPEN_EACH)
        self._working, self._threads = CapacityLimiter(WORKING), CapacityLimiter(math.inf)

    async def read(self, request: Request, most: int, caller: str, stack: AsyncExitStack) -> bytes:
        """The whole body; it counts as held until ``stack`` is closed. Raises InvalidArgument past ``most`` bytes.

        A large body is kept on the disk until all of it has come: a client that stalls takes no memory, and keeps no
        other client waiting. Raises ResourceExhausted, Unavailable if the temporary directory cannot take it.
        """
        require_declared(request, most)
        held: list[bytes] = []
        size, waiting = 0, 0
        spool: Spool | None = None
        async for piece in read_pieces(request, self._pace):
            held.append(piece)
            size += len(piece)
            waiting += len(piece)
            if size > most:
                raise too_large(most)
            if waiting > SMALL:
                if spool is None:
                    spool = await stack.enter_async_context(_spool())
                await run_sync(spool.fill, held)
                held, waiting = [], 0
        if spool is None:
            return b"".join(held)
        await stack.enter_async_context(self._large.hold(caller))
        return await run_sync(lambda: b"".join((*spool.chunks(), *held)))

    async def upload(self, request: Request, caller: str, work: Callable[[Callable[[], bytes]], Result]) -> Result:
        """Run ``work`` in a thread, with a ``read()`` that returns about a megabyte of the body, b"" at the end.

        A client holds no thread before FIRST bytes have come, and does not count among WORKING while it is awaited.
        """
        reader = _Reader(read_pieces(request, self._pace), self._working)
        await reader.begin()
        async with self._open.hold(caller):
            await reader.enter()
            offer_slot(partial(from_thread.run_sync, reader.leave), partial(from_thread.run, reader.enter))
            try:
                return await run_sync(work, reader.read, limiter=self._threads)
            finally:
                reader.leave()


class _Reader:
    """``read()`` in a thread returns about a megabyte of a body; no more of it is in memory."""

    def __init__(self, stream: AsyncIterator[bytes], working: CapacityLimiter) -> None:
        self._stream, self._working = stream, working
        self._held: list[bytes] = []
        self._ended = self._is_working = False

    async def begin(self) -> None:
        await self._gather(FIRST)

    async def enter(self) -> None:
        await self._working.acquire_on_behalf_of(self)
        self._is_working = True

    def leave(self) -> None:
        if self._is_working:
            self._working.release_on_behalf_of(self)
            self._is_working = False

    def read(self) -> bytes:
        """b"" at the end. Raises ClientDisconnect, TooSlow."""
        if self._ended:
            return self._take()
        return from_thread.run(self._wait)

    async def _wait(self) -> bytes:
        self.leave()
        await self._gather(_PIECE)
        await self.enter()
        return self._take()

    def _take(self) -> bytes:
        data, self._held = b"".join(self._held), []
        return data

    async def _gather(self, least: int) -> None:
        size = sum(map(len, self._held))
        while size < least and not self._ended:
            piece = await anext(self._stream, None)
            if piece is None:
                self._ended = True
            else:
                self._held.append(piece)
                size += len(piece)
