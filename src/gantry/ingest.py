"""Import of objects: open, read the header, copy the bytes. Runs in any process and does not use the index."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from gantry.beats import SYNC_SECONDS, beat, beat_for
from gantry.calls_ahead import call_ahead
from gantry.containment import contain
from gantry.describing import Read, describe, describe_header
from gantry.dicom.buffers import Held, Readable
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import MAX_LIVE_HEADER, InstanceIdentity, read_header, read_header_bytes
from gantry.dicom.tags import SERIES, SOP_INSTANCE, STUDY
from gantry.dicom.walk import tag_name
from gantry.errors import (
    Aborted,
    Code,
    DataLoss,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Status,
    StatusError,
    Unavailable,
    Unreadable,
)
from gantry.names import DicomStoreName, is_uid
from gantry.operations.batch_writers import BatchWriters, item_prefix, make_outcomes
from gantry.reasons import Reason
from gantry.resources import Failure, HeaderAttributes, Instance, ObjectMeta, StoredInstance, Uids
from gantry.seams import Blobs, BlobStore, BlobWriter, Bucket, OpenedObject, Seams
from gantry.stored_bytes import find_damage, open_stored, read_crc32c

logger = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 100 << 30
COMPARED_BYTES = 1 << 20  # of each of two objects at a time
SMALL_BYTES = 1 << 20
"""Up to here an object is held in memory: reading it once takes less time than reading its parts and copying it."""
_FOUND_WANTING = (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION)
"""Of bytes that were read: they are no DICOM instance, or one that is not accepted."""

_OF_BYTES = (*_FOUND_WANTING, Code.DATA_LOSS, Code.INTERNAL)
"""What other bytes than those of the object can cause."""

_REPLACE = "see to the disk and try again; if the bytes are lost, delete the instance and store the original again"

UIDS = "gantry-uids"
"""Label of a store: with the value ``any``, new instances may have Study, Series and SOP Instance UIDs with
letters."""

AWAY = (Interrupted, PermissionDenied, ResourceExhausted, Unavailable)
"""Errors that are not about the object itself: it may be readable later."""


class Pair(NamedTuple):
    """New bytes, and those of a stored instance with the same UIDs: their keys, and the size in its row."""

    new: str
    stored: str
    size: int
    uids: Uids


Ingested = tuple[Instance | Failure, int, bool]
"""What has become of one object; its bytes, 0 where they were not read to their end; whether nobody could compare them
with a checksum of the provider. A plain tuple: another one would double what it costs to get outcomes out of a worker.
"""


def ingest_batch(
    objects: Sequence[ObjectMeta],
    offset: int = 0,
    *,
    source: Bucket,
    source_uri: str,
    blobs: Blobs,
    blob_prefix: str,
    storage_class: str,
) -> list[Ingested]:
    """Bring objects into ``blobs``; one outcome per object, in order, durable on return.

    ``blob_prefix`` is where the batch writes to; ``offset`` is the number of the first object in the batch.
    What is wrong with one object becomes its Failure; what an operation waits for (``waits_for``) is raised.
    """
    outcomes: list[Read | Failure] = []
    arrivals: list[_Arrival] = []
    coming = call_ahead(partial(_open, source), objects, lambda found: found.size, source.concurrency, _close)
    place, _, prefix = blob_prefix.partition("/")
    with BatchWriters(blobs, item_prefix(prefix, offset)) as writers, closing(coming):
        writer = writers.at(place)
        for found, open_it in coming:
            resource = make_printable(source_uri + found.key)
            beat_for(found.size)
            arrivals.append(arrival := _Arrival())
            try:
                outcomes.append(_ingest(open_it(), resource, writer, storage_class, arrival))
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                source.require_mounted()  # of a bucket that is away no object is lost
                outcomes.append(Failure(resource, error.status))
        source.require_mounted()  # else it may have been another disk that was read
        described = describe(outcomes)
        beat(SYNC_SECONDS)
        writers.flush()
    pairs = zip(described, arrivals, strict=True)
    return make_outcomes([(outcome, arrival.bytes, arrival.is_unchecked) for outcome, arrival in pairs], writers)


def accepts_other_uids(seams: Seams, store: DicomStoreName | None) -> bool:
    """Whether a store accepts what ``require_uids`` refuses; one that is deleted meanwhile does not."""
    if store is None:
        return False
    try:
        return seams.index.resources.get_dicom_store(store).labels.get(UIDS) == "any"
    except NotFound:
        return False  # the first commit of the operation says so


def require_uids(uids: Uids) -> None:
    """Raises InvalidArgument for UIDs that are not digits and periods (PS3.5 §9.1)."""
    for tag, uid in zip((STUDY, SERIES, SOP_INSTANCE), uids, strict=True):
        if not is_uid(uid):
            raise InvalidArgument(
                f"{tag_name(tag)} is not digits in components separated by periods: {uid!r}; a store accepts it "
                f"only with the label {UIDS}: any",
                kind=Reason.INVALID_UID,
            )


def require_uids_or_stored(seams: Seams, store_id: int, uids: Uids) -> None:
    """As ``require_uids``, but for those of an instance that is stored: it came while the store accepted them, and what
    comes again may heal it, or replace it."""
    try:
        require_uids(uids)
    except InvalidArgument:
        if not seams.index.instances.find_stored(store_id, [uids]):
            raise


def identify(opened: Readable, blob_key: str, size: int, storage_class: str, resource: str) -> Read:
    """Read the header of an object that is, or will be, the blob ``blob_key``. Raises StatusError."""
    if size > MAX_OBJECT_BYTES:
        raise FailedPrecondition(
            f"{size} bytes are more than the {MAX_OBJECT_BYTES} an object may have", kind=Reason.TOO_LARGE
        )
    header, header_bytes, said = _read_header(opened, size, resource)
    instance = Instance(
        header.study_instance_uid,
        header.series_instance_uid,
        header.sop_instance_uid,
        header.sop_class_uid,
        header.transfer_syntax_uid,
        blob_key,
        size,
        storage_class,
        resource,
    )
    return Read(instance, header, header_bytes, said)


def _read_header(
    opened: Readable, size: int, resource: str
) -> tuple[InstanceIdentity, HeaderBytes | None, HeaderAttributes | None]:
    """(identity, header, None), or (identity, None, attributes) for a header too long to be kept.

    Raises only StatusError.
    """
    with contain(resource, "while its header was read"):
        header = read_header(opened.read_at, size)
        header_bytes = read_header_bytes(opened.read_at, size, header.layout)
        if header_bytes is not None:
            return header, header_bytes, None
        long = read_header_bytes(opened.read_at, size, header.layout, MAX_LIVE_HEADER)
        return header, None, describe_header(long) if long is not None else None


def describe_stored(instances: Sequence[StoredInstance], *, blobs: BlobStore) -> list[Instance | Failure]:
    """Add descriptions to stored instances. One whose bytes were read and are no instance is returned as it is: there
    is nothing to describe. One that could not be read is a Failure, and may be readable later."""
    read: list[Read | Failure] = []
    for item in instances:
        beat_for(item.size)
        try:
            with contain(item.path, "while it was described"), open_stored(blobs, item.blob_key, item.size) as opened:
                read.append(identify(opened, item.blob_key, opened.size, item.storage_class, item.path))
        except StatusError as error:
            if error.waits_for is not None:
                raise
            read.append(Failure(item.path, error.status))
    return [
        old.to_instance() if isinstance(new, Failure) and new.status.code in _FOUND_WANTING else new
        for new, old in zip(describe(read), instances, strict=True)
    ]


def describe_headers(headers: Sequence[bytes | str], *, blobs: BlobStore) -> list[HeaderAttributes | None]:
    """The attributes of headers, each given as the bytes in its pack or as the key of its blob; None if unreadable.

    Raises one of AWAY where a blob cannot be reached now.
    """
    return [_describe_bytes(each) if isinstance(each, bytes) else _describe_blob(each, blobs) for each in headers]


def _describe_bytes(header: bytes) -> HeaderAttributes:
    beat_for(len(header))
    return describe_header(HeaderBytes.from_bytes(header))


def _describe_blob(key: str, blobs: BlobStore) -> HeaderAttributes | None:
    beat_for(0)
    try:
        with blobs.open(key) as opened:
            beat_for(opened.size)
            _, header_bytes, said = _read_header(opened, opened.size, key)
    except AWAY:
        raise
    except StatusError as error:
        logger.warning("the header of %s cannot be read: %s", key, error.message)
        return None
    return said if header_bytes is None else describe_header(header_bytes)


def compare_bytes(pairs: Sequence[Pair], *, blobs: Blobs) -> list[bool | Status]:
    """For each pair: whether both have the same bytes, or why they cannot be compared. DATA_LOSS and NOT_FOUND are
    about the stored bytes: they are damaged or not there, so that what is new may take their place."""
    verdicts: list[bool | Status] = []
    for pair in pairs:
        try:
            with contain(pair.new, "while it was compared"):
                verdicts.append(_compare(blobs, pair))
        except StatusError as error:
            if error.waits_for is not None:
                raise
            verdicts.append(error.status)
    return verdicts


def make_printable(text: str) -> str:
    """A key for logs and answers: what is not UTF-8 becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _open(source: Bucket, found: ObjectMeta) -> OpenedObject:
    if found.problem:
        raise FailedPrecondition(found.problem, kind=Reason.OBJECT_UNREADABLE)
    return source.open_found(found)


