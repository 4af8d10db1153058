"""What is wrong with the bytes of instances that share an object, and a second look at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from gantry.checking.directory import Checked
from gantry.errors import NotFound, StatusError
from gantry.findings import Finding, Kind
from gantry.index_protocols.checks import HeldBlob, HeldBlobs
from gantry.resources import ObjectMeta, Uids, path_of
from gantry.storage.extents import object_of
from gantry.stored_bytes import WrongSize, find_damage, require_size

Wrong = dict[str, tuple[Kind, str]]
"""By the keys of blobs, what a finding says."""


def ask(checked: Checked, held: HeldBlobs) -> Wrong:
    """What is wrong with an object that no listing tells. Raises the error of a place that is away."""
    keys = [each.key for each in held.blobs]
    try:
        found = checked.blobs.head(held.key)
        if not found.problem:
            (lost,) = checked.blobs.find_lost([(found, keys)], checked.reads)
            return judge(checked, held, found, lost)
    except StatusError as error:
        if error.waits_for is not None:
            raise
    try:  # opening it says more: that another bucket is in the place of ours, that a link is in the place of a file
        checked.blobs.open(keys[0]).__exit__(None, None, None)
    except StatusError as error:
        if error.waits_for is not None:
            raise
        return _name_errors(dict.fromkeys(keys, error))
    return {}


def judge(checked: Checked, held: HeldBlobs, found: ObjectMeta, lost: Mapping[str, StatusError]) -> Wrong:
    """``lost``: what cannot be opened. An object of its own may have another size than its row says, and with ``reads``
    other bytes. Raises the error of a place that is away."""
    wrong = _name_errors(lost)
    for each in held.blobs:
        if each.key == found.key and each.key not in wrong:
            wrong |= _judge_own(checked, each, found)
    return wrong


def _judge_own(checked: Checked, blob: HeldBlob, found: ObjectMeta) -> Wrong:
    try:
        require_size(found.size, blob.size)
        damage = find_damage(checked.blobs, blob.key, blob.size, blob.uids) if checked.reads else ""
    except StatusError as error:
        if error.waits_for is not None:
            raise
        return _name_errors({blob.key: error})
    return {blob.key: (Kind.CONTENT_WRONG, damage)} if damage else {}


def _name_errors(lost: Mapping[str, StatusError]) -> Wrong:
    return {key: _name_error(key, error) for key, error in lost.items()}


def _name_error(key: str, error: StatusError) -> tuple[Kind, str]:
    if isinstance(error, NotFound):
        return Kind.BYTES_MISSING, f"there are no bytes at {key}"
    kind = Kind.SIZE_WRONG if isinstance(error, WrongSize) else Kind.BYTES_UNREADABLE
    return kind, f"{key}: {error.what}"


def look_again(checked: Checked, held: HeldBlobs, wrong: Wrong) -> Iterator[Finding]:
    """Rows are deleted before their bytes, and moved bytes have another key: is what the rows say now wrong? Raises the
    error of a place that is away."""
    if not wrong:
        return
    checked.wait()
    objects = defaultdict[str, list[HeldBlob]](list)
    for now in _read_rows(checked, [each for each in held.blobs if each.key in wrong]):
        objects[object_of(now.key)].append(now)
    for key, blobs in objects.items():
        again = ask(checked, HeldBlobs(key, blobs))
        for each in blobs:
            if each.key in again:
                yield Finding(again[each.key][0], path_of(each.uids), again[each.key][1])


def _read_rows(checked: Checked, blobs: list[HeldBlob]) -> Iterator[HeldBlob]:
    by_store = defaultdict[int, list[Uids]](list)
    for each in blobs:
        by_store[each.store_id].append(each.uids)
    for store_id, uids in by_store.items():
        for row in checked.index.instances.find_stored(store_id, uids).values():
            yield HeldBlob(row.blob_key, row.size, store_id, row.uids)
