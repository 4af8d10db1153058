"""Segments: files that instances share. One writer appends to one of them until it is full, then to the next."""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import NamedTuple

import google_crc32c

from gantry.checksums import require_sum
from gantry.errors import Aborted, DiskAway, FailedPrecondition
from gantry.resources import Uids
from gantry.storage.contents import Row, encode_table
from gantry.storage.durable import Part, most_file_bytes, start_writing, sync_file
from gantry.storage.extents import SUFFIX, Extent, align
from gantry.storage.holes import free_range
from gantry.storage.new_files import NewFiles
from gantry.storage.roots import Identity
from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 64 << 20
"""Measured (docs/decisions/0016-segments.md): from 32 MiB on the creation of a file does not show any more."""

WRITE_BEHIND_BYTES = 8 << 20
"""So much is handed to the disk at once while the next is written: the sync at the end finds little left."""

_FOR_TABLES = 8  # one part in so many of the largest file is kept free for tables of contents


class Segment(Part):
    """``end`` is where the next thing begins. ``rows`` are whole instances that stand in no table yet.

    ``lost`` are those of a sync that failed; ``is_given_up`` says that it has failed, and what was in it is known.
    """

    def __init__(self, key: str, fd: int, made_in: Identity) -> None:
        super().__init__(key, fd, made_in)
        self.end = 0
        self.started = 0
        self.writing = 0
        self.rows: list[Row] = []
        self.lost: list[Row] = []
        self.is_durable = False  # it has a table on disk
        self.is_given_up = False
        self.is_freed = False  # a part of it, and no sync has followed

    @property
    def is_removed(self) -> bool:
        """Whether its file has lost its name: nobody would find again what is written to it."""
        return self.fd >= 0 and os.fstat(self.fd).st_nlink == 0

    def reserve(self, length: int) -> int:
        """The offset of so many bytes."""
        offset, self.end = self.end, align(self.end + length)
        return offset

    def free(self, offset: int, length: int) -> None:
        """Raises OSError."""
        free_range(self.fd, offset, align(length))
        self.is_freed = True

    def sync_freed(self) -> None:
        """Raises NotKept."""
        if self.is_freed and self.is_durable and self.fd >= 0:
            sync_file(self.fd)

    def free_lost(self) -> None:
        """Free what stands in no table that is on disk; for good after ``sync_freed``."""
        rows, self.rows, self.lost = (*self.rows, *self.lost), [], []
        for row in rows:
            try:
                self.free(row.offset, row.length)
            except OSError as error:
                logger.warning("%s: what was not finished keeps its place: %s", self.key, describe_os_error(error))

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Step(NamedTuple):
    """A table that is to be written, and its rows."""

    segment: Segment
    rows: list[Row]
    offset: int
    table: bytes


