"""The temporary files of one writer in a directory tree: what it leaves where it is killed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from gantry.durable_files import sync_names
from gantry.storage.beneath import open_directory
from gantry.storage.local_listing import SLICE, TEMPORARY
from gantry.worker_calls import Check

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def remove_unfinished(root: bytes, base: bytes, suffix: bytes, levels: int, check: Check) -> None:
    """Remove them in ``base`` and in so many ``levels`` of directories below it; durable on return. Links are not
    followed. Raises the first OSError, after all others are removed."""
    below, failed = [(base, levels)], None
    while below:
        directory, left = below.pop()
        check()
        try:
            folders = _remove_here(root, directory, suffix, check)
        except OSError as error:
            if error.errno not in _GONE:
                failed = failed or error
        else:
            below += [(b"/".join(filter(None, (directory, name))), left - 1) for name in folders if left]
    if failed is not None:
        raise failed


def _remove_here(root: bytes, directory: bytes, suffix: bytes, check: Check) -> list[bytes]:
    """The names of the directories in this one."""
    folders, files = list[bytes](), list[bytes]()
    fd = open_directory(root, directory)
    try:
        with os.scandir(fd) as found:
            for number, entry in enumerate(found):
                if number % SLICE == 0:
                    check()
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif name.startswith(TEMPORARY) and name.endswith(suffix):
                    files.append(name)
        _unlink_all(fd, files)
    finally:
        os.close(fd)
    return folders


def _unlink_all(fd: int, names: list[bytes]) -> None:
    """Raises the last OSError, after all others are gone."""
    failed: OSError | None = None
    for name in names:
        try:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
        except OSError as error:
            failed = error
    if names:
        sync_names(fd)
    if failed is not None:
        raise failed
