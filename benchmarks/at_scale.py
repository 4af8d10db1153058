"""``./run bench scale``: imports and memory with a large index beside a small one, and uploads beside a deletion.

The large index is filled without files. Small instances are imported into both servers in turn. Then a study of
many instances is imported and deleted, while a client stores one small instance after the other.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import httpx
from tests.support import postgresql

from benchmarks.corpus import Corpus, make_corpus
from benchmarks.dicomweb_checks import STOW_TYPE
from benchmarks.machine import BenchmarkError, settle, work_directory
from benchmarks.measure import Measured
from benchmarks.processes import memory_bytes
from benchmarks.search_growth import fill_index
from benchmarks.service import Service
from benchmarks.transfer import importing

SMALL_BYTES, DELETED_BYTES = 39_000, 4_000
MOST_RATIO, MOST_MEGABYTES, MOST_MS, LEAST_RATE = 1.1, 250, 100, 0.95
"""Goals: CPU per instance in the large index over that in the small one, memory of the tree, p99 of uploads, rate."""
_QUIET_SECONDS, _MOST_SECONDS = 10.0, 60.0
_LEFT = (
    "SELECT 1 FROM garbage",
    "SELECT 1 FROM study JOIN dicom_store ON dicom_store.id = study.store_id WHERE dicom_store.deleted",
)
_BEFORE, _AFTER = b"--bench\r\nContent-Type: application/dicom\r\n\r\n", b"\r\n--bench--\r\n"


@dataclass(frozen=True)
class Server:
    """A server whose index has ``rows``, and where its data and buckets are."""

    rows: int
    service: Service
    directory: Path


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="rows of the small index (%(default)s)")
    parser.add_argument("--large", type=int, default=1_000_000, help="rows of the large index (%(default)s)")
    parser.add_argument("--count", type=int, default=10_000, help="instances of each import (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--deleted", type=int, default=100_000, help="instances of the deleted study (%(default)s)")
    parser.add_argument("--bytes", type=int, default=SMALL_BYTES, help="of each imported instance (%(default)s)")
    parser.add_argument("--postgresql", action="store_true", help="indexes in PostgreSQL, and no deletion")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work, ExitStack() as stack:
        make = stack.enter_context(_databases()) if options.postgresql else (lambda: "")
        small, large = (_start(work, rows, make(), stack) for rows in (options.small, options.large))
        corpus = make_corpus(work / "bench", options.count, options.bytes, 100, seed=1)
        _import_in_turn((small, large), corpus, options.rounds)
        if not options.postgresql:
            _delete_beside_uploads(large, options.deleted)
    return 0


@contextmanager
def _databases() -> Iterator[Callable[[], str]]:
    """Makes a new database of PostgreSQL, which keeps what is committed; its address."""
    postgresql.require()
    server = postgresql.PostgresServer(postgresql.DURABLE)
    try:
        with closing(postgresql.Databases(server.url)) as databases:
            yield lambda: postgresql.to_text(databases.make().set(drivername="postgresql"))
    finally:
        server.close()


def _start(work: Path, rows: int, database: str, stack: ExitStack) -> Server:
    """``database``: the address of its index; ``""``: SQLite."""
    directory = work / str(rows)
    (directory / "buckets").mkdir(parents=True)
    config = directory / "gantry.toml"
    config.write_text(f"database = {database!r}\n" if database else "", encoding="utf-8")
    start = partial(Service, directory / "data", directory / "buckets", config=config)
    with start() as first:
        first.create_store("bench")
    seconds = fill_index(directory / "data", rows, database=database.replace("postgresql:", "postgresql+psycopg:"))
    print(f"{rows:,} rows written in {seconds:.0f} s ({rows / seconds:,.0f}/s)", flush=True)
    return Server(rows, stack.enter_context(start()), directory)


def _import_in_turn(servers: tuple[Server, Server], corpus: Corpus, rounds: int) -> None:
    """A round imports the same files into a new store of each server; the first of all warms up."""
    for server in servers:
        (server.directory / "buckets" / corpus.directory.name).symlink_to(corpus.directory)
    found: dict[int, list[Measured]] = {server.rows: [] for server in servers}
    for number in range(rounds + 1):
        for server in servers if number % 2 else reversed(servers):
            server.service.create_store(f"round-{number}")
            settle(server.directory)
            measured = importing(server.service, f"round-{number}", corpus)()
            if number:
                found[server.rows].append(measured)
    print(f"\n{'rows':>12}{'import/s':>10}{'CPU µs':>8}{'peak MB':>9}{'idle MB':>9}")
    cpu = []
    for server in servers:
        measured_ones = found[server.rows]
        rate = median(len(corpus.slices) / each.seconds for each in measured_ones)
        cpu.append(median(each.cpu.total / len(corpus.slices) * 1e6 for each in measured_ones))
        peak = max(each.memory_peak for each in measured_ones) / 1e6
        idle = memory_bytes(server.service.pid) / 1e6
        print(f"{server.rows:>12,}{rate:>10,.0f}{cpu[-1]:>8.0f}{peak:>9.0f}{idle:>9.0f}", flush=True)
    pairs = list(zip(*found.values(), strict=True))
    ratio = median(large.cpu.total / small.cpu.total for small, large in pairs)
    rates = median(small.seconds / large.seconds for small, large in pairs)
    print(f"CPU, large over small: {ratio:.2f} (at most {MOST_RATIO}); memory: at most {MOST_MEGABYTES} MB")
    print(f"rate, large over small: {rates:.2f} (at least {LEAST_RATE})")


def _delete_beside_uploads(server: Server, count: int) -> None:
    """Uploads on a quiet server, and from the deletion of a study of ``count`` instances on until it is done."""
    corpus = make_corpus(server.directory / "buckets" / "doomed", count, DELETED_BYTES, count, seed=2)
    server.service.create_store("doomed")
    server.service.create_store("uploads")
    importing(server.service, "doomed", corpus)()
    settle(server.directory)
    uploads = _uploads(server)
    with httpx.Client(timeout=60, trust_env=False) as client:
        quiet = _upload(client, server, uploads, lambda: False, _QUIET_SECONDS)
        answer = client.delete(f"{server.service.web('doomed')}/studies/{corpus.slices[0].uids[0]}")
        if answer.status_code != httpx.codes.OK:
            raise BenchmarkError(f"DELETE: HTTP {answer.status_code}")
        start = time.perf_counter()
        beside = _upload(client, server, uploads, lambda: _is_purged(server), _MOST_SECONDS)
        seconds = time.perf_counter() - start
    print(f"\n{'uploads of one, ms':28}{'requests':>9}{'p50':>8}{'p99':>8}{'most':>8}")
    for name, times in (("quiet", quiet), (f"{count:,} being deleted", beside)):
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        print(f"{name:28}{len(times):>9}{p50:>8.1f}{p99:>8.1f}{times[-1]:>8.1f}")
    print(f"deleted in {seconds:.1f} s; p99: at most {MOST_MS} ms")


def _uploads(server: Server) -> Iterator[bytes]:
    """Bodies of requests, each with another instance."""
    seed = 3
    while True:
        corpus = make_corpus(server.directory / f"uploads-{seed}", 5000, SMALL_BYTES, 100, seed)
        for item in corpus.slices:
            yield _BEFORE + (corpus.directory / item.path).read_bytes() + _AFTER
        seed += 1


def _upload(
    client: httpx.Client, server: Server, bodies: Iterator[bytes], is_done: Callable[[], bool], seconds: float
) -> list[float]:
    """Milliseconds of each request, sorted."""
    url, headers, times = f"{server.service.web('uploads')}/studies", {"Content-Type": STOW_TYPE}, []
    end = began = time.perf_counter()
    while end - began < seconds:
        body = next(bodies)
        start = time.perf_counter()
        answer = client.post(url, content=body, headers=headers)
        end = time.perf_counter()
        if answer.status_code != httpx.codes.OK:
            raise BenchmarkError(f"POST: HTTP {answer.status_code}: {answer.text[:300]}")
        times.append((end - start) * 1000)
        if len(times) % 100 == 0 and is_done():
            break
    return sorted(times)


def _is_purged(server: Server) -> bool:
    """Whether no row and no blob is left of what was deleted."""
    with closing(sqlite3.connect(server.directory / "data" / "index.sqlite")) as index:
        return not any(index.execute(f"SELECT EXISTS ({query})").fetchone()[0] for query in _LEFT)