def _close(opened: OpenedObject) -> None:
    opened.__exit__(None, None, None)


class _Arrival:
    """What was read of an object, once it was read to its end."""

    __slots__ = ("bytes", "is_unchecked")

    def __init__(self) -> None:
        self.bytes, self.is_unchecked = 0, False

    def note(self, opened: OpenedObject) -> None:
        if opened.is_copied_there:
            return  # none but those of the header has come
        self.bytes = opened.size if opened.packed_size is None else opened.packed_size
        self.is_unchecked = opened.is_unchecked


def _ingest(source: OpenedObject, resource: str, writer: BlobWriter, storage_class: str, arrival: _Arrival) -> Read:
    """A small object is read once: its header, its checksum and its copy come from the same bytes. A long one whose
    bytes may have been spoilt on their way is read a second time: they are compared only when all have come, and a
    header that was spoilt may be none."""
    with source as opened:
        if opened.size > SMALL_BYTES:
            try:
                read = _copy(opened, resource, writer, storage_class)
            except StatusError as error:
                if error.code not in _OF_BYTES or not opened.read_anew():
                    raise
                beat_for(opened.size)
                read = _copy(opened, resource, writer, storage_class)
            arrival.note(opened)
            return read
        data = b"".join(opened.chunks())
        arrival.note(opened)
    read = identify(Held(data), "", len(data), storage_class, resource)
    return read.at(writer.put((data,), read.instance.uids)[0])


