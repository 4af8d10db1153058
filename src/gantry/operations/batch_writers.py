"""Where a batch writes the bytes of its instances, and what workers that died have left of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from gantry.errors import DiskAway, StatusError
from gantry.late_writes import make_late
from gantry.resources import Batch, ObjectMeta
from gantry.seams import (
    Blobs,
    BlobWriter,
    Seams,
    without_gaps,
)
from gantry.storage.extents import object_of, parse_extent
from gantry.worker_calls import count_attempts

logger = logging.getLogger(__name__)

Out = TypeVar("Out")
Call = TypeVar("Call", bound=Future[Any])


def item_prefix(directory: str, offset: int) -> str:
    """Of what one call writes: the items of a batch from ``offset`` on. No two calls under way have the same."""
    return f"{directory}.{offset:04d}-"


def with_segments(batch: Batch) -> Batch:
    """The batch with the segments that were written for it, and for no other: its commit seals them."""
    keys = [item.blob_key for item in batch.instances]
    keys += [item.blob_key for item in batch.changes if item.copied]
    keys += [item.after.blob_key for item in batch.replacements]
    segments = {extent.segment for key in (*keys, *batch.garbage) if (extent := parse_extent(key))}
    return replace(batch, segments=tuple(sorted(segments)))


class BatchWriters:
    """The writers of one call, one for each place that it writes to. ``prefix`` is without the place; ``late`` is where
    something may come late, once they are closed."""

    def __init__(self, blobs: Blobs, prefix: str) -> None:
        self._blobs, self._prefix = blobs, prefix
        self._writers: dict[str, BlobWriter] = {}
        self.late: tuple[str, ...] = ()

    def at(self, place: str) -> BlobWriter:
        if place not in self._writers:
            self._writers[place] = self._blobs.writer(f"{place}/{self._prefix}")
        return self._writers[place]

    def flush(self) -> None:
        """Return when all that was written is durable."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> tuple[str, ...]:
        """The keys of the segments that were written, and of what could not be removed: whoever ends a lot lists both.
        What was not flushed is removed."""
        writers, self._writers = list(self._writers.values()), {}
        try:
            return close_all(writers)
        finally:
            self.late = tuple(key for writer in writers for key in writer.late)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """What a batch has left is in no list of garbage once the batch is committed. So its call does not succeed: it
        is made again, and the bytes of this one are removed by prefix. Raises DiskAway."""
        writers = list(self._writers.values())
        try:
            self.close()
        except StatusError as failed:
            if kind is None:
                raise
            logger.warning("what was written below %s may not be removed: %s", self._prefix, failed.message)
        if kind is None and any(writer.left for writer in writers):
            raise DiskAway("the server's disk does not remove what was not finished; the log has the details")


def close_all(writers: Sequence[BlobWriter]) -> tuple[str, ...]:
    """Close each of them, whatever the others raise; the keys of their segments, of what they could not remove, and of
    what may come late. Raises one of their errors."""
    keys: list[str] = []

    def close(writer: BlobWriter) -> None:
        keys.extend((*writer.close(), *writer.left, *writer.late))

    with ExitStack() as closing:
        for writer in writers:
            closing.callback(close, writer)
    return tuple(keys)


class Outcomes(list[Out]):
    """Those of a call, and where something may come ``late`` that it has written: a request that was sent again may be
    carried out once more, when what it wrote is deleted."""

    late: tuple[str, ...] = ()


def make_outcomes(found: list[Out], writers: BatchWriters) -> list[Out]:
    """What a call answers once its writers are closed."""
    if not writers.late:
        return found
    outcomes = Outcomes(found)
    outcomes.late = writers.late
    return outcomes


class Tries:
    """The calls of each batch: after more than one attempt, a worker has died and may have left bytes."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._calls: dict[int, list[Future[Any]]] = {}

    def add(self, number: int, call: Call) -> Call:
        """A call of a batch has begun."""
        self._calls.setdefault(number, []).append(call)
        return call

    def find_left(self, number: int, directories: Iterable[str], keys: Iterable[str]) -> tuple[str, ...]:
        """Objects of a batch whose calls have ended, but for those that hold the blobs ``keys``; and where some may
        come late.

        ``directories`` are where the batch writes to, with the place. Raises DiskAway where they cannot be listed.
        """
        calls = self._calls.pop(number, [])
        if sum(map(count_attempts, calls)) < 2:  # the usual case: nothing to look for
            return tuple(key for call in calls for key in _list_late(call))
        used = set(map(object_of, keys))
        prefixes = [f"{each}." for each in directories]
        found = (item.key for each in prefixes for item in self._list(each))
        late = [make_late(each) for each in prefixes if each.partition("/")[0] in self._seams.late_places]
        return (*(key for key in found if key not in used), *late)

    def _list(self, prefix: str) -> Iterator[ObjectMeta]:
        try:
            yield from without_gaps(self._seams.blobs.list(prefix))
        except StatusError as error:
            if error.waits_for is not None:
                raise
            logger.warning("what was written below %s cannot be listed: %s", prefix, error.message)
            raise DiskAway("the directory of stored instances cannot be listed; the log has the details") from None


def _list_late(call: Future[Any]) -> tuple[str, ...]:
    outcomes = call.result()  # the batch has its outcomes: it is done
    return outcomes.late if isinstance(outcomes, Outcomes) else ()
