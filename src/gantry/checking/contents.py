"""The bytes in segments: those of the rows, by their checksums, and no others. Reads all of them, in their order."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.checking.directory import Checked
from gantry.errors import NotFound, StatusError
from gantry.findings import Finding, Kind
from gantry.index_protocols.checks import Extents
from gantry.resources import Uids, path_of
from gantry.seams import Blobs
from gantry.storage.extents import Entry, Extent
from gantry.stored_bytes import find_damage

_TOLD = 10_000


def check_contents(checked: Checked) -> Iterator[Finding]:
    if not checked.reads:
        return
    done = 0
    for segment in checked.index.checks.walk_segments():
        if checked.is_away(segment.key):
            continue
        try:
            yield from _check_segment(checked, segment)
        except NotFound:
            continue  # its instances are found to be missing by ``checking.stored``
        except StatusError as error:
            is_away = error.waits_for is not None
            yield checked.note_away(segment.key, error) if is_away else _refuse(segment, error)
        before, done = done, done + len(segment.instances)
        if done // _TOLD > before // _TOLD:
            checked.tell("contents of segments", done)


def _check_segment(checked: Checked, segment: Extents) -> Iterator[Finding]:
    """Raises NotFound, Unavailable, and the error of a place that is away."""
    blobs = checked.blobs.hold(segment.key)
    entries = {entry.key: entry for entry in blobs.entries(segment.key)}
    for offset, size, uids in segment.instances:
        key = str(Extent(segment.key, offset, size))
        entry = entries.pop(key, None)
        if _check_one(blobs, key, uids, entry) and _is_still_at(checked, segment.store_id, key, uids):
            found = _check_one(checked.blobs, key, uids, entry)  # anew: it may have been spoilt on its way
            yield from [found] if found else ()
    yield from _check_rest(checked, segment, entries)
    yield from _check_unlisted(checked, segment, blobs)


def _refuse(segment: Extents, error: StatusError) -> Finding:
    return Finding(Kind.NOT_CHECKED, segment.key, error.what)


def _check_one(blobs: Blobs, key: str, uids: Uids, entry: Entry | None) -> Finding | None:
    path = path_of(uids)
    if entry is None:
        try:
            blobs.open(key).__exit__(None, None, None)
        except StatusError:
            return None  # found by ``checking.stored``
        return Finding(Kind.SEGMENT_WRONG, path, f"no table of contents lists {key}")
    if entry.uids != uids:
        return Finding(Kind.SEGMENT_WRONG, path, f"the table of contents says that {key} is {path_of(entry.uids)}")
    try:
        damage = find_damage(blobs, key, int(key.rpartition("+")[2]), uids, entry.crc32c)
    except StatusError as error:
        if error.waits_for is not None:
            raise
        return Finding(Kind.BYTES_UNREADABLE, path, f"{key}: {error.what}")
    return Finding(Kind.CONTENT_WRONG, path, damage) if damage else None


def _is_still_at(checked: Checked, store_id: int, key: str, uids: Uids) -> bool:
    checked.wait()
    now = checked.index.instances.find_stored(store_id, [uids]).get(uids)
    return now is not None and now.blob_key == key


def _check_rest(checked: Checked, segment: Extents, left: dict[str, Entry]) -> Iterator[Finding]:
    """What tables list and no row names. It is no fault before the segment is sealed, or while it waits to be freed."""
    if not segment.is_sealed or not left:
        return
    checked.wait()
    for key, entry in left.items():
        waits = key in checked.index.garbage.list_blobs(key[:-1], 2)
        if not waits and not _is_still_at(checked, segment.store_id, key, entry.uids) and _has_bytes(checked, key):
            yield Finding(Kind.BYTES_UNKNOWN, key, f"no row names these bytes of {path_of(entry.uids)}")


def _check_unlisted(checked: Checked, segment: Extents, blobs: Blobs) -> Iterator[Finding]:
    """Bytes that neither a row names nor a table of contents lists: what a damaged table has listed."""
    if not segment.is_sealed:
        return
    named = [str(Extent(segment.key, offset, size)) for offset, size, _ in segment.instances]
    try:
        unlisted = blobs.count_unlisted(segment.key, named)
    except NotFound:
        return  # deleted meanwhile
    except StatusError as error:
        if error.waits_for is not None:
            raise
        yield _refuse(segment, error)
        return
    if unlisted:
        yield Finding(Kind.SEGMENT_WRONG, segment.key, f"no table of contents lists {unlisted} bytes of it")


def _has_bytes(checked: Checked, key: str) -> bool:
    try:
        checked.blobs.open(key).__exit__(None, None, None)
    except StatusError:
        return False
    return True
