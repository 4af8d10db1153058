"""Names of files that outlive a crash of the system: those that were made, and that others were removed."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection

from gantry.storage.beneath import open_directory
from gantry.storage.durable import NotKept


def sync_directories(root: bytes, names: Collection[bytes]) -> None:
    """Return when the names in these directories, and in those above them, are on disk. Raises NotKept."""
    for directory in sorted({above for each in names for above in _climb(each)}, reverse=True):
        try:
            _sync_directory(root, directory)
        except FileNotFoundError:
            pass  # all that lay in it is deleted already
        except OSError as error:
            raise NotKept(error.errno, "the sync failed") from None


def _climb(directory: bytes) -> list[bytes]:
    """The directory and those above it, the root too."""
    parts = directory.split(b"/") if directory else []
    return [b"/".join(parts[:length]) for length in range(len(parts) + 1)]


def _sync_directory(root: bytes, name: bytes) -> None:
    fd = open_directory(root, name)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems keep names by themselves and have no such call
            raise
    finally:
        os.close(fd)
