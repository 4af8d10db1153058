"""Room that instances leave free on their disk: for the index, which must be able to write that some were deleted."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator

_LEFT_FREE, _SHARE = 5 << 20, 8
"""Bytes, and no more than an eighth of a small disk. The write-ahead log of the index has some 4 MB. It is more than
the reserve of the index (``index.reserve``), so that instances do not take what was given up for it."""

_STEP, _WRITERS = 1 << 20, 32
"""Bytes that a writer writes between two looks, each of which takes some microseconds; fewer on a disk that is nearly
full, where so many writers may write at a time."""


def read_room(root: bytes) -> tuple[int, int] | None:
    """(free, left free) bytes on the disk of a directory; None where it does not say: some file systems of libfuse
    report no blocks at all."""
    try:
        found = os.statvfs(root)
    except OSError:
        return None
    if not found.f_blocks:
        return None
    return found.f_bavail * found.f_frsize, min(_LEFT_FREE, found.f_blocks * found.f_frsize // _SHARE)


class Room:
    """What one writer may write before it looks at the disk again. Safe to use from many threads."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._left = 0

    def take(self, size: int) -> None:
        """So many bytes are to be written. Raises OSError (ENOSPC) where the disk would be full with them."""
        with self._lock:
            self._left -= size
            if self._left >= 0:
                return
            self._left = 0
        room = read_room(self._root)
        if room is None:
            return
        spare = room[0] - room[1] - size
        if spare < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self._lock:
            self._left = min(_STEP, spare // _WRITERS)

    def take_each(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks. Raises OSError (ENOSPC) once the disk is full."""
        for chunk in chunks:
            self.take(len(chunk))
            yield chunk
