"""Small requests at a steady pace from a process of its own, and how long each took."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from benchmarks.machine import BenchmarkError


@dataclass(frozen=True)
class Probe:
    """Each of ``paths`` is asked for every ``period`` seconds, on ``connections`` in turn, for ``seconds``.

    One connection alone would be late for ever once answers take longer than a period.
    """

    base: str
    paths: Sequence[str]
    seconds: float
    period: float = 0.05
    connections: int = 8


@dataclass(frozen=True)
class Times:
    """Of one path, in milliseconds."""

    count: int
    p50: float
    p99: float
    most: float


def probe(plan: Probe) -> dict[str, Times]:
    """By path. Raises BenchmarkError when an answer is not 200."""
    command = [sys.executable, "-m", "benchmarks.probing"]
    done = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(done.stderr.strip().splitlines()[-1] if done.stderr else "the probe failed")
    return {path: _times(found) for path, found in json.loads(done.stdout).items()}


def _times(seconds: list[float]) -> Times:
    found = sorted(each * 1000 for each in seconds)
    return Times(len(found), found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)], found[-1])


class _Prober(threading.Thread):
    """A request is due at a fixed moment, and its time counts from there: a server that stands still is not spared."""

    def __init__(self, plan: Probe, path: str, number: int) -> None:
        super().__init__()
        self.plan, self.path, self.number = plan, path, number
        self.times: list[float] = []
        self.error = ""

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.error = f"{self.path}: {type(error).__name__}: {error}"

    def _run(self) -> None:
        address = urlsplit(self.plan.base)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        begin = time.perf_counter()
        due, until = begin + self.number * self.plan.period, begin + self.plan.seconds
        while due < until and time.perf_counter() < until:  # what is late for ever would never end
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                self._ask(connection, address.path)
            except ConnectionError:  # an idle connection was closed as the request was sent (RFC 9110 §9.2.2)
                connection.close()
                self._ask(connection, address.path)
            self.times.append(time.perf_counter() - due)
            due += self.plan.period * self.plan.connections

    def _ask(self, connection: http.client.HTTPConnection, above: str) -> None:
        connection.request("GET", above + self.path)
        response = connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise BenchmarkError(f"HTTP {response.status}: {data[:300]!r}")


def main() -> None:
    plan = Probe(**json.load(sys.stdin))
    probers = [_Prober(plan, path, number) for path in plan.paths for number in range(plan.connections)]
    for prober in probers:
        prober.start()
    for prober in probers:
        prober.join()
    if errors := [prober.error for prober in probers if prober.error]:
        sys.exit(errors[0])
    times: dict[str, list[float]] = {path: [] for path in plan.paths}
    for prober in probers:
        times[prober.path] += prober.times
    print(json.dumps(times))


if __name__ == "__main__":
    main()
