"""Giving back the disk blocks of a part of a file (fallocate(2), FALLOC_FL_PUNCH_HOLE)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS)
_ZEROS = bytes(1 << 20)


def free_range(fd: int, offset: int, length: int) -> None:
    """The range reads as zeros from now on, and its whole blocks belong to nobody. Raises OSError.

    A file system without holes (vfat, some network file systems) keeps the blocks, with zeros in them.
    """
    if length <= 0:
        return
    number = fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, offset, length)
    if number in _NO_HOLES:
        _write_zeros(fd, offset, min(offset + length, os.fstat(fd).st_size))
    elif number:
        raise OSError(number, os.strerror(number))


def _write_zeros(fd: int, offset: int, end: int) -> None:
    while offset < end:
        offset += os.pwrite(fd, _ZEROS[: end - offset], offset)


def _load() -> Callable[[int, int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        # glibc has a second name for 64-bit offsets; musl has 64-bit offsets only.
        function = getattr(library, "fallocate64", None) or library.fallocate
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int
    call: Callable[[int, int, int, int], int] = function
    return call


_function = _load()


def fallocate(fd: int, mode: int, offset: int, length: int) -> int:
    """0, or the number of the error."""
    if _function is None:
        return errno.ENOSYS
    while _function(fd, mode, offset, length) != 0:
        if (number := ctypes.get_errno()) != errno.EINTR:
            return number
    return 0
