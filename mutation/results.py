"""What became of each mutant, and the table of all."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KILLED, TIMED_OUT, SURVIVED, NOT_RUN = "killed", "timed out", "survived", "not run"
"""A test failed; the tests did not end (which counts as noticed); all passed; no test has run the line."""


@dataclass(frozen=True)
class Result:
    """One mutant, ``outcome`` after so many seconds; ``change`` is a unified diff without its head."""

    path: str
    line: int
    outcome: str
    seconds: float
    change: Sequence[str]

    @property
    def is_noticed(self) -> bool:
        return self.outcome in (KILLED, TIMED_OUT)

    def __str__(self) -> str:
        """One line; with the change where no test has noticed it."""
        head = f"{self.outcome}  {self.path}:{self.line}  {self.seconds:.1f} s"
        return head if self.is_noticed else "\n".join([head, *self.change])


def diff(before: str, mutant: dict[str, Any]) -> list[str]:
    """The lines that differ, with one line around them."""
    return list(difflib.unified_diff(before.splitlines(), mutant["source"].splitlines(), n=1, lineterm=""))[3:]


def score(results: Sequence[Result]) -> float:
    """Which part of them was noticed; 1 of none."""
    return sum(result.is_noticed for result in results) / len(results) if results else 1.0


def write_table(part: str, results: Sequence[Result]) -> str:
    """A row for each file that has mutants, and one for all."""
    files = defaultdict(list)
    for result in results:
        files[result.path].append(result)
    rows = [*sorted(files.items()), (part, list(results))]
    width = max(len(name) for name, _ in rows)
    head = f"{'':{width}}  tried  {KILLED}  {TIMED_OUT}  {SURVIVED}  {NOT_RUN}  score"
    return "\n".join([head, *(_write_row(name, width, found) for name, found in rows)])


def _write_row(name: str, width: int, results: Sequence[Result]) -> str:
    counts = [sum(result.outcome == kind for result in results) for kind in (KILLED, TIMED_OUT, SURVIVED, NOT_RUN)]
    cells = [f"{n:{len(kind)}}" for n, kind in zip(counts, (KILLED, TIMED_OUT, SURVIVED, NOT_RUN), strict=True)]
    return f"{name:{width}}  {len(results):5}  {'  '.join(cells)}   {score(results):.2f}"
