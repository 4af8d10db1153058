"""A server's connection to the scheduler of Dask. A call is a task of one worker, which this server has chosen: it
knows how many calls each has, and a task that was given away could not be moved to a worker that joins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

import dask
from distributed import Client, Future
from distributed.security import Security

from gantry.engines import dask_tasks
from gantry.engines.addresses import Certificates, Engine
from gantry.engines.links import Away, Lost, Report

_CONNECT_SECONDS = 5.0
_CONFIG = {"distributed.admin.large-graph-warning-threshold": "1 GB"}  # what a call says is as long as it is


def make_security(engine: Engine, certificates: Certificates) -> Security:
    """Of an engine without TLS it says that connections are not encrypted."""
    if not engine.is_tls:
        return Security(require_encryption=False)
    ca, cert, key = certificates
    ends = {f"tls_{end}_{part}": path for end in ("client", "worker") for part, path in (("cert", cert), ("key", key))}
    return Security(require_encryption=True, tls_ca_file=ca, **ends)


async def connect(engine: Engine, certificates: Certificates) -> DaskLink:
    """Raises Away."""
    for each in ("distributed", "distributed.client"):  # what it says of lost workers is said by the roster
        logging.getLogger(each).setLevel(logging.CRITICAL)
    dask.config.set(_CONFIG)
    security = make_security(engine, certificates)
    client = Client(
        engine.scheduler, asynchronous=True, timeout=_CONNECT_SECONDS, security=security, set_as_default=False
    )
    try:
        await client
    except BaseException as error:
        with suppress(Exception):
            await client.close(timeout=_CONNECT_SECONDS)
        if isinstance(error, OSError | TimeoutError):
            raise Away("it does not answer") from None
        raise
    return DaskLink(client)


class DaskLink:
    """See ``Link``."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._forgetting: set[asyncio.Future[Any]] = set()

    async def list_workers(self) -> Sequence[str]:
        self._require()
        try:
            return list(await self._client.nthreads())
        except OSError:
            raise Away("it does not answer") from None

    async def report(self, worker: str) -> Report | None:
        """A worker of Dask's own may lack Gantry."""
        try:
            said = await self._ask(worker, dask_tasks.report)
        except (ImportError, AttributeError):
            return None
        return said if isinstance(said, Report) else None

    async def run(self, worker: str, number: str, message: bytes) -> bytes | Exception:
        self._require()
        future = self._client.submit(
            dask_tasks.run,
            number,
            message,
            key=f"gantry-{number}",
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        try:
            answer: bytes | Exception = await future
            return answer
        except CancelledError:
            raise Away("it has forgotten a call") from None
        except Exception:  # KilledWorker, a result that was lost
            self._require()
            raise Lost from None
        finally:
            await self._forget(future)

    async def _forget(self, future: Future) -> None:
        """A task that is not done stays with the scheduler, which would run it once its worker's address is back."""
        if not future.done():
            task = asyncio.ensure_future(self._client.cancel([future], force=True))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)
        future.release()

    async def end(self, worker: str, number: str) -> None:
        await self._ask(worker, dask_tasks.end, number)

    async def refuse(self, worker: str, version: str) -> None:
        await self._ask(worker, dask_tasks.refuse, version)

    async def _ask(self, worker: str, function: Callable[..., Any], *values: str) -> Any:
        """The answer of a function in the process of a worker."""
        self._require()
        try:
            answers = await self._client.run(function, *values, workers=[worker])
        except (OSError, ValueError):
            self._require()
            raise Lost from None
        return answers.get(worker)

    def _require(self) -> None:
        if self._client.status != "running":
            raise Away("the connection is lost")

    async def close(self) -> None:
        await self._client.close(timeout=_CONNECT_SECONDS)
