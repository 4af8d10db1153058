"""How much room the disk of a directory has. A disk that gives no answer is left behind, by one thread however often it
is asked."""

from __future__ import annotations

import os

from gantry.api.looking import Look
from gantry.system_errors import describe_os_error


class Room:
    """``total`` and ``free`` in bytes, for the server's user; None where the file system does not say."""

    def __init__(self, root: str) -> None:
        """Raises OSError."""
        found = os.statvfs(root)
        self.device = os.stat(root).st_dev
        self.total = found.f_blocks * found.f_frsize or None  # some file systems of libfuse report no blocks at all
        self.free = found.f_bavail * found.f_frsize if self.total else None


class Disk:
    """Of a directory. ``room`` is what the last look found, None before it and where it found no room."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.room: Room | None = None
        self.look = Look(self._read)

    def _read(self) -> list[str]:
        try:
            self.room = Room(self._root)
        except OSError as error:
            self.room = None
            return [describe_os_error(error)]
        return []
