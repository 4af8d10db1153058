"""New files that nobody else writes to, and the syncing of their names."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection

from gantry.durable_files import sync_names
from gantry.errors import StatusError
from gantry.storage.beneath import create_beneath, open_directory
from gantry.storage.durable import NotKept
from gantry.storage.local import LocalBlobStore
from gantry.storage.new_names import NewNames
from gantry.storage.roots import Identity

logger = logging.getLogger(__name__)

_CREATE = os.O_RDWR | os.O_EXCL


class NewFiles:
    """Makes files whose names begin with ``prefix``, a path below the store's directory, and never repeat.

    Safe to use from many threads.
    """

    def __init__(self, store: LocalBlobStore, prefix: str) -> None:
        self._store, self._names = store, NewNames(prefix)
        self._lock = threading.Lock()
        self._changed: set[bytes] = set()
        self._removed: set[str] = set()
        self._left: set[str] = set()

    def create(self, suffix: str) -> tuple[str, int, Identity]:
        """The key of a new file, a descriptor to write and read it, and the store's directory that it is made in.
        Raises OSError, InvalidArgument, DiskAway."""
        key = self._names.make(suffix)
        name = self._store.name_to_write(key)
        root, made_in = self._store.open_root()
        try:
            fd = create_beneath(root, name, _CREATE)
        finally:
            os.close(root)
        with self._lock:
            self._changed.add(name.rpartition(b"/")[0])
        return key, fd, made_in

    def sync_names(self) -> None:
        """Return when the names of all files made so far are on disk: all directories that lead to them are synced,
        for any of them may be new. Raises NotKept; the next call tries again what this one has not synced, for a
        file that is still being written is not known to those who wait for this call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        try:
            sync_directories(self._store.root, changed)
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise

    def remove(self, key: str) -> None:
        """Remove a file that no row names; it is gone for good after ``sync_removed``. One that cannot be removed is
        among those that ``remove_left`` tries once more."""
        try:
            self.remove_or_raise(key)
        except StatusError as error:
            logger.warning("%s is not in use, but cannot be deleted now: %s", key, error.message)

    def remove_or_raise(self, key: str) -> None:
        """The same. Raises StatusError where it cannot be removed now."""
        self._left.add(key)
        self._store.delete(key)
        self._removed.add(key.rpartition("/")[0])
        self._left.discard(key)

    def remove_left(self) -> tuple[str, ...]:
        """Try once more; the keys of what cannot be removed now, for whoever lists garbage."""
        for key in sorted(self._left):
            self.remove(key)
        return tuple(sorted(self._left))

    def sync_removed(self) -> None:
        """Return when nothing that was removed can come back. Raises StatusError."""
        self._store.sync_removed(self._removed)


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
        sync_names(fd)
    finally:
        os.close(fd)
