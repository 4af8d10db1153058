"""``gantry worker`` on Ray: an actor on the node of this machine hands on what servers ask; calls run in a pool of
processes of the worker. The actor ends with the worker, and the worker gets another one where its actor ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from pathlib import Path
from typing import Any

from gantry import __version__
from gantry.engines import ray_process
from gantry.engines.addresses import Engine
from gantry.engines.links import Away
from gantry.engines.local_calls import LEAVE_SECONDS, LocalCalls
from gantry.engines.ray_desk import Desk

logger = logging.getLogger(__name__)

_JOIN_SECONDS = 90.0  # for Ray to start an actor; it starts a process for each client, and one for the actor
_PAUSE_SECONDS = 1.0  # before a worker whose head has gone looks for it again
_TAKE_SECONDS = 2.0  # for the last outcomes to reach the actor


def work(engine: Engine, size: int) -> None:
    """Work until SIGTERM or Ctrl-C. The head may go and come back meanwhile."""
    calls = LocalCalls(size)
    try:
        with tempfile.TemporaryDirectory(prefix="gantry-worker-") as directory:
            asyncio.run(_work(calls, engine, Path(directory) / "worker"))
    finally:
        calls.close()


async def _work(calls: LocalCalls, engine: Engine, path: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    desk = Desk(calls)
    server = await asyncio.start_unix_server(desk.receive, path)
    logger.info("looking for the head %s", engine.scheduler)
    said = ""
    while not stop.is_set():
        try:
            await _serve(desk, calls, engine, path, stopping)
            said = ""
        except (Away, TimeoutError) as error:
            said, before = str(error) or "it does not answer", said
            if said != before:
                logger.warning("the head %s cannot be used now: %s; trying again", engine.scheduler, said)
        desk.dismiss()
        calls.end_all()  # nobody can take their outcomes
        await asyncio.wait({stopping}, timeout=_PAUSE_SECONDS)
    server.close()
    logger.info("stopped")


async def _serve(desk: Desk, calls: LocalCalls, engine: Engine, path: Path, stopping: asyncio.Future[Any]) -> None:
    """Until the actor is gone, or until this process is to stop. Raises Away, TimeoutError."""
    name = desk.expect()
    joining = asyncio.ensure_future(asyncio.wait_for(_join(engine, name, path), _JOIN_SECONDS))
    await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not joining.done():
        joining.cancel()
        await asyncio.wait({joining})
        return
    node = await joining
    logger.info("Gantry %s: %d processes for %s, on its node %s", __version__, calls.size, engine.scheduler, node)
    await asyncio.wait({desk.ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if desk.ended.done():
        logger.warning("the actor on the node %s of %s is gone", node, engine.scheduler)
    else:
        await _leave(desk, calls)


async def _join(engine: Engine, name: str, path: Path) -> str:
    """Start the actor; the address of its node. Raises Away."""
    process = await ray_process.start(engine)
    try:
        node: str = await process.ask("join", engine.host, name, str(path))
        return node
    finally:
        await process.close()


async def _leave(desk: Desk, calls: LocalCalls) -> None:
    logger.info("leaving: running calls have %g seconds to end", LEAVE_SECONDS)
    await asyncio.to_thread(calls.leave, LEAVE_SECONDS)
    for _ in range(int(_TAKE_SECONDS / 0.05)):
        if not desk.running:
            break
        await asyncio.sleep(0.05)
    desk.dismiss(b"leaving")
