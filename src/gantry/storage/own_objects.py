"""Instances with a file of their own, many of them synced together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gantry.errors import FailedPrecondition
from gantry.storage.durable import Part, start_writing, sync_file
from gantry.storage.new_files import NewFiles

SUFFIX = ".dcm"
MOST_OPEN = 64
"""Files that stay open until they are synced: with 1,024 descriptors (the usual limit) several writers have room."""

SYNCS = 8
"""Syncs at a time: file systems put those that wait together into one commit. One after the other, 512 files of 39 kB
take 2.6 times as long."""


class OwnObjects:
    """The files of one writer. Safe to use from many threads."""

    def __init__(self, files: NewFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._written: list[Part] = []  # whole, not synced yet
        self._lost: list[Part] = []  # the sync failed
        self._closed = False

    @property
    def is_full(self) -> bool:
        return len(self._written) >= MOST_OPEN

    def write(self, fill: Callable[[int], int]) -> tuple[Part, int]:
        """A new file with what ``fill`` writes to its descriptor; the number of bytes. Raises what ``fill`` raises,
        OSError."""
        part = Part(*self._files.create(SUFFIX))
        try:
            size = fill(part.fd)
            start_writing(part.fd)
            self._keep(part)
        except BaseException:
            os.close(part.fd)
            self._files.remove(part.key)
            raise
        return part, size

    def _keep(self, part: Part) -> None:
        with self._lock:
            if self._closed:
                raise FailedPrecondition("the writer was closed meanwhile")
            self._written.append(part)

    def discard(self, key: str) -> None:
        """Close a file that is to be deleted: the disk keeps its bytes as long as it is open."""
        with self._lock:
            found = [part for part in self._written if part.key == key]
            self._written = [part for part in self._written if part.key != key]
        for part in found:
            os.close(part.fd)

    def take(self) -> list[Part]:
        """What is to be synced now."""
        with self._lock:
            taken, self._written = self._written, []
        return taken

    def sync(self, taken: list[Part]) -> None:
        """Raises Unavailable."""
        if len(taken) < 2:
            for part in taken:
                sync_file(part.fd)
            return
        with ThreadPoolExecutor(min(SYNCS, len(taken))) as pool:
            for done in [pool.submit(sync_file, part.fd) for part in taken]:
                done.result()

    def settle(self, taken: list[Part]) -> None:
        """After the sync, whether it succeeded or not."""
        for part in taken:
            with suppress(OSError):  # the sync has said what was kept
                os.close(part.fd)
        with self._lock:
            self._lost += [part for part in taken if part.error is not None]

    def close(self) -> None:
        """Remove what was not synced."""
        self._closed = True
        written = self.take()
        for part in written:
            os.close(part.fd)
        for part in (*written, *self._lost):
            self._files.remove(part.key)
