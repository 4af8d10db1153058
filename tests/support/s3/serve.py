"""The process of the server: ``python -m tests.support.s3.serve SETTINGS`` with settings in JSON.

It writes its port to standard output, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys

import uvloop

from tests.support.s3.http import Connection
from tests.support.s3.service import Service
from tests.support.s3.store import Bucket, Store


async def serve(
    kind: type[Service], of_buckets: type[Bucket], buckets: list[str], access_key: str, latency: float, min_part: int
) -> None:
    store = Store(min_part, {name: of_buckets() for name in buckets})
    service, loop = kind(store, access_key, latency), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


def main(kind: type[Service] = Service, of_buckets: type[Bucket] = Bucket) -> None:
    gc.freeze()
    uvloop.run(serve(kind, of_buckets, **json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