def _copy(opened: OpenedObject, resource: str, writer: BlobWriter, storage_class: str) -> Read:
    read = identify(opened, "", opened.size, storage_class, resource)
    return read.at(writer.copy_from(opened, read.instance.uids))


def _compare(blobs: Blobs, pair: Pair) -> bool:
    """Bytes that differ from the stored ones are refused only where those are what was stored.

    Stored bytes that the disk cannot read now may be readable later: nothing but the original may take their place.
    """
    new = _open_new(blobs, pair.new)
    with new:
        try:
            if _have_same_bytes(blobs, new, pair):
                return True
            damage = find_damage(blobs, pair.stored, pair.size, pair.uids)
        except Unreadable as error:
            if new.size != pair.size:
                return False
            _require_original(blobs, new, pair.stored, error)
            damage = error.what
    if damage:
        raise DataLoss(damage, kind=Reason.STORED_BYTES_DAMAGED)
    return False


def _require_original(blobs: Blobs, new: OpenedObject, stored: str, error: Unreadable) -> None:
    """Raises Unavailable where nobody can say that the new bytes are those that were stored."""
    try:
        written = blobs.read_crc32cs([stored])[stored]
    except (DataLoss, NotFound, Unavailable) as unknown:
        if unknown.waits_for is not None:
            raise
        written = None
    try:
        is_original = written is not None and read_crc32c(new) == written
    except DataLoss as broken:
        raise _make_unreadable(broken) from None
    if not is_original:
        raise Unavailable(error.what, advice=_REPLACE, kind=Reason.STORED_BYTES_DAMAGED)


def _open_new(blobs: Blobs, key: str) -> OpenedObject:
    """Bytes that were written just now. Raises Unavailable."""
    try:
        return blobs.open(key)
    except (DataLoss, NotFound) as error:
        raise _make_unreadable(error) from None


def _make_unreadable(error: StatusError) -> Unavailable:
    return Unavailable(f"the new bytes cannot be read: {error.what}")


def _have_same_bytes(blobs: Blobs, new: OpenedObject, pair: Pair) -> bool:
    """Compare windows of a fixed size: the chunks of two stores may differ in size."""
    with open_stored(blobs, pair.stored, pair.size) as stored:
        beat_for(new.size + stored.size)
        if new.size != stored.size:
            return False
        for at in range(0, new.size, COMPARED_BYTES):
            try:
                wanted = _read_window(new, at)
            except DataLoss as error:
                raise _make_unreadable(error) from None
            if wanted != _read_window(stored, at):
                return False
    return True


def _read_window(opened: OpenedObject, at: int) -> bytes:
    """Raises Aborted where the object has fewer bytes than when it was opened."""
    wanted = min(COMPARED_BYTES, opened.size - at)
    data = opened.read_at(at, wanted)
    if len(data) != wanted:
        raise Aborted(f"only {at + len(data)} of {opened.size} bytes could be read", kind=Reason.OBJECT_CHANGED)
    return data
