"""Which test calls which function, so that of many tests those run first that can notice a mutant at once."""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


class CallRecorder:
    """A pytest plugin: ``path:first line`` of each function below ``source`` → the tests that call it in process."""

    def __init__(self, source: Path, output: Path) -> None:
        self._source, self._output, self._test = str(source), output, ""
        self._found: dict[str, set[str]] = defaultdict(set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        self._test = item.nodeid
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self._source):
            self._found[f"{code.co_filename}:{code.co_firstlineno}"].add(self._test)

    def pytest_sessionfinish(self) -> None:
        self._output.write_text(json.dumps({place: sorted(tests) for place, tests in self._found.items()}))


class CallersFirst:
    """A pytest plugin that runs these tests before all others, or without them if they ``suffice``."""

    def __init__(self, callers: Collection[str], suffice: bool = False) -> None:
        self._callers, self._suffice = frozenset(callers), suffice

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.nodeid not in self._callers)
        if self._suffice and self._callers:
            items[:] = [item for item in items if item.nodeid in self._callers]


def find_callers(calls: dict[str, list[str]], path: Path, source: str, line: int) -> list[str]:
    """The tests that call the innermost function around a line; none for a line outside of functions."""
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.body[0].lineno <= line
        if line <= (node.end_lineno or 0)
    ]
    if not around:
        return []
    inner = max(around, key=lambda node: node.lineno)
    first = min([inner.lineno, *(each.lineno for each in inner.decorator_list)])
    return calls.get(f"{path}:{first}", [])
