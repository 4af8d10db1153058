"""Writing instances into a directory: small ones share segments, large ones have a file of their own."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from gantry.errors import StatusError
from gantry.resources import Uids
from gantry.seams import OpenedObject
from gantry.storage.durable import Part
from gantry.storage.extents import align, parse_extent
from gantry.storage.group_commit import BROKEN_OFF, GroupCommit
from gantry.storage.local import LocalBlobStore, fill_from, translate_write_error, write_chunks
from gantry.storage.local_extents import CHECKED, looks_freed
from gantry.storage.new_files import NewFiles
from gantry.storage.own_objects import OwnObjects
from gantry.storage.segments import Segments, most_segment_bytes

OWN_BYTES = 2 << 20
"""Instances of so many bytes or more get a file of their own (docs/decisions/0016-segments.md)."""


class _Mine(threading.local):
    """The files that a thread has written to since its last flush."""

    def __init__(self) -> None:
        self.parts: set[Part] = set()


class LocalWriter:
    """``own_bytes``: the size from which an instance has a file of its own; 0 for all of them."""

    def __init__(self, store: LocalBlobStore, prefix: str, own_bytes: int = OWN_BYTES) -> None:
        self._store, self._prefix, self._own_bytes = store, prefix, own_bytes
        self._files = NewFiles(store, prefix)
        self._segments = Segments(self._files)
        self._own = OwnObjects(self._files)
        self._commit = GroupCommit(self._sync)
        self._mine = _Mine()

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        with self._errors():
            if uids is None:
                return self._write_own(lambda fd: write_chunks(fd, chunks))
            data, rest = _gather(chunks, self._own_bytes)
            if rest is None and self._goes_into_segment(data):
                return self._append(data, uids), len(data)
            return self._write_own(lambda fd: write_chunks(fd, chain((data,), rest or ())))

    def copy_from(self, source: OpenedObject, uids: Uids) -> str:
        with self._errors():
            if source.size < self._own_bytes:
                data = b"".join(source.chunks())
                if self._goes_into_segment(data):
                    return self._append(data, uids)
            return self._write_own(fill_from(source))[0]

    def discard(self, key: str) -> None:
        extent = parse_extent(key)
        if extent is not None:
            self._segments.discard(extent)
        self._store.delete(key)

    def flush(self) -> None:
        mine, self._mine.parts = self._mine.parts, set()
        self._commit.run()
        for part in mine:
            if part.error is not None:
                raise copy.copy(part.error)

    def close(self) -> tuple[str, ...]:
        self._own.close()
        return self._segments.close()

    def _goes_into_segment(self, data: bytes) -> bool:
        """A range that begins with nothing but zeros would look like one that was freed."""
        if len(data) >= self._own_bytes or align(len(data)) > most_segment_bytes():
            return False
        return not looks_freed(data[:CHECKED])

    def _append(self, data: bytes, uids: Uids) -> str:
        segment, key = self._segments.append(data, uids)
        self._mine.parts.add(segment)
        return key

    def _write_own(self, fill: Callable[[int], int]) -> tuple[str, int]:
        if self._own.is_full:
            self._commit.run()
        part, size = self._own.write(fill)
        self._mine.parts.add(part)
        return part.key, size

    def _sync(self) -> None:
        own, steps = self._own.take(), self._segments.take()
        try:
            with self._errors():
                self._own.sync(own)
                self._segments.sync(steps)
                self._files.sync_names()
        except BaseException as error:
            for part in (*own, *(step.segment for step in steps)):
                part.error = error if isinstance(error, StatusError) else BROKEN_OFF
            raise
        finally:
            self._own.settle(own)
            self._segments.settle(steps)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise translate_write_error(error, self._prefix) from None


def _gather(chunks: Iterable[bytes], most: int) -> tuple[bytes, Iterator[bytes] | None]:
    """The bytes of an object of less than ``most``; of a larger one those up to there, and the other chunks."""
    left = iter(chunks)
    held: list[bytes] = []
    size = 0
    while size < most:
        chunk = next(left, None)
        if chunk is None:
            return b"".join(held), None
        held.append(chunk)
        size += len(chunk)
    return b"".join(held), left
