"""One operation against one copy of the same files: the figures of a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.corpus import Corpus
from benchmarks.machine import BenchmarkError, copy_seconds, settle
from benchmarks.processes import Cpu, MemorySampler, cpu_by_process, spent
from benchmarks.service import Service

PROGRESS = (0.25, 0.5, 1.0)
"""Where memory is reported, as fractions of the time between an operation's createTime and its endTime."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One operation. ``seconds``: endTime - createTime; ``wall_seconds``: seen by the client; memory in bytes.

    ``cpu_by_process``: what each process of the server's tree took, by process id, the main process first.
    """

    success: int
    seconds: float
    wall_seconds: float
    cpu_by_process: dict[int, Cpu]
    memory_peak: int
    memory_at: tuple[int, ...]

    @property
    def cpu(self) -> Cpu:
        """The whole tree."""
        parts = self.cpu_by_process.values()
        return Cpu(sum(part.user for part in parts), sum(part.system for part in parts))


@dataclass(frozen=True, slots=True)
class Round:
    """Rates per second (MB: 10^6 bytes), CPU seconds per 1,000 instances, memory in bytes.

    ``ratio`` is ``instances_per_second`` over ``base_instances_per_second``, the rate of ``cp -r && sync -f``.
    """

    number: int
    base_first: bool
    success: int
    seconds: float
    wall_seconds: float
    base_seconds: float
    instances_per_second: float
    mb_per_second: float
    base_instances_per_second: float
    base_mb_per_second: float
    ratio: float
    cpu_seconds_per_1000: float
    cpu_user_seconds: float
    cpu_system_seconds: float
    memory_peak_bytes: int
    memory_at_25_bytes: int
    memory_at_50_bytes: int
    memory_at_100_bytes: int


def operate(service: Service, start: Callable[[], str], count: int) -> Measured:
    """Start an operation and follow it to its end. Raises BenchmarkError unless it reports ``count`` successes."""
    before = cpu_by_process(service.pid)
    with MemorySampler(service.pid) as memory:
        began = time.perf_counter()
        operation = service.wait(start())
        wall = time.perf_counter() - began
    cpu = spent(before, cpu_by_process(service.pid))
    success = _succeeded(operation, count)
    metadata = operation["metadata"]
    created, ended = (datetime.fromisoformat(metadata[key]).timestamp() for key in ("createTime", "endTime"))
    return Measured(
        success,
        ended - created,
        wall,
        cpu,
        memory.peak(),
        tuple(memory.at(created + part * (ended - created)) for part in PROGRESS),
    )


def _succeeded(operation: dict[str, Any], count: int) -> int:
    counter = operation["metadata"].get("counter", {})
    success = int(counter.get("success", 0))
    if "error" in operation or counter.get("failure") or success != count:
        raise BenchmarkError(f"{count} successes were expected: {counter}, error: {operation.get('error')}")
    return success


def beside_copy(number: int, source: Corpus, copy: Path, run: Callable[[], Measured]) -> tuple[Round, Measured]:
    """A round: the copy and the operation, in an order that alternates with ``number`` (1: the copy first)."""
    base_first = number % 2 == 1
    settle(copy.parent)
    base = copy_seconds(source.directory, copy) if base_first else 0.0
    settle(copy.parent)
    measured = run()
    if not base_first:
        settle(copy.parent)
        base = copy_seconds(source.directory, copy)
    return _round(number, base_first, source, base, measured), measured


def _round(number: int, base_first: bool, source: Corpus, base: float, measured: Measured) -> Round:
    count, megabytes = len(source.slices), source.total_bytes / 1e6
    at_25, at_50, at_100 = measured.memory_at
    return Round(
        number=number,
        base_first=base_first,
        success=measured.success,
        seconds=measured.seconds,
        wall_seconds=measured.wall_seconds,
        base_seconds=base,
        instances_per_second=count / measured.seconds,
        mb_per_second=megabytes / measured.seconds,
        base_instances_per_second=count / base,
        base_mb_per_second=megabytes / base,
        ratio=base / measured.seconds,
        cpu_seconds_per_1000=measured.cpu.total * 1000 / count,
        cpu_user_seconds=measured.cpu.user,
        cpu_system_seconds=measured.cpu.system,
        memory_peak_bytes=measured.memory_peak,
        memory_at_25_bytes=at_25,
        memory_at_50_bytes=at_50,
        memory_at_100_bytes=at_100,
    )


def medians(rounds: Iterable[Round]) -> dict[str, float]:
    """The median of each figure over the rounds; of ``ratio``, the median of the rounds' own ratios."""
    rows = [asdict(item) for item in rounds]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0] if key not in ("number", "base_first")}
