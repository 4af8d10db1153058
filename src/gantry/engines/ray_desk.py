"""Where the actor of a ``gantry worker`` on Ray hands in what servers ask."""

from __future__ import annotations

import asyncio
import os
import pickle
import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

from gantry import __version__
from gantry.engines.frames import pack, receive
from gantry.engines.local_calls import LocalCalls, hear_refusal
from gantry.engines.ray_process import PREFIX


class Desk:
    """Each question comes on a connection of its own; one more is open for as long as the actor is there. ``running``:
    calls whose outcomes the actor does not have yet; ``ended`` is done when the actor has gone."""

    def __init__(self, calls: LocalCalls) -> None:
        self.running = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._name = ""
        self._kept: asyncio.StreamWriter | None = None
        self._threads = ThreadPoolExecutor(calls.size, thread_name_prefix="call")
        self._questions: dict[str, Callable[..., Any]] = {
            "run": calls.run,
            "report": calls.report,
            "end": calls.end,
            "refuse": hear_refusal,
        }

    def expect(self) -> str:
        """The name of the next actor. One that comes late, by another name, is sent away."""
        host, token = socket.gethostname(), secrets.token_hex(4)
        self._name = f"{PREFIX}{__version__}-{host}-{os.getpid()}-{token}"
        self.ended = asyncio.get_running_loop().create_future()
        return self._name

    def dismiss(self, farewell: bytes = b"") -> None:
        """The actor ends: at once, or, after a word of farewell, when servers have taken the last outcomes."""
        self._name = ""
        if self._kept is not None:
            self._kept.write(farewell)
            self._kept.close()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(EOFError, ConnectionError):
            message = await receive(reader)
            if message.startswith(PREFIX.encode()):
                await self._keep(message.decode(), reader, writer)
            else:
                await self._answer(message, writer)

    async def _keep(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if name != self._name:
            return
        ended, self._kept = self.ended, writer
        try:
            await reader.read()
        finally:
            if not ended.done():
                ended.set_result(None)

    async def _answer(self, message: bytes, writer: asyncio.StreamWriter) -> None:
        name, values = pickle.loads(message)  # noqa: S301 - of a server; it sends functions in any case
        is_call = name == "run"
        with self._counted(is_call):
            threads = self._threads if is_call else None
            found = await asyncio.get_running_loop().run_in_executor(threads, self._questions[name], *values)
            writer.write(pack(pickle.dumps(found, pickle.HIGHEST_PROTOCOL)))
            await writer.drain()

    @contextmanager
    def _counted(self, is_call: bool) -> Iterator[None]:
        self.running += is_call
        try:
            yield
        finally:
            self.running -= is_call
