"""The file of the audit log: lines are written whole or not at all; those that are lost are counted and reported."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Sequence

from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

REPORT_SECONDS, MOST_REPORT_SECONDS = 60.0, 3600.0
"""While lines are lost, the log says so at once, after a minute, and then each time after twice as long."""

_ROOM = 4096  # bytes of a long line


class _Line:
    """``is_kept`` is None until it has been tried to write it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_kept: bool | None = None


class AuditFile:
    """Appends lines to a file that only its owner may read. Whoever moves or deletes it makes the next line open a new
    one: its directory may be gone, or its disk full, for any time. Threads may share it: the lines of those that wait
    together are written together, because each call of the system costs a busy process a turn at the interpreter.
    """

    def __init__(self, path: str) -> None:
        self._path, self._fd = os.path.abspath(path), -1
        self._identity = (-1, -1)  # device and inode of the open file
        self._is_torn = False  # it ends within a line
        self._lock = threading.Lock()
        self._waiting: deque[_Line] = deque()
        self._problem, self._problems = "", 0
        self._next_report, self._pause = 0.0, REPORT_SECONDS
        self.lost = 0

    def open(self) -> None:
        """Raises OSError."""
        with self._lock:
            self._reopen()

    def append(self, line: str) -> bool:
        """False where the line is lost."""
        mine = _Line(line.encode("utf-8", "backslashreplace") + b"\n")
        self._waiting.append(mine)
        with self._lock:
            if mine.is_kept is None:  # nobody has written it with lines of their own
                self._write_waiting(mine)
        return bool(mine.is_kept)

    def _write_waiting(self, mine: _Line) -> None:
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft())
        if mine not in lines:  # whoever took it was broken off, such as by too little memory
            lines.append(mine)
        if len(lines) > 1 and not self._problem and self._try(lines) is None:
            return
        for line in lines:  # where there is no room for all of them there may be some for one
            if (error := self._try([line])) is not None:
                self.lost += 1
                self._problems += 1
                self._report(describe_os_error(error))
            elif self._problem:
                self._end_problem()

    def _try(self, lines: Sequence[_Line]) -> OSError | None:
        """Write them all, or none; why not."""
        failed: OSError | None = None
        try:
            self._reopen()
            self._write(b"".join(line.data for line in lines))
        except OSError as error:
            failed = error
        for line in lines:
            line.is_kept = failed is None
        return failed

    def describe_loss(self) -> str:
        """Why no line can be written now, "" where it can."""
        with self._lock:
            try:
                self._reopen()
                self._try_room()
            except OSError as error:
                return describe_os_error(error)
            return ""

    def _reopen(self) -> None:
        """Open the file unless it is the one that is open. Raises OSError."""
        if self._fd >= 0:
            try:
                if _identify(os.stat(self._path)) == self._identity:
                    return
            except FileNotFoundError:
                pass
            fd, self._fd = self._fd, -1
            os.close(fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        status = os.fstat(self._fd)
        self._identity = _identify(status)
        self._is_torn = stat.S_ISREG(status.st_mode) and _ends_within_a_line(self._path)

    def _write(self, data: bytes) -> None:
        """Raises OSError, and then nothing of ``data`` stays: a part of a line would spoil the next one. Where a part
        stays, because the file may only grow or the writer was killed, the next line begins a new one."""
        if self._is_torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            if written:
                before, self._is_torn = self._is_torn, not data[:written].endswith(b"\n")
                self._take_back(written)
                self._is_torn = before
            raise
        self._is_torn = False

    def _take_back(self, written: int) -> None:
        os.ftruncate(self._fd, max(0, os.fstat(self._fd).st_size - written))

    def _try_room(self) -> None:
        """While lines are lost, find out whether one would fit. Raises OSError.

        After a kill in between, the next line begins with spaces, which JSON allows (RFC 8259 §2).
        """
        if self._problem:
            self._write(b" " * _ROOM)
            self._take_back(_ROOM)
            self._end_problem()

    def _report(self, problem: str) -> None:
        now = time.monotonic()
        if self._problem and now < self._next_report:
            return
        self._pause = min(2 * self._pause, MOST_REPORT_SECONDS) if self._problem else REPORT_SECONDS
        self._problem, self._next_report = problem, now + self._pause
        logger.error("audit_log %s: %s: lines are lost (%d so far)", self._path, problem, self._problems)

    def _end_problem(self) -> None:
        logger.warning("audit_log %s: written again; %d lines were lost", self._path, self._problems)
        self._problem, self._problems = "", 0


def _identify(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _ends_within_a_line(path: str) -> bool:
    """Whether whoever wrote a file was killed, or lost power, before a line was whole; spaces are those of
    ``_try_room``. False where the file may be written and not read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _ROOM - 1))
            end = file.read().rstrip(b" ")
    except OSError:
        return False
    return bool(end) and not end.endswith(b"\n")
