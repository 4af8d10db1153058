"""Room for the index on a disk that is full: a file beside it, which is given up so that deletions can be written.

SQLite needs room even to delete: for its write-ahead log, and at the start for the log's own index.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

RESERVE, SHARE = 4 << 20, 16
"""Bytes, and no more than a sixteenth of a small disk. The log is written to the index once it has 4 MB (SQLite's 1,000
pages), and then begins anew."""

_LOW = 4
"""The reserve is given up when less than a quarter of it is free beside it: more than one transaction needs."""

_LOOK_SECONDS = 1.0


class Reserve:
    """The reserve of the index in ``file``; none for an index in memory."""

    def __init__(self, file: Path | None) -> None:
        self._path = None if file is None else file.with_name(f"{file.name}-reserve")
        self._due = 0.0

    @property
    def shortage(self) -> str:
        """What is missing, as a sentence without a full stop; "" while there is room."""
        free, size = self._read_room()
        if free >= size // _LOW or self._is_there():
            return ""
        return f"the disk of the index is full: {free:,} bytes are free"

    def take(self) -> None:
        """Take the reserve where there is room for it twice. It is tried again, so a failure is none."""
        free, size = self._read_room()
        if self._path is None or self._is_there() or free < 2 * size:
            return
        try:
            _allocate(self._path, size)
        except OSError as error:
            logger.info("there is no reserve for the index: %s", describe_os_error(error))
            self.give_up()
        else:
            logger.info("a reserve of %d bytes is kept for the index", size)

    def make_room(self) -> None:
        """Give the reserve up where the disk is nearly full: to be called before each transaction. It looks once a
        second: what finds the disk full before gives it up, too (``Commits``)."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _LOOK_SECONDS
        free, size = self._read_room()
        if free < size // _LOW and self.give_up():
            logger.warning(
                "the disk of the index is full; its reserve is given up, so that instances can be deleted. Make room"
            )

    def give_up(self) -> bool:
        """Whether there was one."""
        if self._path is None:
            return False
        with suppress(OSError):
            os.unlink(self._path)
            return True
        return False

    def _is_there(self) -> bool:
        return self._path is None or os.path.exists(self._path)

    def _read_room(self) -> tuple[int, int]:
        """Free bytes, and those of a reserve on this disk; as if there were enough where it does not say."""
        try:
            found = os.statvfs(self._path.parent if self._path is not None else "/")
        except OSError:
            return 2 * RESERVE, RESERVE
        if not found.f_blocks:
            return 2 * RESERVE, RESERVE
        return found.f_bavail * found.f_frsize, min(RESERVE, found.f_blocks * found.f_frsize // SHARE)


def _allocate(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:  # macOS has none
            os.write(fd, os.urandom(size))
        os.fsync(fd)
    finally:
        os.close(fd)
