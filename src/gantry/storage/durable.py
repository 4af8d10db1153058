"""Bytes that outlive a crash of the system, and the files that hold them while they are written."""

from __future__ import annotations

import os
import resource

from gantry.errors import StatusError, Unavailable
from gantry.system_errors import describe_os_error

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Part:
    """A file that a writer writes. ``error`` is why nobody knows which of its last bytes are on the disk."""

    def __init__(self, key: str, fd: int) -> None:
        self.key, self.fd = key, fd
        self.error: StatusError | None = None


def sync_file(fd: int) -> None:
    """Return when the bytes of a file are on disk. Raises Unavailable."""
    try:
        _fdatasync(fd)
    except OSError as error:
        raise refused(error) from None


def most_file_bytes() -> int:
    """How large a file of this process may be; 0 for no limit but that of the file system."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return 0 if most == resource.RLIM_INFINITY else most


def refused(error: OSError) -> Unavailable:
    return Unavailable(f"the disk refused to keep what was written: {describe_os_error(error)}")
