"""Parts of files as objects: opening them, and freeing them where nobody reads them.

Whoever opens a range holds a shared lock on it, whoever frees it needs the lock alone. So a reader goes on reading what
it has opened, and never reads the zeros of a range that was freed. Where there are no such locks (``range_locks``), a
reader looks at the beginning of the range once more when it is done, and reports Aborted.
"""

from __future__ import annotations

import errno
import os
import stat

from gantry.errors import Aborted, DataLoss, FailedPrecondition, NotFound, StatusError, Unavailable
from gantry.storage.beneath import open_beneath
from gantry.storage.extents import Extent
from gantry.storage.freed import is_freed
from gantry.storage.holes import free_range
from gantry.storage.local_objects import LocalObject
from gantry.storage.own_files import translate_stored_error
from gantry.storage.range_locks import Lock, claim, share

GONE = (errno.ENOENT, errno.ENOTDIR)
_READ = os.O_RDONLY | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_NONBLOCK


class LocalExtent(LocalObject):
    """A range of an open file."""

    def __init__(self, fd: int, extent: Extent) -> None:
        super().__init__(fd, str(extent))
        self._file_bytes = self.size
        self.base, self.size = extent.offset, extent.length
        self._lock = Lock.ABSENT

    def lock(self) -> None:
        """Raises NotFound where the range was freed, or is being freed."""
        if not self.is_file or self.base + self.size > self._file_bytes or not self.size:
            raise NotFound("no such object")
        self._lock = share(self.fd, self.base, self.size)
        if self._lock is Lock.REFUSED or is_freed(self, 0, self.size):
            raise NotFound("no such object")

    def read_at(self, offset: int, length: int) -> bytes:
        return super().read_at(offset, max(0, min(length, self.size - offset)))

    def translate(self, error: OSError) -> StatusError:
        return translate_stored_error(error)

    def check_whole(self, read: int) -> None:
        """The file may grow, and lose other ranges: that is no change of this object."""
        if read != self.size:
            raise DataLoss(f"only {read} of {self.size} bytes could be read")
        if self._lock is Lock.ABSENT and is_freed(self, 0, self.size):
            raise Aborted("was deleted while it was read")


def open_extent(root: bytes, name: bytes, extent: Extent) -> LocalExtent:
    """``name`` is the path of the segment below ``root``. Raises OSError, NotFound, Unavailable."""
    opened = LocalExtent(open_beneath(root, name, _READ), extent)
    try:
        opened.lock()
    except BaseException:
        opened.close()
        raise
    return opened


def free_extent(root: bytes, name: bytes, extent: Extent) -> None:
    """Give the blocks of a range back. Raises OSError, Unavailable while somebody reads it."""
    fd = open_to_free(root, name)
    try:
        free_locked(fd, extent.offset, extent.end, str(extent))
    finally:
        os.close(fd)


def open_to_free(root: bytes, name: bytes) -> int:
    """Raises OSError."""
    return open_beneath(root, name, _WRITE)


def free_locked(fd: int, start: int, end: int, key: str) -> None:
    """Raises OSError, Unavailable while somebody reads a part of it. The lock ends when ``fd`` is closed."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise FailedPrecondition(f"{key}: something that is no regular file stands in the place of its segment")
    if claim(fd, start, end - start) is Lock.REFUSED:
        raise Unavailable(f"{key}: is being read", advice="it can be deleted when that has ended")
    free_range(fd, start, end - start)
