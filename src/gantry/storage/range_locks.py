"""Locks on a range of bytes of an open file, held until the descriptor is closed.

They hold between threads as well as between processes. Linux has them as open file description locks (fcntl(2)). Where
the system or the file system has none (macOS, some network file systems), nobody is kept out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from enum import Enum

_SET = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform.startswith("linux") else None
_TAKEN = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class Lock(Enum):
    HELD = "held"
    REFUSED = "refused"  # somebody else has a lock that this one does not go with
    ABSENT = "absent"  # there are no such locks here


def share(fd: int, offset: int, length: int) -> Lock:
    """A lock that others may share. ``length`` is at least 1. Raises OSError."""
    return _lock(fd, fcntl.F_RDLCK, offset, length)


def claim(fd: int, offset: int, length: int) -> Lock:
    """A lock for one alone; ``fd`` is open for writing. Raises OSError."""
    return _lock(fd, fcntl.F_WRLCK, offset, length)


def _lock(fd: int, kind: int, offset: int, length: int) -> Lock:
    if _SET is None:
        return Lock.ABSENT
    try:
        fcntl.fcntl(fd, _SET, struct.pack("hhqqi", kind, os.SEEK_SET, offset, length, 0))  # struct flock
    except OSError as error:
        if error.errno in _TAKEN:
            return Lock.REFUSED
        if error.errno in _NO_LOCKS:
            return Lock.ABSENT
        raise
    return Lock.HELD
