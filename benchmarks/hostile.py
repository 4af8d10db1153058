"""``./run bench hostile``: a mixed hostile load, by a seed; the server gives no 500, does not grow, and answers others.

Two hundred connections send, each in turn of its own dice: mutated calls of every method and page, broken and cut
requests, bodies that come slowly or inflate without end, uploads good and bad, pictures that nobody waits for, wrong
tokens and wrong sign-ins. Beside them small reads are asked for at a steady pace. What is printed: p99 of each kind of
small read, the growth of the server's memory, and how many of its answers were errors of its own. The clients run at a
low priority (nice): they are not the product.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded
from tests.support.mutated_calls import DATASET, STORE, UIDS, Calls, takes_the_ground_away
from tests.support.server import GantryServer

from benchmarks.machine import BenchmarkError, work_directory
from benchmarks.probing import Probe, Times, probe
from benchmarks.processes import MemorySampler

LIMIT_MS = 100.0
GROWTH = 1.25
"""How much larger the tree of processes may be in the last quarter than in the first: the median of each."""
_PARTS = 10  # of the time, for which the memory is printed
_NICENESS = 10
_ANSWER_SECONDS = 120.0
_WEB = f"v1/{STORE}/dicomWeb"
_BOUNDARY = "b-o-u-n-d"
_KEPT = "1.7.1", "1.7.2", "1.7.3"
"""An instance that no client changes."""
_READS = {
    "healthz?": "health",
    f"v1/{STORE}?": "store",
    f"v1/{DATASET}/operations?pageSize=1&": "operations",
    f"{_WEB}/studies?limit=1&": "search",
    f"{_WEB}/studies/{_KEPT[0]}/metadata?": "metadata",
}
"""Small reads: their paths, and what they are called."""
_INSTANCE = f"{_WEB}/studies/{UIDS[0]}/series/{UIDS[1]}/instances/{UIDS[2]}"


@dataclass
class Tally:
    """What came of it. ``wrong`` are answers that must not be: 500, and what took longer than the limit."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    errors: int = 0

    def add(self, kind: str, status: int, request: bytes, answer: bytes) -> None:
        self.answers[f"{kind} {status or 'closed'}"] += 1
        if status >= 500 and status not in (501, 503):
            self.errors += 1
            self.wrong.append(f"{kind}: {status}: {request[:300]!r}: {answer[:300]!r}")


