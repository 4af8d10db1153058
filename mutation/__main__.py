"""``./run mutate PART|FILE [--seed 1] [--count 40]``: which small faults in the source do its tests not notice?"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mutation.coverage import Chosen, Coverage, Recorder
from mutation.modules import PARTS, Part, find_part
from mutation.recording import Record
from mutation.results import KILLED, NOT_RUN, SURVIVED, TIMED_OUT, Result, diff, score, write_table
from mutation.trial import (
    ENDS,
    FAST,
    OUT_OF_TIME,
    SLOW_TOO,
    copy_tree,
    ignore_signals,
    load_libraries,
    mutated,
    run_tests,
    tracing,
)

ROOT = Path(__file__).parents[1]
FIRST_SECONDS = 1800
"""For the tests of a part, unchanged."""
SLOWER, MORE_SECONDS = 3, 20
"""A mutant may take so many times as long, and so much more: some never end."""
NICENESS = 10
"""It takes minutes, and whoever waits for it does something else."""
NO_TESTS = 5
"""pytest's exit code where a mutant has removed the tests: they come from the table that it changes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 if the tests fail without any change, or if the score is below ``--least``."""
    options = _parser().parse_args(arguments)
    for number in ENDS:
        signal.signal(number, _end)
    os.nice(max(0, NICENESS - os.nice(0)))
    part = find_part(options.part)
    tests = options.tests or [str(path) for path in part.list_tests(ROOT)]
    mutants = _make_mutants(part, options.seed, options.count)
    load_libraries()
    with copy_tree(ROOT) as copy:
        tests = [*(SLOW_TOO if options.slow else FAST), *tests]
        tried = Tried(copy, tests, {mutant["path"] for mutant in mutants}, options.budget)
        if not tried.works:
            print(tried.output[-4000:], "\nThe tests cannot be run.")
            return 1
        print(f"{len(mutants)} mutants; the tests take {tried.seconds:.0f} s", flush=True)
        results = []
        for mutant in mutants:
            results.append(tried.run(mutant, options.seconds, options.budget))
            print(results[-1], flush=True)
    print(write_table(options.part, results))
    return int(score(results) < options.least)


def _end(number: int, _frame: object) -> None:
    """The tests are ended and the copy is removed: SystemExit passes through both. Who asks again changes nothing."""
    ignore_signals()
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run mutate", description=__doc__)
    parser.add_argument("part", help=f"{', '.join(PARTS)}, or a file of one of them")
    parser.add_argument("--seed", type=int, default=1, help="another number chooses other mutants")
    parser.add_argument("--count", type=int, default=40, help="how many")
    parser.add_argument("--least", type=float, default=0, help="exit code 1 below this score")
    parser.add_argument("--seconds", type=float, help="the limit of each mutant; without it, several times its tests'")
    parser.add_argument(
        "--budget", type=float, default=60, help="only tests that take so many seconds together, the quick ones"
    )
    parser.add_argument("--slow", action="store_true", help="slow tests too, as far as the budget has room for them")
    parser.add_argument("--tests", nargs="+", help="tests to run in place of those of the part")
    return parser


def _make_mutants(part: Part, seed: int, count: int) -> list[dict[str, Any]]:
    python = os.environ.get("GANTRY_MUTATE_PYTHON", sys.executable)
    files = [str(path) for path in part.list_files(ROOT)]
    command = [python, "-m", "mutation.changes", "--seed", str(seed), "--count", str(count), *files]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


class Tried:
    """Tests that have run once without a change. Those that fail, or take more than ``budget``, are left out."""

    def __init__(self, copy: Path, tests: Sequence[str], paths: set[str], budget: float) -> None:
        home = copy.parent
        Record(home, {str(copy / path): (copy / path).read_text().count("\n") for path in paths})
        with tracing(home):
            code, self.seconds = run_tests(copy, [f"--timeout={budget}", *tests], FIRST_SECONDS, Recorder(home))
        self.output = (home / "output").read_text(errors="replace")
        self._broken = frozenset(re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", self.output, re.MULTILINE))
        for test in sorted(self._broken):
            print(f"{test} fails without a change or takes longer than the budget, so it is left out")
        self.works = (home / "tests").exists() and (not code or bool(self._broken))
        self._copy = copy

    def run(self, mutant: dict[str, Any], limit: float | None, budget: float) -> Result:
        """What the tests that have run the line say to a mutant."""
        path, line = self._copy / mutant["path"], mutant["line"]
        before = path.read_text(encoding="utf-8")
        chosen, usual = Coverage(self._copy.parent, self._broken).list_tests(path, before, line, budget)
        outcome, seconds = NOT_RUN, 0.0
        if chosen:
            files = dict.fromkeys(test.partition("::")[0] for test in chosen)
            with mutated(path, mutant["source"]):
                limit = limit or usual * SLOWER + MORE_SECONDS
                code, seconds = run_tests(self._copy, ["-x", *files], limit, Chosen(chosen))
            outcome = {OUT_OF_TIME: TIMED_OUT, 0: SURVIVED, NO_TESTS: SURVIVED}.get(code, KILLED)
        return Result(mutant["path"], line, outcome, seconds, diff(before, mutant))


if __name__ == "__main__":
    sys.exit(main())
