"""The segments of one writer on their way into a bucket: one is filled while full ones are sent."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from gantry.beats import beat_again
from gantry.errors import FailedPrecondition, StatusError
from gantry.resources import Uids
from gantry.storage.extents import SUFFIX, align
from gantry.storage.group_commit import BROKEN_OFF
from gantry.storage.new_names import NewNames
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_segments import Segment
from gantry.storage.remote.retrying import count_repeats
from gantry.worker_calls import LISTEN_SECONDS

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 8 << 20
"""Measured (docs/decisions/0021-blobs-in-buckets.md). An instance has less, so each finds room in an empty one."""

MOST_SENT = 3
"""Full segments of a writer on their way at a time: each is held in memory."""

MOST_FLUSHES = 2
"""Flushes of a writer on their way at a time, each with what was gathered since the last one: more of them take more
requests, and make smaller segments, for the same instances."""

_CLOSED = "the writer is closed"


class Taken(NamedTuple):
    """What one flush has to send, and what other flushes send meanwhile."""

    mine: list[Segment]
    others: list[Segment]


class Sending:
    """Safe to use from many threads."""

    def __init__(self, bucket: BlobBucket, names: NewNames) -> None:
        self._bucket, self._names = bucket, names
        self._changed = threading.Condition()
        self._current: Segment | None = None
        self._sent: list[Segment] = []  # on their way or there, and nobody has flushed since
        self._running: set[Segment] = set()
        self._flushing: set[Segment] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False
        self.is_late = False  # a segment may come into the bucket that was given up, or once more
        self.durable: list[str] = []
        self.lost: list[str] = []  # keys of segments of which nobody knows whether they are in the bucket

    def append(self, data: bytes, uids: Uids, crc32c: int) -> tuple[Segment, str]:
        """The key of an instance of less than SEGMENT_BYTES. Waits while too many segments are on their way. Raises
        FailedPrecondition after ``close``."""
        with self._changed:
            while self._is_full(len(data)):
                self._make_room()
            self._require_open()
            if self._current is None:
                self._current = Segment(self._names.make(SUFFIX))
            return self._current, self._current.append(data, uids, crc32c)

    def _is_full(self, length: int) -> bool:
        return self._current is not None and self._current.end + align(length) > SEGMENT_BYTES

    def _make_room(self) -> None:
        if len(self._running) >= MOST_SENT:
            beat_again()
            self._changed.wait(LISTEN_SECONDS)
        elif self._current is not None:
            segment, self._current = self._current, None
            self._start(segment)

    def _start(self, segment: Segment) -> None:
        """Where there is no thread for it, whoever flushes sends it: nobody else then, though the pool has it."""
        self._sent.append(segment)
        self._threads = self._threads or ThreadPoolExecutor(MOST_SENT, "segments")
        segment.is_sent = True
        self._running.add(segment)
        try:
            self._threads.submit(self._run, segment)
        except RuntimeError:
            logger.warning("a segment waits for its flush: no thread can be started")
            segment.is_sent = False
            self._running.discard(segment)

    def _run(self, segment: Segment) -> None:
        with self._changed:
            if segment not in self._running:
                return
        try:
            self._send(segment)
        finally:
            with self._changed:
                self._running.discard(segment)
                self._changed.notify_all()

    def _send(self, segment: Segment) -> None:
        error: StatusError | None = BROKEN_OFF
        repeats = count_repeats()
        try:
            if data := segment.seal():
                self._bucket.put_new(segment.key, data)
            error = None
            with self._changed:
                segment.is_sent = bool(data)
        except StatusError as failed:
            error = failed
        except Exception:
            logger.exception("a segment could not be sent")
        finally:
            self.is_late |= error is not None or count_repeats() != repeats
            segment.settle(error)

    def take(self) -> Taken:
        """What is to be sent, or is sent and was not flushed; and what was flushed and is not there yet."""
        with self._changed:
            mine, self._sent = self._sent, []
            if self._current is not None:
                mine.append(self._current)
                self._current = None
            taken = Taken(mine, list(self._flushing))
            self._flushing.update(mine)
        return taken

    def sync(self, taken: Taken) -> None:
        """Return when all of them are in the bucket. Raises the error of one that may not be."""
        for segment in taken.mine:
            if not segment.is_sent:
                self._send(segment)
        for segment in (*taken.mine, *taken.others):
            while not segment.ended.wait(LISTEN_SECONDS):
                beat_again()
        for segment in (*taken.mine, *taken.others):
            if segment.error is not None:
                raise segment.error

    def settle(self, taken: Taken) -> None:
        """After the sync, whether it succeeded or not."""
        with self._changed:
            self._flushing.difference_update(taken.mine)
        for segment in taken.mine:
            if not segment.ended.is_set():
                segment.settle(BROKEN_OFF)  # others may wait for it
            if segment.error is not None:
                self.lost.append(segment.key)
            elif segment.is_sent:
                self.durable.append(segment.key)

    def close(self) -> list[str]:
        """The keys of what may be in the bucket and was not flushed."""
        with self._changed:
            self._closed = True
            current, self._current = self._current, None
            self._changed.wait_for(lambda: not self._running)
        if self._threads is not None:
            self._threads.shutdown()
        unflushed = [*self._sent, *([current] if current is not None else [])]
        left = [segment.key for segment in unflushed if segment.is_sent]
        for segment in unflushed:
            segment.settle(segment.error or FailedPrecondition(_CLOSED))
        return [*left, *self.lost]

    def _require_open(self) -> None:
        if self._closed:
            raise FailedPrecondition(_CLOSED)
