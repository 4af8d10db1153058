"""Small files and names that outlive a crash of the system.

A sync of a new file does not make its name durable, and a name that was removed may come back: both are so once the
directory is synced, and a new directory has a name in the one above it, too (fsync(2)).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Return when the names in a directory are on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_names(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Return when the bytes of a file are on the disk; its name need not be. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_names(fd: int) -> None:
    """The same for an open directory."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems keep names by themselves and have no such call
            raise


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory, and those above it, unless they are there; durable on return. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for each in missing:
        with suppress(PermissionError):  # one that may be written, but not opened
            sync_directory(each.parent)


def replace_file(path: Path, temporary: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file as a whole, by way of ``temporary`` beside it; durable on return. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(temporary, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file, where it is there; durable on return. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    sync_directory(path.parent)