@dataclass
class Client:
    """One connection after another to the server, with dice of its own."""

    port: int
    tally: Tally
    calls: Calls
    token: str

    @property
    def chance(self) -> random.Random:
        return self.calls.chance

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            kind = self.chance.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
            try:
                await KINDS[kind][1](self, kind)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                self.tally.add(kind, 0, b"", b"")
            except TimeoutError:
                self.tally.wrong.append(f"{kind}: no answer within {_ANSWER_SECONDS:g} s")

    async def ask(self, kind: str, request: bytes) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                await writer.drain()
                status, answer = await _read_answer(reader)
            finally:
                writer.close()
        self.tally.add(kind, status, request, answer)

    def request(self, verb: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        lines = [f"{verb} /{path} HTTP/1.1", "host: 127.0.0.1", "connection: close", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, f"authorization: Bearer {self.token}", "", ""]).encode() + body


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the first bytes of what follows; all of it is read."""
    line = await reader.readline()
    if not line:
        return 0, b""
    kept = b""
    while piece := await reader.read(1 << 16):
        kept = kept or piece
    return int(line.split()[1]), kept.partition(b"\r\n\r\n")[2]


async def mutated(client: Client, kind: str) -> None:
    """A call near one that works."""
    verb, path, headers, body = client.calls.call()
    if takes_the_ground_away(verb, path, headers):
        return
    lines = [f"{verb} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    await client.ask(kind, "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)


async def cut(client: Client, kind: str) -> None:
    """A request that ends anywhere."""
    request = client.request("POST", f"{_WEB}/studies", b"x" * 2000, content_type="application/dicom")
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request[: client.chance.randrange(len(request))])
    await writer.drain()
    writer.close()
    client.tally.add(kind, 0, b"", b"")


async def slow(client: Client, kind: str) -> None:
    """Headers, or a body, a byte at a time for some seconds, and away."""
    request = client.request("POST", f"{_WEB}/studies", b"x" * 2000, content_type="application/dicom")
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    begin = client.chance.choice((0, len(request) - 2000))
    writer.write(request[:begin])
    for position in range(begin, begin + 20):
        writer.write(request[position : position + 1])
        await writer.drain()
        await asyncio.sleep(0.25)
    writer.close()
    client.tally.add(kind, 0, b"", b"")


async def leave(client: Client, kind: str) -> None:
    """Something expensive, and away."""
    path = client.chance.choice((f"{_INSTANCE}/rendered", f"{_WEB}/studies", f"{_WEB}/studies/{UIDS[0]}"))
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(client.request("GET", path))
    await writer.drain()
    await asyncio.sleep(client.chance.random() / 20)
    writer.close()
    client.tally.add(kind, 0, b"", b"")


async def bomb(client: Client, kind: str) -> None:
    """Little that inflates to much, or stands for much work."""
    name = client.chance.choice(list(_BOMBS))
    body, headers = _BOMBS[name]
    verb, path = client.chance.choice(
        (
            ("POST", f"v1/{STORE}:import"),
            ("POST", f"{_WEB}/studies"),
            ("PATCH", f"v1/{STORE}?updateMask=labels"),
            ("PUT", f"v1beta1/{STORE}/dicomWeb/studies"),
            ("PATCH", f"v1beta1/{STORE}/dicomWeb/studies/{UIDS[0]}/metadata"),
            ("POST", "token"),
            ("POST", "v2/entries:list"),
        )
    )
    await client.ask(f"{kind} {name}", client.request(verb, path, body, **headers))


async def store(client: Client, kind: str) -> None:
    """An instance, whole or damaged; its study is deleted now and then."""
    number = client.chance.randrange(1, 500)
    uids = f"1.9.{number}", f"1.9.{number}.1", f"1.9.{number}.1.{client.chance.randrange(1, 50)}"
    if client.chance.random() < 0.1:
        await client.ask(f"{kind} delete", client.request("DELETE", f"{_WEB}/studies/{uids[0]}"))
        return
    data = bytearray(instance(uids))
    if client.chance.random() < 0.5:
        for _ in range(client.chance.randrange(1, 6)):
            data[client.chance.randrange(128, len(data))] = client.chance.randrange(256)
    await client.ask(kind, client.request("POST", f"{_WEB}/studies", bytes(data), content_type="application/dicom"))


async def read(client: Client, kind: str) -> None:
    """What viewers ask for."""
    tail = client.chance.choice(
        ("", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/frames/1/rendered", "/bulkdata/7FE00010")
    )
    accept = client.chance.choice(("*/*", "image/png", 'multipart/related; type="application/dicom"', "x/y"))
    await client.ask(kind, client.request("GET", f"{_INSTANCE}{tail}", accept=accept))


async def guess(client: Client, kind: str) -> None:
    """Wrong tokens and sign-ins."""
    form = {"content_type": "application/x-www-form-urlencoded"}
    wrong = f"token={client.chance.randbytes(8).hex()}".encode()
    asked = client.request("POST", client.chance.choice(("token", "sign-in")), wrong, **form)
    await client.ask(kind, asked.replace(client.token.encode(), b"wrong"))


Kind = Callable[[Client, str], Awaitable[None]]
KINDS: dict[str, tuple[int, Kind]] = {
    "mutated": (50, mutated),
    "cut": (5, cut),
    "slow": (5, slow),
    "leave": (8, leave),
    "bomb": (2, bomb),
    "store": (10, store),
    "read": (15, read),
    "guess": (5, guess),
}
"""By name: how often among all, and what it does."""


def _make_bombs() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Bodies and their headers, each of some hundred kB at most."""
    json_type, packed = {"content_type": "application/json"}, {"content_encoding": "gzip"}
    multipart = {"content_type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'}
    empty_parts = f"--{_BOUNDARY}\r\n\r\n\r\n".encode() * 20_000 + f"--{_BOUNDARY}--\r\n".encode()
    fields = json.dumps({f"field{number}": number for number in range(20_000)}).encode()
    return {
        "zeros": (gzip.compress(bytes(200 << 20), 9), json_type | packed),
        "members": (gzip.compress(b"") * 20_000, json_type | packed),
        "fields": (fields, json_type),
        "depth": (b'{"a":' * 50_000, json_type),
        "brackets": (b"[" * 100_000, json_type),
        "digits": (b'{"a":' + b"9" * 300_000 + b"}", json_type),
        "charset": (b"a" * 300_000, {"content_type": "application/json; charset=punycode"}),
        "parts": (empty_parts, multipart),
        "no end": (b"--" + _BOUNDARY.encode() + b"\r\n" + b"x: y\r\n" * 20_000, multipart),
    }


_BOMBS: dict[str, tuple[bytes, dict[str, str]]] = {}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--auth", choices=("none", "required"), default="required", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    _BOMBS.update(_make_bombs())
    with work_directory(options.dir) as work:
        return asyncio.run(_measure(work, options))


async def _measure(work: Path, options: argparse.Namespace) -> int:
    server, token = _start(work, options.auth)
    seconds = options.minutes * 60
    tally, until = Tally(), time.monotonic() + seconds
    tokens = {ADMIN: token, "bob": "nobody"}
    clients = [
        Client(server.port, tally, Calls(options.seed * 1000 + number, tokens, "x"), token)
        for number in range(options.connections)
    ]
    plan = Probe(server.url, [f"/{path}access_token={token}" for path in _READS], seconds)
    probing = asyncio.create_task(asyncio.to_thread(probe, plan))
    await asyncio.sleep(1)  # its process has begun, with the priority that this one gives up
    os.nice(_NICENESS)
    with MemorySampler(server.process.pid) as memory:
        await asyncio.gather(*(client.run(until) for client in clients))
        try:
            times = dict(zip(_READS.values(), (await probing).values(), strict=True))
        except BenchmarkError as error:  # the rest of an hour is worth to be told
            times = {}
            tally.wrong.append(f"small reads: {error}")
    server.stop()
    return _report(tally, memory, times, server)


def _start(work: Path, auth: str) -> tuple[GantryServer, str]:
    """With a store that has an instance; the token of one who may do everything."""
    settings = {"GANTRY_MAX_OPERATIONS": "50", "GANTRY_AUDIT_LOG": str(work / "audit.jsonl")}
    if auth == "required":
        guarded = Guarded(work, **settings)
        server, token = guarded.server, guarded.tokens[ADMIN]
    else:
        server, token = GantryServer(work / "data", work / "buckets", env=settings), "none"
    headers = {"authorization": f"Bearer {token}"}
    for path in (f"{DATASET.rpartition('/')[0]}?datasetId=d", f"{DATASET}/dicomStores?dicomStoreId=s"):
        server.request("POST", f"v1/{path}", headers=headers).raise_for_status()
    bucket = server.buckets / "b"
    bucket.mkdir()
    (bucket / "1.dcm").write_bytes(instance(UIDS))
    (bucket / "filter.txt").write_text(f"/studies/{UIDS[0]}\n")
    headers |= {"content-type": "application/dicom"}
    for uids in (UIDS, _KEPT):
        server.request("POST", f"{_WEB}/studies", content=instance(uids), headers=headers).raise_for_status()
    return server, token


def _report(tally: Tally, memory: MemorySampler, reads: dict[str, Times], server: GantryServer) -> int:
    for answer, count in sorted(tally.answers.items()):
        print(f"{answer:32}{count:>9}")
    print(f"{'ms':12}{'requests':>9}{'p50':>8}{'p99':>8}{'most':>8}")
    for name, times in reads.items():
        print(f"{name:12}{times.count:>9}{times.p50:>8.1f}{times.p99:>8.1f}{times.most:>8.1f}")
    samples = [sample.bytes for sample in memory.samples]
    quarter = len(samples) // 4 or 1
    early, late = median(samples[:quarter]), median(samples[-quarter:])
    growth = f"{early / 2**20:.0f} MB in the first quarter, {late / 2**20:.0f} MB in the last ({late / early:.2f})"
    print(f"memory of the server and its workers: {growth}, {max(samples) >> 20} MB at most")
    tenth = len(samples) // _PARTS or 1
    parts = [median(samples[start : start + tenth]) for start in range(0, len(samples), tenth)]
    print(f"MB in each {_PARTS}th of the time: {' '.join(f'{part / 2**20:.0f}' for part in parts[:_PARTS])}")
    print(f"answers of 500 and above, without 501 and 503: {tally.errors}")
    wrong = list(tally.wrong)
    if late > early * GROWTH:
        wrong.append(f"memory grew: {growth}")
    wrong += [f"{name}: {times.p99:.0f} ms at p99" for name, times in reads.items() if times.p99 > LIMIT_MS]
    if "Traceback" in server.log_text():
        wrong.append("there is a traceback in the server's log:\n" + server.log_text().partition("Traceback")[2][:2000])
    for line in wrong[:50]:
        print(f"wrong: {line}")
    print(f"{sum(tally.answers.values()):,} requests, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
