"""``./run bench buckets``: imports from and exports to a bucket whose every request takes some time.

The bucket is that of a small server of S3 in memory, in a process of its own, which waits before each answer. Beside
the product, in the same run and in turns: obstore alone, which reads (or writes) the same objects with as many requests
in flight, and a client that does one request after the other. obstore keeps nothing of what it reads; an import also
reads the headers, writes the instances to the disk and the index, and counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import obstore
from obstore.store import S3Store
from tests.support.s3_server import S3Server

from benchmarks.corpus import make_corpus
from benchmarks.machine import BenchmarkError, work_directory
from benchmarks.service import Json, Service

SETTINGS = """
[[remote_buckets]]
name = "s3://*"
endpoint = "{url}"
region = "us-east-1"
access_key_id = "bench"
secret_access_key = "bench"
concurrency = {concurrency}
"""
_ALONE = 200  # objects of the client that does one request after the other


@dataclass(frozen=True)
class Scene:
    server: S3Server
    service: Service
    objects: dict[str, bytes]
    in_flight: int

    @property
    def total_bytes(self) -> int:
        return sum(map(len, self.objects.values()))

    def open(self, bucket: str) -> S3Store:
        options: Any = {"allow_http": True}
        names: Any = {"access_key_id": "bench", "secret_access_key": "bench", "region": "us-east-1"}
        return S3Store(bucket, endpoint=self.server.url, client_options=options, **names)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks buckets", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds before each answer (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=64, help="requests of one worker process (%(default)s)")
    parser.add_argument("--small", type=int, default=10_000, help="objects of 39 kB (%(default)s)")
    parser.add_argument("--large", type=int, default=500, help="objects of 5 MB (%(default)s)")
    options = parser.parse_args(arguments)
    for count, size in ((options.small, 39_000), (options.large, 5_000_000)):
        if count:
            with work_directory(None) as work:
                _measure(work, count, size, options)
    return 0


def _measure(work: Path, count: int, size: int, options: argparse.Namespace) -> None:
    corpus = make_corpus(work / "corpus", count, size, 100, seed=1)
    objects = {item.path: (corpus.directory / item.path).read_bytes() for item in corpus.slices}
    workers = max(4, min(os.cpu_count() or 1, 16))
    with S3Server(("in", "out", "copy")) as server:
        server.put("in", dict(objects))
        server.set_latency(options.latency)
        settings = work / "gantry.toml"
        settings.write_text(SETTINGS.format(url=server.url, concurrency=options.concurrency))
        with Service(work / "data", work / "buckets", config=settings) as service:
            scene = Scene(server, service, objects, workers * options.concurrency)
            print(
                f"\n{count:,} objects of {size:,} bytes, {options.latency * 1000:.0f} ms before each answer, "
                f"{scene.in_flight} requests in flight"
            )
            for name, ours, alone in (("import", _import, _read_all), ("export", _export, _write_all)):
                _compare(scene, name, ours, alone, options.rounds)
            _print_one_by_one(scene)


def _compare(
    scene: Scene,
    name: str,
    ours: Callable[[Scene, int], float],
    alone: Callable[[Scene], Coroutine[Any, Any, None]],
    rounds: int,
) -> None:
    mine, theirs = [], []
    for number in range(rounds):
        began = time.perf_counter()
        asyncio.run(alone(scene))
        theirs.append(time.perf_counter() - began)
        mine.append(ours(scene, number))
    for who, seconds in (("obstore alone", median(theirs)), (name, median(mine))):
        rate, speed = len(scene.objects) / seconds, scene.total_bytes / seconds / 1e6
        print(f"{who:16}{seconds:8.2f} s{rate:10,.0f} objects/s{speed:8.0f} MB/s")
    print(f"{name} of obstore alone: {median(theirs) / median(mine):.2f}")


def _import(scene: Scene, number: int) -> float:
    scene.service.create_store(f"s{number}")
    began = time.perf_counter()
    _require_whole(scene, scene.service.wait(scene.service.start_import(f"s{number}", "s3://in/**")))
    return time.perf_counter() - began


def _export(scene: Scene, number: int) -> float:
    began = time.perf_counter()
    _require_whole(scene, scene.service.wait(scene.service.start_export(f"s{number}", f"s3://out/{number}")))
    return time.perf_counter() - began


def _require_whole(scene: Scene, done: Json) -> None:
    counter = done["metadata"]["counter"]
    if int(counter.get("success", 0)) != len(scene.objects) or "failure" in counter:
        raise BenchmarkError(f"not all objects were moved: {counter} {done.get('error')}")


async def _read_all(scene: Scene) -> None:
    store, turns = scene.open("in"), asyncio.Semaphore(scene.in_flight)

    async def read(key: str) -> int:
        async with turns:
            return len(await (await obstore.get_async(store, key)).bytes_async())

    keys = [each["path"] async for page in obstore.list(store) for each in page]
    assert sum(await asyncio.gather(*map(read, keys))) == scene.total_bytes


async def _write_all(scene: Scene) -> None:
    store, turns = scene.open("copy"), asyncio.Semaphore(scene.in_flight)

    async def write(key: str, data: bytes) -> None:
        async with turns:
            await obstore.put_async(store, key, data, use_multipart=False)

    await asyncio.gather(*(write(key, data) for key, data in scene.objects.items()))


def _print_one_by_one(scene: Scene) -> None:
    store = scene.open("in")
    keys = list(scene.objects)[:_ALONE]
    began = time.perf_counter()
    for key in keys:
        obstore.get(store, key).bytes()
    print(f"one request after the other: {len(keys) / (time.perf_counter() - began):,.0f} objects/s")
