"""``./run bench engines``: how imports scale with the workers of a distributed engine.

A scheduler of Dask or a head of Ray, workers of one process each, and a bucket of S3 in memory whose every request
takes some time, all on this machine. Each process has few requests in flight, so that a worker waits for the bucket and
not for a processor, as workers on machines of their own do. Beside them, in the same turns, the process pool of the
server.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from statistics import median

from tests.support.engines import dask_cluster
from tests.support.ray_cluster import ray_cluster
from tests.support.s3_server import S3Server

from benchmarks.buckets import SETTINGS
from benchmarks.corpus import make_corpus
from benchmarks.machine import BenchmarkError, work_directory
from benchmarks.service import Service

_WORKERS = (1, 2, 4)
_JOIN_SECONDS = 90.0  # for workers to be known to the server before the first import
_JOINED = ": 1 processes"  # as the server writes of each into its log
_ENGINES = {"dask": dask_cluster, "ray": ray_cluster}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks engines", description=__doc__)
    parser.add_argument("--count", type=int, default=6000, help="objects (%(default)s)")
    parser.add_argument("--size", type=int, default=39_000, help="bytes of each (%(default)s)")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds before each answer (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=4, help="requests of one process (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (%(default)s)")
    parser.add_argument("--engines", nargs="+", choices=_ENGINES, default=list(_ENGINES), help="%(default)s")
    options = parser.parse_args(arguments)
    found: dict[str, list[float]] = {}
    with work_directory(None) as work, S3Server(("in",)) as server:
        corpus = make_corpus(work / "corpus", options.count, options.size, 100, seed=1)
        server.put("in", {item.path: (corpus.directory / item.path).read_bytes() for item in corpus.slices})
        server.set_latency(options.latency)
        text = SETTINGS.format(url=server.url, concurrency=options.concurrency)
        for turn in range(options.rounds):
            for kind, count in (("pool", 1), *product(options.engines, _WORKERS)):
                rate = _measure(work / f"{kind}-{count}-{turn}", text, kind, count, options.count)
                found.setdefault(f"{kind}, {count}", []).append(rate)
    _tell(found)
    return 0


def _measure(work: Path, settings: str, kind: str, workers: int, count: int) -> float:
    """Objects per second. Raises BenchmarkError."""
    work.mkdir()
    config = work / "gantry.toml"
    config.write_text(settings)
    if kind == "pool":
        return _import(work, config, workers, 0, count)
    with _ENGINES[kind](work, workers, 1, settings={"GANTRY_CONFIG": str(config)}) as cluster:
        config.write_text(f'executor = "{cluster.executor}"\n{settings}')
        return _import(work, config, 0, workers, count)


def _import(work: Path, config: Path, processes: int, joining: int, count: int) -> float:
    with Service(work / "data", work / "buckets", workers=processes, config=config) as service:
        service.create_store("bench")
        _await_workers(work / "server.log", joining)
        begun = time.perf_counter()
        done = service.wait(service.start_import("bench", "s3://in/**"))
        seconds = time.perf_counter() - begun
    if int(done["metadata"]["counter"].get("success", 0)) != count:
        raise BenchmarkError(f"not all objects were imported: {done['metadata']['counter']} {done.get('error')}")
    return count / seconds


def _await_workers(log: Path, count: int) -> None:
    """Raises BenchmarkError."""
    deadline = time.monotonic() + _JOIN_SECONDS
    while log.read_text().count(_JOINED) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{count} workers have not joined")
        time.sleep(0.1)


def _tell(found: dict[str, list[float]]) -> None:
    print(f"{'workers':12}{'objects/s':>12}{'of one':>10}")
    for name, rates in found.items():
        one = median(found[f"{name.partition(',')[0]}, 1"])
        print(f"{name:12}{median(rates):>12,.0f}{median(rates) / one:>10.2f}")
