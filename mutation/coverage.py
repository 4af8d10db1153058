"""Which tests can notice a mutant: those that have run its line, of the quickest files first."""

from __future__ import annotations

import ast
import json
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from mutation.recording import AROUND, BODY, Record, start


class Recorder:
    """A pytest plugin for one run of all tests without a change. It writes ``tests``, with the seconds of each."""

    def __init__(self, home: Path) -> None:
        self._home, self._record = home, Record(home)
        self._tests: list[tuple[str, float]] = []

    def pytest_sessionstart(self) -> None:
        self._trace = start(self._home)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        begun = time.monotonic()
        self._record.tell(len(self._tests) + 1, AROUND)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            self._tests.append((item.nodeid, time.monotonic() - begun))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[Any]:
        self._record.tell(len(self._tests) + 1, BODY)
        try:
            return (yield)
        finally:
            self._record.tell(len(self._tests) + 1, AROUND)

    def pytest_sessionfinish(self) -> None:
        (self._home / "tests").write_text(json.dumps(self._tests))


class Coverage:
    """What a Recorder has written."""

    def __init__(self, home: Path, without: Collection[str] = ()) -> None:
        self._record, self._without = Record(home), without
        self._tests: list[tuple[str, float]] = json.loads((home / "tests").read_text())

    def list_tests(self, path: Path, source: str, line: int, budget: float) -> tuple[list[str], float]:
        """Tests that ran the statement at a line, up to ``budget``, and their seconds; the quickest files first.

        Of a line outside of functions, such as a row of a table, no test runs anything: so it is all tests of the files
        that use its module.
        """
        inside = list(find_lines(source, line))
        lines, telling = inside or range(1, source.count("\n") + 1), AROUND if inside else AROUND | BODY
        phases = [self._record.phases(number, str(path), lines) for number in range(1, len(self._tests) + 1)]
        shared = {_file_of(test) for (test, _), phase in zip(self._tests, phases, strict=True) if phase & telling}
        files = defaultdict(list)
        for (test, seconds), phase in zip(self._tests, phases, strict=True):
            if (phase or _file_of(test) in shared) and test not in self._without:
                files[_file_of(test)].append((test, seconds))
        return _cut(sorted(files.values(), key=lambda tests: sum(map(itemgetter(1), tests))), budget)


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def _cut(files: Sequence[Sequence[tuple[str, float]]], budget: float) -> tuple[list[str], float]:
    """The quickest tests of all files, those of one file together: they share what it sets up."""
    found, total = set[str](), 0.0
    for test, seconds in sorted((each for tests in files for each in tests), key=itemgetter(1)):
        if not found or total + seconds <= budget:
            found.add(test)
            total += seconds
    return [test for tests in files for test, _ in tests if test in found], total


def find_lines(source: str, line: int) -> Iterator[int]:
    """The lines of the innermost statement there, without those of its body; none outside of functions."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    parts = [part for function in functions for part in _list_parts(function)]
    around = [part for part in parts if part[0] <= line <= part[1]]
    if around:
        first, last = min(around, key=lambda part: (part[1] - part[0], -part[0]))
        yield from range(first, last + 1)


def _list_parts(function: ast.AST) -> Iterator[tuple[int, int]]:
    """First and last lines of the statements in a function, of compound ones only what stands before their body."""
    for node in ast.walk(function):
        if isinstance(node, ast.match_case):
            yield node.pattern.lineno, max(node.pattern.lineno, node.body[0].lineno - 1)
        elif isinstance(node, ast.stmt | ast.ExceptHandler) and node is not function:
            body = getattr(node, "body", None)
            yield node.lineno, max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno


class Chosen:
    """A pytest plugin that runs these tests alone, in their order."""

    def __init__(self, tests: Collection[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._order]
        items.sort(key=lambda item: self._order[item.nodeid])
