"""Which instances in a bucket have lost their bytes, for a check of all of them: told by the listing and the ends of
segments, with one request for each segment and none for an instance.

A segment is read as a whole only where its end leaves a doubt: something in it was freed since it was written, or its
last table of contents does not list all that is asked for. Of an object of its own the listing says enough, unless it
lies in an archive, from where it may have been restored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from functools import partial

from gantry.calls_ahead import call_ahead
from gantry.errors import Aborted, NotFound, StatusError
from gantry.resources import ObjectMeta
from gantry.storage.contents import read_tables
from gantry.storage.extents import ALIGNMENT, SUFFIX
from gantry.storage.freed import find_freed
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blob_reading import HeldObject, open_object, read_whole
from gantry.storage.remote.blob_tables import TAIL_BYTES, Tail, is_as_written
from gantry.storage.remote.settings import MUST_BE_RESTORED

AT_ONCE = 32
"""Requests for ends of segments at a time: most of each is waiting, and what they bring is small."""
_LEAST_BYTES = 4 * ALIGNMENT
_ROW_BYTES = 160
"""Of a table for each instance: some 100 once it is compressed. One that does not fit costs another request."""

Held = tuple[ObjectMeta, Collection[str]]
Lost = dict[str, StatusError]


def find_lost(bucket: BlobBucket, held: Sequence[Held], whole: bool = False) -> Sequence[Lost]:
    """Promises: ``seams.Blobs.find_lost``. Raises DiskAway."""
    found = _ask(partial(_look_at_end, bucket, whole), held, lambda _: TAIL_BYTES)
    doubtful = [number for number, lost in enumerate(found) if lost is None]
    looked = _ask(partial(_look_inside, bucket), [held[number] for number in doubtful], lambda each: each[0].size)
    inside = dict(zip(doubtful, looked, strict=True))
    return [(inside[number] if lost is None else lost) or {} for number, lost in enumerate(found)]


def _ask(
    look: Callable[[Held], Lost | None], held: Sequence[Held], size_of: Callable[[Held], int]
) -> list[Lost | None]:
    with closing(call_ahead(look, held, size_of, AT_ONCE)) as outcomes:
        return [_await(each, outcome) for each, outcome in outcomes]


def _await(held: Held, outcome: Callable[[], Lost | None]) -> Lost | None:
    """What cannot be read is an error of all that is in it."""
    try:
        return outcome()
    except StatusError as error:
        if error.waits_for is not None:
            raise
        return dict.fromkeys(held[1], error)


def _look_at_end(bucket: BlobBucket, whole: bool, held: Held) -> Lost | None:
    """None where that leaves a doubt."""
    found, keys = held
    if not found.key.endswith(SUFFIX):
        return None if found.storage_class in MUST_BE_RESTORED else {}
    if whole:
        return None
    try:
        tail = Tail(bucket, found, min(TAIL_BYTES, _LEAST_BYTES + _ROW_BYTES * len(keys)))
    except (Aborted, NotFound):
        return None  # it was written anew, or deleted, since it was listed
    tables = list(read_tables(tail, start=tail.start))
    listed = {entry.key for table in tables for entry in table.entries}
    return {} if is_as_written(found.size, tables) and listed.issuperset(keys) else None


def _look_inside(bucket: BlobBucket, held: Held) -> Lost:
    found, keys = held
    if not found.key.endswith(SUFFIX):
        with open_object(bucket, found.key):
            return {}
    return find_freed(HeldObject(found.key, read_whole(bucket, found.key).data), keys)
