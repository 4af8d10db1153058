"""Bytes that outlive a crash of the system, and the files that hold them while they are written."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from gantry.errors import StatusError
from gantry.storage.roots import Identity

_WRITE = 0x02  # SYNC_FILE_RANGE_WRITE
_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Part:
    """A file that a writer writes, in the directory ``made_in``. ``error`` is why nobody knows which of its last bytes
    are on the disk."""

    def __init__(self, key: str, fd: int, made_in: Identity) -> None:
        self.key, self.fd, self.made_in = key, fd, made_in
        self.error: StatusError | None = None


class NotKept(OSError):
    """A sync failed: nobody knows what of that which was written is on the disk."""


def sync_file(fd: int) -> None:
    """Return when the bytes of a file are on disk. Raises NotKept."""
    try:
        _fdatasync(fd)
    except OSError as error:
        raise NotKept(error.errno, "the sync failed") from None


def start_writing(fd: int, offset: int = 0, length: int = 0) -> None:
    """Let the disk begin with a range that is to be synced later; a ``length`` of 0: all to the end.

    It promises nothing: what fails here is reported by the sync (sync_file_range(2)).
    """
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _WRITE)


def sync_file_system(fd: int) -> None:
    """Return when all that was written to the file system of a descriptor is on the disk. Raises OSError."""
    if _syncfs is None:
        os.sync()
    elif _syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _load(name: str, *types: Any) -> Callable[..., int] | None:
    """A function that Python has no name for; None where the system does not have it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    function.argtypes = types
    call: Callable[..., int] = function
    return call


_sync_file_range = _load("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_syncfs = _load("syncfs", ctypes.c_int)


def most_file_bytes() -> int:
    """How large a file of this process may be; 0 for no limit but that of the file system."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return 0 if most == resource.RLIM_INFINITY else most
