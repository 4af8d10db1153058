"""Which lines run during which test, in the process of the tests and in every server and worker that they start.

All of them map the same file, of one byte for each test and line: nothing is sent, and any of them may be killed.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

MOST_TESTS = 10_000
_HEAD = 8
"""Bytes before the table: the number of the test that runs (four), and in which phase."""
ENOUGH = 1000
"""Calls of one function in a test, after which it runs at its usual speed: what it does then it has done before."""
BODY, AROUND = 1, 2
"""Phases of a test: itself, and the set-up or end of what it uses, which other tests of its file may use too."""


class Record:
    """The table below ``home``: a row for each test, a column for each line of each file. Row 0 is before all tests."""

    def __init__(self, home: Path, files: dict[str, int] | None = None) -> None:
        """``files``: how many lines each has, to begin; without it, what has begun is opened."""
        if files is not None:
            (home / "files").write_text(json.dumps(files))
            (home / "lines").touch()
            os.chmod(home / "lines", 0o666)  # noqa: S103 - some tests work as a user without rights
        self.columns: dict[str, int] = {}
        self.width = 0
        for path, lines in json.loads((home / "files").read_text()).items():
            self.columns[path] = self.width
            self.width += lines + 1
        with open(home / "lines", "r+b") as file:
            if files is not None:
                file.truncate(_HEAD + MOST_TESTS * self.width)  # sparse: only what is written takes room
            self.bytes = mmap.mmap(file.fileno(), 0)

    def tell(self, test: int, phase: int) -> None:
        """From now on lines belong to this test."""
        self.bytes[:_HEAD] = test.to_bytes(4, "little") + bytes([phase, 0, 0, 0])

    def phases(self, test: int, path: str, lines: Sequence[int]) -> int:
        """BODY, AROUND, both or 0: when the test has run one of the lines."""
        start = _HEAD + test * self.width + self.columns[path]
        found = 0
        for line in lines:
            found |= self.bytes[start + line]
        return found


def start(home: Path) -> Callable[..., Any]:
    """Record from now on, in this process, its threads and its copies. Returns what Python calls for each frame; it is
    forgotten in a thread that runs into its limit of recursion there, and may be set again (``sys.settrace``)."""
    record = Record(home)
    columns, width, table = record.columns, record.width, record.bytes

    calls: Counter[CodeType] = Counter()
    told = [b""]

    def trace_call(frame: FrameType, _event: str, _argument: object) -> Any:
        column = columns.get(frame.f_code.co_filename)
        if column is None:
            return None
        head, code = table[:_HEAD], frame.f_code
        if head != told[0]:
            told[0] = head
            calls.clear()
        calls[code] += 1
        if calls[code] > ENOUGH:
            return None
        start, phase = _HEAD + int.from_bytes(head[:4], "little") * width + column, head[4]

        def trace_line(frame: FrameType, event: str, _argument: object) -> Any:
            if event == "line":
                table[start + frame.f_lineno] |= phase
            return trace_line

        return trace_line

    threading.settrace(trace_call)
    sys.settrace(trace_call)
    return trace_call
