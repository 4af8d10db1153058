"""A server's connection to a cluster of Ray, where each ``gantry worker`` has an actor that hands questions on."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from gantry.engines.addresses import Engine
from gantry.engines.links import Lost, Report
from gantry.engines.ray_process import RayProcess, start

_ANSWER_SECONDS = 5.0  # for a worker to answer its actor, unless the question is a call


async def connect(engine: Engine) -> RayLink:
    """Raises Away."""
    return RayLink(await start(engine))


class RayLink:
    """See ``Link``."""

    def __init__(self, process: RayProcess) -> None:
        self._process = process

    async def list_workers(self) -> Sequence[str]:
        names: list[str] = await self._process.ask("list_workers")
        return names

    async def report(self, worker: str) -> Report | None:
        said = await self._ask(worker, "report")
        return said if isinstance(said, Report) else None

    async def run(self, worker: str, number: str, message: bytes) -> bytes | Exception:
        answer = await self._ask(worker, "run", number, message, seconds=0)
        if not isinstance(answer, bytes | Exception):
            raise Lost
        return answer

    async def end(self, worker: str, number: str) -> None:
        await self._ask(worker, "end", number)

    async def refuse(self, worker: str, version: str) -> None:
        await self._ask(worker, "refuse", version)

    async def _ask(self, worker: str, name: str, *values: Any, seconds: float = _ANSWER_SECONDS) -> Any:
        said = await self._process.ask("ask", worker, pickle.dumps((name, values), pickle.HIGHEST_PROTOCOL), seconds)
        return pickle.loads(said) if isinstance(said, bytes) else None  # noqa: S301 - the worker has the data

    async def close(self) -> None:
        await self._process.close()
