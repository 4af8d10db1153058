"""Breaks the server while callers use it: system calls fail, processes are killed, stopped and started, by a seed."""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from tests.faults.failing import Faults, Mode, Rule
from tests.faults.mixed.journal import Journal
from tests.faults.mixed.troubles import Trouble, Troubles
from tests.support.processes import children
from tests.support.server import GantryServer

PATHS = {
    "blobs": "/data/blobs/",
    "cold": "/cold/",
    "index": "/data/index.sqlite",
    "source": "/buckets/source",
    "out": "/buckets/out",
}
"""A part of every path in a place."""


class Kind(NamedTuple):
    """System calls that fail, on which places, how."""

    calls: tuple[str, ...]
    places: tuple[str, ...]
    errors: tuple[int, ...] = (errno.EIO,)
    modes: tuple[Mode, ...] = ("fail",)
    weight: int = 1


_OWN, _WRITTEN = ("blobs", "cold"), ("blobs", "cold", "out")
KINDS = (
    Kind(("read",), ("blobs", "cold", "index", "source"), (errno.EIO,), ("fail", "short", "hang"), 3),
    Kind(("open",), ("blobs", "cold", "source", "out"), (errno.EIO, errno.EMFILE, errno.EPERM), ("fail", "hang"), 3),
    Kind(("open", "stat"), ("index",), (errno.EMFILE, errno.EIO)),
    Kind(("write",), (*_WRITTEN, "index"), (errno.EIO, errno.ENOSPC, errno.EROFS), ("fail", "short", "hang"), 4),
    Kind(("copy_file_range",), _WRITTEN, (errno.EIO, errno.ENOSPC, errno.EPERM), ("fail", "short", "hang")),
    Kind(
        ("fsync", "fdatasync", "syncfs"),
        (*_WRITTEN, "index"),
        (errno.EIO, errno.ENOSPC),
        ("fail", "fail when done", "hang"),
        4,
    ),
    Kind(("unlink",), _WRITTEN, (errno.EPERM, errno.EIO, errno.EROFS), ("fail", "fail when done")),
    Kind(("rename",), _WRITTEN, (errno.EIO, errno.ENOSPC, errno.EROFS), ("fail", "fail when done")),
    Kind(("mkdir",), _WRITTEN, (errno.EIO, errno.ENOSPC, errno.EROFS)),
    Kind(("rmdir",), _OWN, (errno.EIO,)),
    Kind(("readdir",), (*_WRITTEN, "source"), (errno.EIO,), ("fail", "hang")),
    Kind(("fallocate",), _OWN, (errno.EIO, errno.ENOSPC), ("fail", "hang")),
    Kind(("truncate",), ("blobs", "cold", "index"), (errno.EIO,)),
    Kind(("statvfs",), _WRITTEN, (errno.EIO,), ("fail", "hang")),
    Kind(("stat",), ("blobs", "cold"), (errno.EIO,), ("fail", "hang")),
)

WEIGHTS = {"blobs": 4, "index": 4, "source": 2, "out": 2, "cold": 2}
"""How often a place is chosen, among those of a kind."""

MAX_RULES = 6  # at a time
UNMET_SECONDS = 2.0  # a fault that no call has met stays so much longer
FAULT_SECONDS = (0.05, 0.8)
PAUSE_SECONDS = (0.01, 0.1)


class Breaker:
    """Breaks things in a thread, from ``start`` to ``stop``; then no call fails, and the server runs."""

    def __init__(
        self, server: GantryServer, faults: Faults, troubles: Troubles, journal: Journal, seed: str, most_starts: int
    ) -> None:
        self.server, self.faults, self.troubles, self.journal = server, faults, troubles, journal
        self.chance = random.Random(seed)
        self.starts_left = most_starts
        self.error: BaseException | None = None
        self.failed = self.rules = 0  # calls that failed, and rules that some call met
        self._rules: list[tuple[float, Rule, Trouble]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="breaker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._end_rules()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self.chance.uniform(*PAUSE_SECONDS)):
                self._end_rules(time.monotonic())
                self._break()
        except BaseException as error:
            self.error = error

    def _break(self) -> None:
        number = self.chance.random()
        if number < 0.02 and self.starts_left:
            self.starts_left -= 1
            self.start_again(self.chance.random() < 0.6)
        elif number < 0.05:
            self._stop_worker()
        elif number < 0.08:
            self._kill_worker()
        elif len(self._rules) < MAX_RULES:
            self._begin_rule()

    def _begin_rule(self) -> None:
        (kind,) = self.chance.choices(KINDS, [kind.weight for kind in KINDS])
        (place,) = self.chance.choices(kind.places, [WEIGHTS[place] for place in kind.places])
        mode = self.chance.choice(kind.modes)
        error, after = self.chance.choice(kind.errors), self.chance.choice((0, 0, 0, 1, 3))
        times = self.chance.choice((1, 2, 5, None))
        seconds = self.chance.uniform(*FAULT_SECONDS)
        what = f"{mode} {errno.errorcode[error]} {'/'.join(kind.calls)} after {after}, {times or 'all'} times"
        self.journal.write("breaker", f"{place}: {what}, for {seconds:.2f} s")
        trouble = self.troubles.begin(place, what, kind.calls)
        rule = self.faults.begin(*kind.calls, path=PATHS[place], error=error, after=after, times=times, mode=mode)
        self._rules.append((time.monotonic() + seconds, rule, trouble))
        if place == "index" and "fsync" in kind.calls and self.starts_left and self.chance.random() < 0.3:
            # A commit whose sync fails may be there after a crash: only before another one is written over it.
            time.sleep(self.chance.uniform(0.02, 0.3))
            self.starts_left -= 1
            self.start_again(killed=True)

    def _end_rules(self, now: float = float("inf")) -> None:
        for entry in [entry for entry in self._rules if self._is_over(entry, now)]:
            self._rules.remove(entry)
            _, rule, trouble = entry
            rule.end()
            self.troubles.end(trouble)
            self.failed += rule.failed
            self.rules += bool(rule.failed)
            self.journal.write("breaker", f"{trouble.place}: ends after {rule.failed} calls: {trouble.what}")

    def _is_over(self, entry: tuple[float, Rule, Trouble], now: float) -> bool:
        due, rule, _ = entry
        return due <= (now if rule.failed else now - UNMET_SECONDS)

    def start_again(self, killed: bool) -> None:
        """kill -9 or SIGTERM, then a start. What hangs goes on first: a server that is stopped waits for it."""
        trouble = self.troubles.begin("server", "kill -9" if killed else "SIGTERM")
        self.journal.write("breaker", f"{trouble.what} of the server")
        if killed:
            self.server.kill9()
            self._end_rules()
        else:
            self._end_rules()
            self.server.stop()
        self.server.start()
        self.troubles.end(trouble)
        self.journal.write("breaker", "the server is ready again")

    def _choose_worker(self) -> int | None:
        workers = sorted(children(self.server.process.pid))
        return self.chance.choice(workers) if workers else None

    def _kill_worker(self) -> None:
        if worker := self._choose_worker():
            self.journal.write("breaker", "kill -9 of a worker")
            trouble = self.troubles.begin("worker", "kill -9")
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            self.troubles.end(trouble)

    def _stop_worker(self) -> None:
        if worker := self._choose_worker():
            seconds = self.chance.uniform(0.05, 0.8)
            self.journal.write("breaker", f"SIGSTOP of a worker, for {seconds:.2f} s")
            trouble = self.troubles.begin("worker", "SIGSTOP")
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(worker, signal.SIGCONT)
            self.troubles.end(trouble)
