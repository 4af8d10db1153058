"""Requests as fast as a server takes them, from a process of its own: keep-alive, one connection per thread."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from benchmarks.machine import BenchmarkError


@dataclass(frozen=True)
class Plan:
    """``paths`` are asked for in turn by ``connections`` connections, for ``seconds`` or, if 0, each once.

    ``body_file`` makes it POST; ``{}`` in the list stands for one file per request.
    """

    base: str
    paths: Sequence[str]
    accept: str
    connections: int = 1
    seconds: float = 0.0
    content_type: str = ""
    body_files: Sequence[str] = ()


@dataclass(frozen=True)
class Load:
    requests: int
    bytes: int
    seconds: float
    p50_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def megabytes_per_second(self) -> float:
        return self.bytes / self.seconds / 1e6


def run(plan: Plan) -> Load:
    """By ``wrk`` where it is installed and can do it. Raises BenchmarkError when any answer is not 200."""
    if plan.seconds and shutil.which("wrk"):
        return _by_wrk(plan)
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(done.stderr.strip().splitlines()[-1] if done.stderr else "the load generator failed")
    return Load(**json.loads(done.stdout))


_LUA = """
local paths = { %s }
local place = 0
request = function()
  place = place %% #paths + 1
  return wrk.format("GET", "%s" .. paths[place], { ["Accept"] = %s })
end
"""


def _by_wrk(plan: Plan) -> Load:
    base = urlsplit(plan.base)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        paths = ", ".join(json.dumps(path) for path in plan.paths)
        script.write(_LUA % (paths, base.path, json.dumps(plan.accept)))
        script.flush()
        threads = f"-t{min(2, plan.connections)}"
        command = ["wrk", threads, f"-c{plan.connections}", f"-d{plan.seconds:g}s", "--latency", "--timeout", "60s"]
        command += ["-s", script.name, f"{base.scheme}://{base.netloc}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: \d+|timeout [1-9]", text)
    if bad:
        raise BenchmarkError(text)
    found = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMGT]?B) read", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if not found or not median:
        raise BenchmarkError(text)
    size = float(found[3]) * 1024 ** ("B", "KB", "MB", "GB", "TB").index(found[4])
    milliseconds = float(median[1]) * {"us": 0.001, "ms": 1, "s": 1000}[median[2]]
    return Load(int(found[1]), int(size), float(found[2]), milliseconds)


class _Worker(threading.Thread):
    def __init__(self, plan: Plan, number: int) -> None:
        super().__init__()
        self.plan, self.number = plan, number
        self.times: list[float] = []
        self.bytes = 0
        self.error = ""

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"

    def _run(self) -> None:
        plan, address = self.plan, urlsplit(self.plan.base)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=300)
        items = plan.body_files or plan.paths
        mine = items[self.number :: plan.connections] if not plan.seconds else items
        until = time.perf_counter() + plan.seconds
        buffer = bytearray(1 << 20)
        place = 0
        while place < len(mine) or (plan.seconds and time.perf_counter() < until):
            item = mine[place % len(mine)]
            if plan.seconds and time.perf_counter() >= until:
                return
            start = time.perf_counter()
            if plan.body_files:
                with open(item, "rb") as file:
                    headers = {"Content-Type": plan.content_type, "Accept": plan.accept}
                    connection.request("POST", address.path + plan.paths[0], file.read(), headers)
            else:
                connection.request("GET", address.path + item, headers={"Accept": plan.accept})
            response = connection.getresponse()
            if response.status != 200:
                raise BenchmarkError(f"{item}: HTTP {response.status}: {response.read(300)!r}")
            while size := response.readinto(buffer):
                self.bytes += size
            self.times.append(time.perf_counter() - start)
            place += 1


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    workers = [_Worker(plan, number) for number in range(plan.connections)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    errors = [worker.error for worker in workers if worker.error]
    if errors:
        sys.exit(errors[0])
    times = [each for worker in workers for each in worker.times]
    found = Load(len(times), sum(worker.bytes for worker in workers), seconds, statistics.median(times) * 1000)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