class Segments:
    """The segments of one writer. Safe to use from many threads: bytes are written outside of the lock.

    An instance has at most ``most_bytes``, in whole blocks.
    """

    def __init__(self, files: NewFiles) -> None:
        self._files = files
        self.most_bytes = _most_segment_bytes()
        self._lock = threading.Condition()
        self._current: Segment | None = None
        self._all: list[Segment] = []
        self._closed = False

    def append(
        self, chunks: Iterable[bytes], length: int, uids: Uids, written: int | None = None
    ) -> tuple[Segment, str]:
        """Write an instance of at most ``most_bytes``; its key. ``written`` is the CRC32C that it has to have, if any.

        Raises what ``chunks`` raise, Aborted where they do not have ``length`` bytes, DataLoss where they have another
        CRC32C, OSError, FailedPrecondition after ``close``, and the error of a sync that failed meanwhile.
        """
        segment, offset = self._reserve(length)
        try:
            crc = _write(segment.fd, chunks, offset, length)
            require_sum(crc, written)
        except BaseException:
            self._give_back(segment, offset, length)
            raise
        self._complete(segment, Row(offset, length, uids, crc))
        self._write_behind(segment)
        return segment, str(Extent(segment.key, offset, length))

    def _reserve(self, length: int) -> tuple[Segment, int]:
        with self._lock:
            if self._closed:
                raise FailedPrecondition("the writer is closed")
            segment = self._with_room(length)
            segment.writing += 1
            return segment, segment.reserve(length)

    def _complete(self, segment: Segment, row: Row) -> None:
        with self._lock:
            (segment.rows if segment.error is None else segment.lost).append(row)
            self._end_write(segment)
            if segment.error is not None:
                raise copy.copy(segment.error)

    def _write_behind(self, segment: Segment) -> None:
        with self._lock:
            fd, start, end = segment.fd, segment.started, segment.end
            if end - start < WRITE_BEHIND_BYTES or fd < 0:
                return
            segment.started = end
        start_writing(fd, start, end - start)  # may wait for the disk, so others must be able to go on

    def _end_write(self, segment: Segment) -> None:
        segment.writing -= 1
        self._close_failed(segment)
        self._lock.notify_all()

    def _with_room(self, length: int) -> Segment:
        current = self._current
        is_full = current is not None and current.end + align(length) > self.most_bytes
        if current is None or current.error is not None or is_full or self._is_lost(current):
            current = self._current = Segment(*self._files.create(SUFFIX))
            self._all.append(current)
        return current

    def _is_lost(self, segment: Segment) -> bool:
        """Looked at once per sync, by the first instance after it; ``sync`` looks again."""
        return not segment.rows and not segment.writing and segment.is_removed

    def _give_back(self, segment: Segment, offset: int, length: int) -> None:
        """Nothing of a write that failed stays: its range is a hole, or the place of the next instance."""
        with suppress(OSError):
            segment.free(offset, length)
        with self._lock:
            self._end_write(segment)
            if segment.end == align(offset + length):
                segment.end = offset

    def discard(self, extent: Extent) -> None:
        """Keep an instance out of the next table; a table that is written already still lists it."""
        with self._lock:
            for segment in self._all:
                if segment.key == extent.segment:
                    segment.rows = [row for row in segment.rows if row.offset != extent.offset]

    def take(self) -> list[Step]:
        """What is to be synced now. A segment whose sync has failed is given up, with all that has come since: whoever
        wrote that is given the error, and its file closes when the last of them ends."""
        with self._lock:
            due = [segment for segment in self._all if segment.rows and segment.error is None]
            # All of them first: where memory is short for one, the next flush must find the rows of all.
            tables = [encode_table(segment.key, segment.rows, segment.end) for segment in due]
            return [self._step(segment, table) for segment, table in zip(due, tables, strict=True)]

    def _step(self, segment: Segment, table: bytes) -> Step:
        rows, segment.rows = segment.rows, []
        return Step(segment, rows, segment.reserve(len(table)), table)

    def sync(self, taken: list[Step]) -> None:
        """Raises OSError, DiskAway."""
        for step in taken:
            if step.segment.is_removed:
                logger.error("%s was removed by another program while it was written to", step.segment.key)
                raise DiskAway("a file of stored instances was removed by another program while it was written to")
            write_at(step.segment.fd, step.table, step.offset)
        for step in taken:
            sync_file(step.segment.fd)

    def settle(self, taken: list[Step]) -> None:
        """After the sync, whether it succeeded or not."""
        with self._lock:
            for segment, rows, _, _ in taken:
                if segment.error is None:
                    segment.is_durable = True
                else:
                    segment.lost += rows
                    segment.is_given_up = True
                    self._close_failed(segment)
            self._close_files()

    def _close_files(self) -> None:
        """Of segments that are full and on disk."""
        for segment in self._all:
            if segment is not self._current and segment.error is None and not (segment.writing or segment.rows):
                segment.close()

    def _close_failed(self, segment: Segment) -> None:
        """A disk that refuses every sync costs no descriptor for each."""
        if segment.is_given_up and not segment.writing:
            segment.free_lost()
            segment.close()

    def close(self) -> tuple[str, ...]:
        """The keys of the segments that have something on disk. The others are removed, and all that is in no table.
        Raises NotKept."""
        with self._lock:
            self._closed = True
            self._lock.wait_for(lambda: not any(segment.writing for segment in self._all))
        with ExitStack() as files:
            for segment in self._all:
                files.callback(segment.close)
                segment.free_lost()
                segment.sync_freed()
        for each in self._all:
            if not each.is_durable:
                self._files.remove(each.key)
        return tuple(each.key for each in self._all if each.is_durable)


def _write(fd: int, chunks: Iterable[bytes], offset: int, length: int) -> int:
    """The CRC32C of what was written."""
    crc = written = 0
    for chunk in chunks:
        if written + len(chunk) > length:
            raise Aborted(f"more than {length} bytes came")
        write_at(fd, chunk, offset + written)
        crc = google_crc32c.extend(crc, chunk)
        written += len(chunk)
    if written < length:
        raise Aborted(f"{written} bytes came where there should be {length}")
    return crc


def write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _most_segment_bytes() -> int:
    """Where a segment is full: less where the process may not write files as large as that."""
    most = most_file_bytes()
    return min(SEGMENT_BYTES, most - most // _FOR_TABLES) if most else SEGMENT_BYTES
