"""Import of objects: open, read the header, copy the bytes. Runs in any process and does not use the index."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing

from gantry.containment import contain
from gantry.describing import Read, describe, describe_header
from gantry.dicom.buffers import Held, Readable
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import MAX_LIVE_HEADER, InstanceIdentity, read_header, read_header_bytes
from gantry.errors import (
    Aborted,
    FailedPrecondition,
    Interrupted,
    PermissionDenied,
    ResourceExhausted,
    Status,
    StatusError,
    Unavailable,
)
from gantry.operations.batch_writers import item_prefix
from gantry.resources import Failure, HeaderAttributes, Instance, ObjectMeta, StoredInstance
from gantry.seams import SYNC_SECONDS, Blobs, BlobStore, BlobWriter, OpenedObject, beat, beat_for

logger = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 100 << 30
COMPARED_BYTES = 1 << 20  # of each of two objects at a time
SMALL_BYTES = 1 << 20
"""Up to here an object is held in memory: reading it once takes less time than reading its parts and copying it."""
AWAY = (Interrupted, PermissionDenied, ResourceExhausted, Unavailable)
"""Errors that are not about the object itself: it may be readable later."""


def ingest_batch(
    objects: Sequence[ObjectMeta],
    offset: int = 0,
    *,
    source: BlobStore,
    source_uri: str,
    blobs: Blobs,
    blob_prefix: str,
    storage_class: str,
) -> list[Instance | Failure]:
    """Bring objects into ``blobs``; one outcome per object, in order, durable on return.

    ``blob_prefix`` is where the batch writes to; ``offset`` is the number of the first object in the batch.
    What is wrong with one object becomes its Failure; what an operation waits for (``waits_for``) is raised.
    """
    outcomes: list[Read | Failure] = []
    with closing(blobs.writer(item_prefix(blob_prefix, offset))) as writer:
        for found in objects:
            resource = make_printable(source_uri + found.key)
            beat_for(found.size)
            try:
                outcomes.append(_ingest(found, resource, source, writer, storage_class))
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                source.require_mounted()  # of a bucket that is away no object is lost
                outcomes.append(Failure(resource, error.status))
        source.require_mounted()  # else it may have been another disk that was read
        described = describe(outcomes)
        beat(SYNC_SECONDS)
        writer.flush()
    return described


def identify(opened: Readable, blob_key: str, size: int, storage_class: str, resource: str) -> Read:
    """Read the header of an object that is, or will be, the blob ``blob_key``. Raises StatusError."""
    if size > MAX_OBJECT_BYTES:
        raise FailedPrecondition(f"{size} bytes are more than the {MAX_OBJECT_BYTES} an object may have")
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


def describe_stored(instances: Sequence[StoredInstance], *, blobs: BlobStore) -> list[Instance]:
    """Add descriptions to stored instances; those whose bytes cannot be read are returned as they are."""
    read: list[Read | Failure] = []
    for item in instances:
        try:
            with contain(item.path, "while it was described"), blobs.open(item.blob_key) as opened:
                read.append(identify(opened, item.blob_key, opened.size, item.storage_class, item.path))
        except StatusError as error:
            if error.waits_for is not None:
                raise
            read.append(Failure(item.path, error.status))
    described = describe(read)
    return [
        new if isinstance(new, Instance) else old.to_instance() for new, old in zip(described, instances, strict=True)
    ]


def describe_headers(headers: Sequence[bytes | str], *, blobs: BlobStore) -> list[HeaderAttributes | None]:
    """The attributes of headers, each given as the bytes in its pack or as the key of its blob; None if unreadable.

    Raises one of AWAY where a blob cannot be reached now.
    """
    return [
        describe_header(HeaderBytes.from_bytes(each)) if isinstance(each, bytes) else _describe_blob(each, blobs)
        for each in headers
    ]


def _describe_blob(key: str, blobs: BlobStore) -> HeaderAttributes | None:
    try:
        with blobs.open(key) as opened:
            _, header_bytes, said = _read_header(opened, opened.size, key)
    except AWAY:
        raise
    except StatusError as error:
        logger.warning("the header of %s cannot be read: %s", key, error.message)
        return None
    return said if header_bytes is None else describe_header(header_bytes)


def compare_bytes(pairs: Sequence[tuple[str, str]], *, blobs: BlobStore) -> list[bool | Status]:
    """For each pair of blob keys: whether both hold the same bytes, or why they cannot be compared."""
    verdicts: list[bool | Status] = []
    for first, second in pairs:
        try:
            with contain(first, "while it was compared"):
                verdicts.append(_compare(blobs, first, second))
        except StatusError as error:
            if error.waits_for is not None:
                raise
            verdicts.append(error.status)
    return verdicts


def make_printable(text: str) -> str:
    """A key for logs and answers: what is not UTF-8 becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _ingest(found: ObjectMeta, resource: str, source: BlobStore, writer: BlobWriter, storage_class: str) -> Read:
    """A small object is read once: its header, its checksum and its copy come from the same bytes."""
    if found.problem:
        raise FailedPrecondition(found.problem)
    with source.open(found.key) as opened:
        if opened.size > SMALL_BYTES:
            read = identify(opened, "", opened.size, storage_class, resource)
            return read.at(writer.copy_from(opened, read.instance.uids))
        data = b"".join(opened.chunks())
    read = identify(Held(data), "", len(data), storage_class, resource)
    return read.at(writer.put((data,), read.instance.uids)[0])


def _compare(blobs: BlobStore, first: str, second: str) -> bool:
    """Compare windows of a fixed size: the chunks of two stores may differ in size."""
    with blobs.open(first) as one, blobs.open(second) as other:
        beat_for(one.size + other.size)
        if one.size != other.size:
            return False
        return all(_read_window(one, at) == _read_window(other, at) for at in range(0, one.size, COMPARED_BYTES))


def _read_window(opened: OpenedObject, at: int) -> bytes:
    """Raises Aborted where the object has fewer bytes than when it was opened."""
    wanted = min(COMPARED_BYTES, opened.size - at)
    data = opened.read_at(at, wanted)
    if len(data) != wanted:
        raise Aborted(f"only {at + len(data)} of {opened.size} bytes could be read")
    return data
