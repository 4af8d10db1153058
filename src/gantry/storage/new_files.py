"""New files that nobody else writes to, and the syncing of their names."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from itertools import count

from gantry.errors import StatusError
from gantry.storage.beneath import create_beneath
from gantry.storage.directory_syncs import sync_directories
from gantry.storage.local import LocalBlobStore

logger = logging.getLogger(__name__)

_CREATE = os.O_RDWR | os.O_EXCL


class NewFiles:
    """Makes files whose names begin with ``prefix``, a path below the store's directory, and never repeat.

    Safe to use from many threads.
    """

    def __init__(self, store: LocalBlobStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._numbers = count()
        self._lock = threading.Lock()
        self._changed: set[bytes] = set()

    def create(self, suffix: str) -> tuple[str, int]:
        """The key of a new file, and a descriptor to write and read it. Raises OSError, InvalidArgument, DiskAway."""
        key = f"{self._prefix}{next(self._numbers):04d}-{secrets.token_hex(8)}{suffix}"
        name = self._store.name_to_write(key)
        root = self._store.open_root()
        try:
            fd = create_beneath(root, name, _CREATE)
        finally:
            os.close(root)
        with self._lock:
            self._changed.add(name.rpartition(b"/")[0])
        return key, fd

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

    def remove(self, key: str) -> bool:
        """Whether a file that no row names is gone."""
        try:
            self._store.delete(key)
        except StatusError as error:
            logger.warning("%s was not finished, but cannot be deleted: %s", key, error.message)
            return False
        return True
