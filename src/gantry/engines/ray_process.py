"""A process with the client of Ray, for a server or for ``gantry worker``: see ``ray_client``."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from gantry.engines.addresses import Engine
from gantry.engines.frames import pack, receive
from gantry.engines.links import Away, Lost

PREFIX = "gantry-worker-"
"""Names of Gantry's actors begin so; those of others are never asked."""

_GONE = "the connection is lost"
_REACH_SECONDS = 5.0
_ENV = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
"""The process on the head that Ray has for a client ends with it: a new one asks anew. And Ray would start a cluster on
this machine where a question finds none."""
_MODE, _TOKENS = "RAY_AUTH_MODE", ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_TOKEN_FILE = Path("~/.ray/auth_token")


async def start(engine: Engine) -> RayProcess:
    """One that is connected. Raises Away."""
    await _require_head(engine)
    made = await launch()
    try:
        await made.ask("connect", engine.host, engine.port)
    except BaseException:
        await made.close()
        raise
    return made


async def launch() -> RayProcess:
    """One that is not connected."""
    command, env = (sys.executable, "-m", "gantry.engines.ray_client"), os.environ | _ENV | _find_mode()
    return RayProcess(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=env))


async def _require_head(engine: Engine) -> None:
    """Before anything is started for it. Raises Away."""
    try:
        opening = asyncio.open_connection(engine.host.strip("[]"), engine.port)
        _, writer = await asyncio.wait_for(opening, _REACH_SECONDS)
    except (OSError, TimeoutError):
        raise Away("it does not answer") from None
    writer.close()


def _find_mode() -> dict[str, str]:
    """As `ray start` does: a token is sent where there is one, unless the environment says otherwise."""
    has_token = any(map(os.environ.get, _TOKENS)) or _TOKEN_FILE.expanduser().exists()
    return {_MODE: "token"} if has_token and _MODE not in os.environ else {}


class RayProcess:
    """Used by one event loop."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._count, self._is_gone = 0, False
        self._listening = asyncio.ensure_future(self._listen())

    async def ask(self, name: str, *values: Any) -> Any:
        """The answer of a function of ``ray_client``. Raises Away, Lost."""
        if self._is_gone:
            raise Away(_GONE)
        self._count += 1
        number = self._count
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(pickle.dumps((number, name, values), pickle.HIGHEST_PROTOCOL))
            found = await answer
        except ConnectionError:
            raise Away(_GONE) from None
        finally:
            del self._asked[number]
        if isinstance(found, Away | Lost):
            raise found
        return found

    async def _send(self, message: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(pack(message))
            await self._process.stdin.drain()

    async def _listen(self) -> None:
        with suppress(EOFError, ConnectionError):
            while self._process.stdout is not None:
                number, value = pickle.loads(await receive(self._process.stdout))  # noqa: S301 - of this program
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(value)
        self._is_gone = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(Away(_GONE))

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._listening
        await self._process.wait()
