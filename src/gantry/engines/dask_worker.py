"""``gantry worker`` on Dask: one worker of the scheduler, whose tasks run in a pool of processes."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import tempfile
from contextlib import suppress
from typing import Any, NamedTuple

import dask
from distributed import Worker
from distributed.utils import get_ip

from gantry import __version__
from gantry.engines import dask_tasks
from gantry.engines.addresses import Certificates, Engine
from gantry.engines.dask_link import make_security
from gantry.engines.local_calls import LEAVE_SECONDS, LocalCalls

logger = logging.getLogger(__name__)

_TAKE_SECONDS = 2.0  # for servers to take the last outcomes
_PAUSE_SECONDS = 1.0  # before a worker whose scheduler has gone looks for it again

_CONFIG = {
    "distributed.worker.http.routes": [],  # nothing answers on its port of HTTP, which is open to this machine alone
    "distributed.worker.profile.enabled": False,
    "distributed.admin.event-loop-monitor-interval": "1s",
}


class Binding(NamedTuple):
    """Where a worker listens, and the address at which scheduler and other workers reach it. Empty and 0: the address
    of this machine towards the scheduler, any port, and the same."""

    host: str = ""
    port: int = 0
    contact: str = ""


def work(engine: Engine, certificates: Certificates, size: int, binding: Binding) -> None:
    """Work until SIGTERM or Ctrl-C. The scheduler may go and come back meanwhile."""
    for each in ("distributed", "distributed.worker"):
        logging.getLogger(each).setLevel(logging.CRITICAL)
    calls = LocalCalls(size)
    dask_tasks.keep(calls)
    try:
        with tempfile.TemporaryDirectory(prefix="gantry-worker-") as directory, dask.config.set(_CONFIG):
            asyncio.run(_work(calls, engine, certificates, binding, directory))
    finally:
        calls.close()


async def _work(
    calls: LocalCalls, engine: Engine, certificates: Certificates, binding: Binding, directory: str
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    while not stop.is_set():
        try:
            worker = _make_worker(calls, engine, certificates, binding, directory)
            await _serve(worker, calls, engine, stopping)
        except OSError as error:
            logger.warning("the scheduler %s cannot be reached now: %s", engine.scheduler, type(error).__name__)
        calls.end_all()  # nobody can take their outcomes
        await asyncio.wait({stopping}, timeout=_PAUSE_SECONDS)
    logger.info("stopped")


def _make_worker(
    calls: LocalCalls, engine: Engine, certificates: Certificates, binding: Binding, directory: str
) -> Worker:
    return Worker(
        engine.scheduler,
        nthreads=calls.size,
        name=f"gantry-{__version__}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}",
        memory_limit=0,  # results are small, and the pool's processes have the rest
        host=binding.host or get_ip(engine.host.strip("[]"), engine.port),
        port=binding.port or None,
        contact_address=binding.contact or None,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        security=make_security(engine, certificates),
        local_directory=directory,
    )


async def _serve(worker: Worker, calls: LocalCalls, engine: Engine, stopping: asyncio.Future[Any]) -> None:
    """Until the scheduler is gone, or until this process is to stop. Raises OSError."""
    logger.info("looking for the scheduler %s", engine.scheduler)
    starting = asyncio.ensure_future(worker.start())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not starting.done():
            return
        await starting
        logger.info("Gantry %s: %d processes for %s, at %s", __version__, calls.size, engine.scheduler, worker.address)
        ended = asyncio.ensure_future(worker.finished())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            logger.warning("the scheduler %s is gone", engine.scheduler)
        else:
            await _leave(worker, calls)
    finally:
        starting.cancel()
        with suppress(Exception):
            await asyncio.wait_for(worker.close(executor_wait=False), _TAKE_SECONDS)


async def _leave(worker: Worker, calls: LocalCalls) -> None:
    logger.info("leaving: running calls have %g seconds to end", LEAVE_SECONDS)
    await asyncio.to_thread(calls.leave, LEAVE_SECONDS)
    for _ in range(int(_TAKE_SECONDS / 0.05)):
        if not worker.data:
            return
        await asyncio.sleep(0.05)
