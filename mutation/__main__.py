"""``./run mutate PART|FILE [--seed 1] [--count 40]``: which small faults in the source do its tests not notice?"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mutation.calls import CallersFirst, CallRecorder, find_callers
from mutation.modules import PARTS, SOURCE, Part, find_part
from mutation.trial import TIMED_OUT, copy_tree, load_libraries, mutated, run_tests

ROOT = Path(__file__).parents[1]
FIRST_SECONDS = 900
"""For the tests of a part, unchanged."""
SLOWER, MORE_SECONDS = 3, 20
"""A mutant may take so many times as long, and so much more: some never end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 if the tests fail without any change, or if the score is below ``--least``."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the copy is removed, the tests are ended
    options = _parser().parse_args(arguments)
    part = find_part(options.part)
    tests = options.tests or [str(path) for path in part.list_tests(ROOT)]
    mutants = _make_mutants(part, options.seed, options.count)
    load_libraries()
    with copy_tree(ROOT) as copy:
        tried = Tried(copy, tests)
        if not tried.works:
            print(tried.output[-4000:], "\nThe tests cannot be run.")
            return 1
        print(f"{len(mutants)} mutants; the tests take {tried.seconds:.0f} s", flush=True)
        survivors = [each for each in mutants if tried.survives(each, options.seconds, options.callers)]
    score = 1 - len(survivors) / max(len(mutants), 1)
    print(f"{options.part}: {len(mutants)} mutants, {len(survivors)} survive, score {score:.2f}")
    return int(score < options.least)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run mutate", description=__doc__)
    parser.add_argument("part", help=f"{', '.join(PARTS)}, or a file of one of them")
    parser.add_argument("--seed", type=int, default=1, help="another number chooses other mutants")
    parser.add_argument("--count", type=int, default=40, help="how many")
    parser.add_argument("--least", type=float, default=0, help="exit code 1 below this score")
    parser.add_argument("--seconds", type=float, help="the limit of each mutant; without it, several times the tests'")
    parser.add_argument("--callers", action="store_true", help="only tests that call the function in process, if any")
    parser.add_argument("--tests", nargs="+", help="tests to run in place of those of the part")
    return parser


def _make_mutants(part: Part, seed: int, count: int) -> list[dict[str, Any]]:
    python = os.environ.get("GANTRY_MUTATE_PYTHON", sys.executable)
    files = [str(path) for path in part.list_files(ROOT)]
    command = [python, "-m", "mutation.changes", "--seed", str(seed), "--count", str(count), *files]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


class Tried:
    """Tests that have run once without a change. Those that failed are left out, and named."""

    def __init__(self, copy: Path, tests: Sequence[str]) -> None:
        calls = copy.parent / "calls"
        code, self.seconds = run_tests(copy, tests, FIRST_SECONDS, CallRecorder(copy / SOURCE, calls))
        self.output = (copy.parent / "output").read_text(errors="replace")
        broken = re.findall(r"^FAILED (.+?)(?: - .*)?$", self.output, re.MULTILINE)
        for test in broken:
            print(f"{test} fails without a change, so it is left out")
        self.works = not code or bool(broken)
        self._calls = json.loads(calls.read_text()) if calls.exists() else {}
        self._copy, self._tests = copy, [*tests, *(f"--deselect={test}" for test in broken)]

    def survives(self, mutant: dict[str, Any], limit: float | None, callers: bool) -> bool:
        """Whether all tests pass with a mutant. A survivor is printed as a diff, any other as one line."""
        path, line = self._copy / mutant["path"], mutant["line"]
        before = path.read_text(encoding="utf-8")
        first = CallersFirst(find_callers(self._calls, path, before, line), callers)
        with mutated(path, mutant["source"]):
            limit = limit or self.seconds * SLOWER + MORE_SECONDS
            code, seconds = run_tests(self._copy, ["-x", *self._tests], limit, first)
        place = f"{mutant['path']}:{line}"
        if code:
            print(f"{'time limit' if code == TIMED_OUT else 'killed'}  {place}  {seconds:.1f} s", flush=True)
            return False
        diff = difflib.unified_diff(
            before.splitlines(), mutant["source"].splitlines(), place, "mutant", n=1, lineterm=""
        )
        print("SURVIVES", *diff, sep="\n", flush=True)
        return True


if __name__ == "__main__":
    sys.exit(main())
