"""Who may take the room of the disk of temporary files: several processes together, or one of them alone.

Two objects for which the disk has room one after the other may have none at the same time. Then one of them waits.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress

from gantry.calls_that_hang import find_check
from gantry.storage.remote.retrying import wait

WAIT_SECONDS = 600.0
"""For others to have done with what they have unpacked; then it goes on as if nobody was there. Whoever can see the
directory can lock it."""
_BETWEEN = 0.2  # seconds between two attempts to get the lock


class Turn:
    """A lock of the directory of temporary files, which ends with its process (flock(2)). Where the file system has no
    locks, all have their turn."""

    def __init__(self) -> None:
        self._file = -1
        self._is_alone = False

    def begin(self) -> None:
        """Returns once nobody is alone. A turn that has begun goes on."""
        if self._file < 0:
            with suppress(OSError):
                self._file = os.open(tempfile.gettempdir(), os.O_RDONLY | os.O_CLOEXEC)
                self._lock(fcntl.LOCK_SH)

    def wait_alone(self) -> bool:
        """Returns once no other turn has begun; False where it was alone before, or cannot be, or others do not end."""
        if self._file < 0 or self._is_alone:
            return False
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._is_alone = self._lock(fcntl.LOCK_EX)
        return self._is_alone

    def _lock(self, kind: int) -> bool:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            try:
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                wait(_BETWEEN, find_check())
            else:
                return True
        return False

    def end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
