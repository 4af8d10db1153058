"""A server with two storage classes, some callers, and what breaks it: all of it by one seed."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.failing import Faults
from tests.faults.mixed import starting, verbs
from tests.faults.mixed.breaking import Breaker
from tests.faults.mixed.caller import Caller
from tests.faults.mixed.ending import look_after
from tests.faults.mixed.journal import Contradiction, Journal
from tests.faults.mixed.last_checks import check_all
from tests.faults.mixed.troubles import Troubles
from tests.support.server import GantryServer

VERBS: tuple[tuple[int, Callable[[Caller], None]], ...] = (
    (20, verbs.store),
    (10, verbs.replace),
    (8, verbs.patch),
    (12, verbs.delete),
    (10, verbs.retrieve),
    (8, verbs.search),
    (14, starting.start_import),
    (8, starting.start_export),
    (10, starting.start_change_of_class),
    (5, starting.start_patch),
    (4, starting.cancel),
    (2, starting.delete_store),
    (12, look_after),
)
"""How often each is chosen, among all."""

CALLERS, STEPS, STARTS = 4, 150, 3


class Mixed:
    """One seed. ``steps`` are those of each caller; ``starts`` is how often, at most, the server starts again."""

    def __init__(self, directory: Path, seed: int, steps: int = STEPS, starts: int = STARTS) -> None:
        self.directory, self.seed, self.steps, self.starts = directory, seed, steps, starts
        self.journal, self.troubles = Journal(), Troubles()
        self.chance = random.Random(f"{seed} scene")
        self.summary = ""

    def run(self) -> None:
        """Raises Contradiction, with all that was done."""
        self.step = "start"
        try:
            with Faults(self.directory) as faults:
                self._start(faults)
                try:
                    self._work(faults)
                    self.step = "last checks"
                    check_all(self.server, self.callers, self.journal, faults)
                finally:
                    faults.end()
                    self.server.process.kill()
                    self.server.process.wait()
        except Exception as error:
            raise Contradiction(self._describe(error)) from error

    def _describe(self, error: Exception) -> str:
        log = self.server.log_text()[-3000:] if hasattr(self, "server") else ""
        journal = f"What was done:\n{self.journal.text()}\nThe log of the server ends:\n{log}\n"
        return f"{journal}\nSEED {self.seed}, {self.step}: {type(error).__name__}: {error}"

    def _start(self, faults: Faults) -> None:
        (self.directory / "cold").mkdir()
        env = faults.env | {"GANTRY_STORAGE_CLASSES": f"COLDLINE={self.directory / 'cold'}"}
        if self.chance.random() < 0.2:
            env["GANTRY_LAYOUT"] = "files"
        self.server = GantryServer(self.directory / "data", self.directory / "buckets", env=env, prepared=False)
        self.callers = [
            Caller(self.server, self.troubles, self.journal, number, f"{self.seed} caller {number}")
            for number in range(CALLERS)
        ]
        for caller in self.callers:
            for bucket in (caller.source, caller.out):
                (self.server.buckets / bucket).mkdir()
            for store in (caller.common, caller.private):
                starting.make_store(caller, store)

    def _work(self, faults: Faults) -> None:
        breaker = Breaker(self.server, faults, self.troubles, self.journal, f"{self.seed} breaker", self.starts)
        breaker.start()
        errors: list[Exception] = []
        threads = [threading.Thread(target=self._call, args=(caller, errors)) for caller in self.callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        breaker.stop()
        self.summary = f"{breaker.rules} faults were met by {breaker.failed} calls"
        if errors:
            raise errors[0]
        self.step = "the start after all"
        breaker.start_again(killed=self.chance.random() < 0.5)

    def _call(self, caller: Caller, errors: list[Exception]) -> None:
        weights, verbs_ = zip(*VERBS, strict=True)
        try:
            for number in range(self.steps):
                (verb,) = caller.chance.choices(verbs_, weights)
                if number == 0 and caller.number == 0:
                    verb = starting.start_large_import
                if errors:
                    return
                caller.journal.write(f"caller {caller.number}", f"step {number}: {verb.__name__}")
                try:
                    verb(caller)
                except Exception as error:
                    self.step = f"caller {caller.number}, step {number} ({verb.__name__})"
                    raise error
        except Exception as error:
            errors.append(error)


def run_seed(directory: Path, seed: int, steps: int = STEPS, starts: int = STARTS) -> str:
    """What was met, for people. Raises Contradiction. What it has made is removed where all went well."""
    directory.mkdir(parents=True)
    mixed = Mixed(directory, seed, steps, starts)
    mixed.run()
    shutil.rmtree(directory)
    return mixed.summary
