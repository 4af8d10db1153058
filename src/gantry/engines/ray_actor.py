"""The actor of one ``gantry worker`` on the node of Ray that runs on its machine: it hands questions on to the worker
and ends with it. Its text is sent to the node, so nothing of Gantry is imported here, and the node needs none of it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import suppress

_LENGTH = 8
_LOOK_SECONDS = 30.0  # between two looks whether the cluster still knows the actor
_TAKE_SECONDS = 1.0  # for servers to take the last outcomes of a worker that leaves


class WorkerActor:
    """``path`` is the socket of the worker, which only its own user can open; ``name`` is that of the actor."""

    def __init__(self, name: str, path: str) -> None:
        self._path = path
        kept = socket.socket(socket.AF_UNIX)
        kept.connect(path)
        kept.sendall(len(name).to_bytes(_LENGTH) + name.encode())
        threading.Thread(target=_end_with_worker, args=(kept,), daemon=True).start()
        threading.Thread(target=_end_with_cluster, args=(name,), daemon=True).start()

    async def is_there(self) -> bool:
        return True

    async def ask(self, request: bytes, seconds: float) -> bytes:
        """The worker's answer. ``seconds``: for it, 0 for as long as it takes. Raises OSError, EOFError, TimeoutError:
        the worker is gone, or does not answer."""
        return await asyncio.wait_for(self._ask(request), seconds or None)

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(len(request).to_bytes(_LENGTH) + request)
            await writer.drain()
            return await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH)))
        finally:
            writer.close()


def _end_with_worker(kept: socket.socket) -> None:
    """A worker that is killed says nothing; one that leaves says so, and its last outcomes are still on their way."""
    with suppress(OSError):
        if kept.recv(1):
            time.sleep(_TAKE_SECONDS)
    os._exit(0)


def _end_with_cluster(name: str) -> None:
    """A cluster that was started again and has kept this node does not know its actors."""
    import ray

    while True:
        time.sleep(_LOOK_SECONDS)
        with suppress(Exception):
            if name not in ray.util.list_named_actors():
                os._exit(0)
