"""Moves instances into new segments: what is left of a segment that has lost most of its instances, small segments, and
files of older versions.

Copies are written and durable first; then one transaction makes the rows name them and gives the old bytes up. They are
written in a lot, like uploads, so what a crash leaves of them is removed at the next start (``studies.upload_sweeps``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from gantry.containment import contain
from gantry.errors import Aborted, StatusError
from gantry.operations.batch_writers import BatchWriters
from gantry.operations.batches import cut
from gantry.operations.blob_keys import parse_place
from gantry.resources import Change, Segment, StoredInstance
from gantry.seams import OpenedObject, Seams
from gantry.storage.extents import OWN_BYTES, SMALL_BYTES, parse_extent
from gantry.stored_bytes import WrittenSums, open_stored
from gantry.studies.upload_sweeps import sweep_uploads

logger = logging.getLogger(__name__)

SPARSE = 0.25
"""A segment is rewritten when less than this share of its bytes is in use: the copies then cost a third of what is
freed, or less, where the file system keeps the blocks of deleted instances."""

JOINED = 16
"""So many small segments of a store in one place are joined at least: each instance is copied a few times at most until
its segment is small no more."""

_MOST_JOINED = 64  # with one transaction: they fill as many bytes as a segment of a directory
_SEGMENTS = 20  # looked at in one query
_CHUNK = 200  # instances looked up in one query


def compact_segments(seams: Seams, stopping: threading.Event) -> None:
    """Rewrite segments of which little is left. A segment or an instance that cannot be read is logged and stays where
    it is."""
    after = ""
    while segments := seams.index.segments.list_sparse(_SEGMENTS, SPARSE, after):
        for segment in segments:
            if stopping.is_set():
                return
            if not seams.index.segments.is_busy(segment.store_id):
                with suppress(Aborted):  # an operation has begun meanwhile: the next time
                    move(seams, segment.store_id, _list_movable(seams, segment))
        after = segments[-1].key


def join_segments(seams: Seams, stopping: threading.Event) -> None:
    """Join small segments: in a bucket each upload that is alone makes one, and each costs requests, and a place in
    every listing. A segment or an instance that cannot be read is logged and stays where it is."""
    after = ""
    while segments := seams.index.segments.list_small(_MOST_JOINED, SMALL_BYTES, JOINED, after):
        if stopping.is_set():
            return
        store_id = segments[0].store_id
        if not seams.index.segments.is_busy(store_id):
            with suppress(Aborted):  # an operation has begun meanwhile: the next time
                move(seams, store_id, [each for segment in segments for each in _list_movable(seams, segment)])
        after = segments[-1].key


def compact_files(seams: Seams, store_id: int, stopping: threading.Event, tell: Callable[[int, int], None]) -> None:
    """Move the instances of a store that have a small file of their own. ``tell`` gets how many instances were looked
    at and how many were moved, in all. It may be run again after it was interrupted. Raises Aborted while an operation
    of the store is not done."""
    seen = moved = 0
    batches = cut(seams.index.instances.walk_store(store_id), lambda instance: instance.size)
    for instances in batches:
        if stopping.is_set():
            return
        moved += move(seams, store_id, [each for each in instances if _is_small_file(each)])
        seen += len(instances)
        tell(seen, moved)


def move(seams: Seams, store_id: int, instances: Sequence[StoredInstance]) -> int:
    """Copy instances into new segments in the same place; how many rows name their copies now."""
    if not instances:
        return 0
    lot = seams.index.uploads.begin_upload(store_id)
    left = [(lot, store_id)]
    try:
        sums = WrittenSums(seams.blobs, [each.blob_key for each in instances])
        with BatchWriters(seams.blobs, f"{store_id}/stow/{lot}/") as writers:
            changes = [change for each in instances if (change := _copy(seams, writers, each, sums)) is not None]
            writers.flush()
            segments = writers.close()
        lost = seams.index.segments.move_instances(store_id, changes, segments)
    except BaseException:
        with suppress(StatusError):
            sweep_uploads(seams, left, threading.Event())
        seams.left_lots.extend(left)
        raise
    try:
        seams.index.uploads.end_upload(lot, segments)
    except StatusError:
        seams.left_lots.extend(left)
        raise
    return len(changes) - len(lost)


def _copy(seams: Seams, writers: BatchWriters, instance: StoredInstance, sums: WrittenSums) -> Change | None:
    try:
        with contain(instance.path, "while it was moved"), _open(seams, instance) as opened:
            writer = writers.at(parse_place(instance.blob_key))
            key = writer.copy_from(opened, instance.uids, sums.get(instance.blob_key))
    except StatusError as error:
        if error.waits_for is not None:
            raise
        logger.warning("%s cannot be moved and stays where it is: %s", instance.path, error.message)
        return None
    return Change(instance, instance.storage_class, key)


def _open(seams: Seams, instance: StoredInstance) -> OpenedObject:
    return open_stored(seams.blobs, instance.blob_key, instance.size)


def _list_movable(seams: Seams, segment: Segment) -> list[StoredInstance]:
    try:
        return list(_list_live(seams, segment.store_id, segment.key))
    except StatusError as error:
        logger.warning("%s cannot be read and stays as it is: %s", segment.key, error.message)
        return []


def _list_live(seams: Seams, store_id: int, segment: str) -> Iterator[StoredInstance]:
    """The instances whose rows name bytes in a segment, by its tables of contents."""
    found = seams.blobs.entries(segment)
    while entries := list(islice(found, _CHUNK)):
        stored = seams.index.instances.find_stored(store_id, [entry.uids for entry in entries])
        keys = {entry.key for entry in entries}
        yield from (instance for instance in stored.values() if instance.blob_key in keys)


def _is_small_file(instance: StoredInstance) -> bool:
    return instance.size < OWN_BYTES and parse_extent(instance.blob_key) is None
