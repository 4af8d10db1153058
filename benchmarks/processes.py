"""CPU time and memory of a process and everything below it, from Linux's /proc."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

PERIOD = 0.1
"""Seconds between two samples of memory."""
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Cpu(NamedTuple):
    """Seconds in user and in kernel mode, those of children that have ended included."""

    user: float = 0.0
    system: float = 0.0

    @property
    def total(self) -> float:
        return self.user + self.system


class MemorySample(NamedTuple):
    """``time`` in seconds since the epoch, ``bytes`` of the whole tree."""

    time: float
    bytes: int


def is_supported() -> bool:
    """Whether /proc tells who descends from whom: Linux with CONFIG_PROC_CHILDREN."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def tree(pid: int) -> list[int]:
    """The process and its descendants, the process first."""
    found = [pid]
    for parent in found:
        found += _children(parent)
    return found


def cpu_by_process(pid: int) -> dict[int, Cpu]:
    """CPU time so far of each process of the tree; the process itself first."""
    found = {}
    for member in tree(pid):
        try:
            with open(f"/proc/{member}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        user, system, child_user, child_system = map(int, fields[11:15])
        found[member] = Cpu((user + child_user) * _TICK, (system + child_system) * _TICK)
    return found


def spent(before: dict[int, Cpu], after: dict[int, Cpu]) -> dict[int, Cpu]:
    """CPU time of each process between two moments."""
    return {
        pid: Cpu(now.user - before.get(pid, Cpu()).user, now.system - before.get(pid, Cpu()).system)
        for pid, now in after.items()
    }


def memory_bytes(pid: int) -> int:
    """Memory of the tree: proportional set size (shared pages counted once), resident set size where that is denied."""
    return sum(_process_bytes(member) for member in tree(pid))


def _process_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


def _children(pid: int) -> list[int]:
    found = []
    for thread in _threads(pid):
        # A thread that ends meanwhile has no children; those of the others are still read.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split()]
    return found


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


class MemorySampler:
    """Samples the memory of a process tree every ``PERIOD`` seconds while the block runs, and at both its ends."""

    def __init__(self, pid: int) -> None:
        self.samples: list[MemorySample] = []
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._sample()
        while not self._stop.wait(PERIOD):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        self.samples.append(MemorySample(time.time(), memory_bytes(self._pid)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def peak(self) -> int:
        """Bytes."""
        return max(sample.bytes for sample in self.samples)

    def at(self, moment: float) -> int:
        """Bytes in the sample nearest to ``moment`` (seconds since the epoch)."""
        return min(self.samples, key=lambda sample: abs(sample.time - moment)).bytes
