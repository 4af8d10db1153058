"""Freeing ranges of segments in a bucket: an object has no holes, so it is written anew with zeros in their place.

Instances that stay do not change their place, so that a crash at any moment loses nothing. Two that free parts of one
segment at the same time would undo each other's work: in one process there is a lock, and the provider is asked to
replace nothing but the version that was read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import partial

import google_crc32c

from gantry.calls_ahead import call_ahead
from gantry.errors import Aborted, NotFound, StatusError, Unavailable, Unreadable
from gantry.storage.contents import find_rest, read_tables
from gantry.storage.extents import Extent, group_by_segment
from gantry.storage.listed import list_entries
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_reading import HeldObject, Whole, read_whole
from gantry.storage.remote.blob_segments import discard_pending, keep_pending
from gantry.storage.remote.blob_tables import mark_rewritten

AT_ONCE = 4  # segments rewritten at a time: each is held in memory twice
_TRIES = 4
_locks = [threading.Lock() for _ in range(64)]
Range = tuple[int, int]
Failed = dict[str, StatusError]


def free_all(bucket: BlobBucket, keys: Sequence[str]) -> Failed:
    """Free many extents; the errors of those that could not be freed. Where the bucket is away, no more is tried."""
    failed: Failed = {}
    groups = list(group_by_segment(keys))
    act = partial(_free_group, bucket)
    with closing(call_ahead(act, groups, lambda _: 0, AT_ONCE)) as outcomes:
        for (_, extents), outcome in outcomes:
            errors = outcome()
            failed |= errors
            away = next((error for error in errors.values() if error.waits_for is not None), None)
            if away is not None:
                rest = groups[[group[1] for group in groups].index(extents) + 1 :]
                return failed | {str(each): away for _, extents in rest for each in extents}
    return failed


def _free_group(bucket: BlobBucket, group: tuple[str, list[Extent]]) -> Failed:
    return free_extents(bucket, *group)


def free_extents(bucket: BlobBucket, segment: str, extents: Sequence[Extent]) -> Failed:
    """Free ranges of a segment, durable on return. One that is gone has none."""
    try:
        if not discard_pending(segment, extents):
            _rewrite(bucket, segment, lambda _: [(each.offset, each.end) for each in extents])
    except StatusError as error:  # nobody knows which of them are free
        return {str(each): error for each in extents}
    return {}


def free_rest(bucket: BlobBucket, segment: str, live: Collection[Extent]) -> None:
    """Free all but these ranges and the tables. Raises NotFound, Unavailable, DiskAway."""

    def find(whole: Whole) -> Iterator[Range]:
        return find_rest(HeldObject(segment, whole.data), live)

    if not keep_pending(segment, live) and not _rewrite(bucket, segment, find):
        raise NotFound("no such object")


def delete_segment(bucket: BlobBucket, segment: str) -> None:
    """With all that it holds. Raises Unavailable, DiskAway."""
    if not keep_pending(segment, ()):
        with _lock_of(bucket, segment):  # else whoever frees a part of it would write it again
            bucket.delete(segment)


def _lock_of(bucket: BlobBucket, segment: str) -> threading.Lock:
    return _locks[hash(bucket.prefix + segment) % len(_locks)]


def _rewrite(bucket: BlobBucket, segment: str, find: Callable[[Whole], Collection[Range] | Iterator[Range]]) -> bool:
    """Write zeros over the ranges that ``find`` finds. False where there is no segment."""
    with _lock_of(bucket, segment):
        for _ in range(_TRIES):
            try:
                whole = _read_sound(bucket, segment)
                data = _blank(whole.data, sorted(find(whole)))
                if data != whole.data:
                    bucket.replace(segment, mark_rewritten(segment, data), whole.found.tag)
                return True
            except NotFound:
                return False
            except Aborted:
                continue  # by another process, or by this one, and the answer was lost
    raise Unavailable(f"{segment}: is written to again and again", advice="its rest is freed later")


def _blank(data: bytes, ranges: Sequence[Range]) -> bytes:
    pieces, at, view = [], 0, memoryview(data)
    for start, end in ranges:
        start, end = max(at, min(start, len(data))), min(end, len(data))
        if start < end:
            pieces += [view[at:start], memoryview(bytes(end - start))]
            at = end
    return b"".join((*pieces, view[at:]))


def _read_sound(bucket: BlobBucket, segment: str) -> Whole:
    """All bytes of a segment as the provider has them: what is spoilt on its way must not be written. Raises
    Unavailable where that is not certain."""
    try:
        for _ in range(_TRIES):
            whole = read_whole(bucket, segment)
            if whole.is_compared or (_is_sound(segment, whole.data) and _comes_again(bucket, segment, whole)):
                return whole
    except Unreadable as error:
        raise Unavailable(f"{segment}: {error.what}", advice="its rest is freed later") from None
    raise Unavailable(
        f"{segment}: nobody can tell whether the bytes that stay are those that were written",
        advice="its rest is freed later",
    )


def _comes_again(bucket: BlobBucket, segment: str, whole: Whole) -> bool:
    """Whether a second request brings the same bytes: zeros may be of an instance that was freed, or of one that was
    spoilt on its way, and a table that was spoilt lists nothing. Raises Aborted, NotFound where it is replaced."""
    return bucket.get(segment, whole.found.tag, 0, whole.found.size).data == whole.data


def _is_sound(segment: str, data: bytes) -> bool:
    """Whether the table says of all that was not freed what its bytes are."""
    opened = HeldObject(segment, data)
    listed = {entry.key: entry.crc32c for entry in list_entries(opened)}
    extents = [extent for _, found in group_by_segment(list(listed)) for extent in found]
    has_table = next(iter(read_tables(opened)), None) is not None
    return has_table and all(
        listed[str(each)] in (None, google_crc32c.value(data[each.offset : each.offset + each.length]))
        for each in extents
    )
