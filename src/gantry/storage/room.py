"""Room that instances leave free on their disk: for the index, which must be able to write that some were deleted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

_LEFT_FREE, _SHARE = 5 << 20, 8
"""Bytes, and no more than an eighth of a small disk. The write-ahead log of the index has some 4 MB. It is more than
the reserve of the index (``index.reserve``), so that instances do not take what was given up for it."""

_STEP = 1 << 20
"""Bytes of a long instance between two looks. A look takes some microseconds."""


def read_room(root: bytes) -> tuple[int, int] | None:
    """(free, left free) bytes on the disk of a directory; None where it does not say."""
    try:
        found = os.statvfs(root)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize, min(_LEFT_FREE, found.f_blocks * found.f_frsize // _SHARE)


def require_room(root: bytes, size: int = 0) -> None:
    """Raises OSError (ENOSPC) where the disk would be full with so many more bytes."""
    room = read_room(root)
    if room is not None and room[0] - size < room[1]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leave_room(root: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks. Raises OSError (ENOSPC) once the disk is full."""
    left = 0
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            require_room(root, len(chunk))
            left = _STEP
        yield chunk
