"""One object's way in: open, read the header, copy the bytes. Runs in any process, knows no index."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from gantry.containment import contain
from gantry.describing import Read, describe, describe_header
from gantry.dicom.buffers import Readable
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
from gantry.operations.blob_keys import blob_key
from gantry.resources import Failure, HeaderAttributes, Instance, ObjectMeta, StoredInstance
from gantry.seams import BlobStore, OpenedObject

logger = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 100 << 30
COMPARED_BYTES = 1 << 20  # of each of two objects at a time
AWAY = (Interrupted, PermissionDenied, ResourceExhausted, Unavailable)
"""Errors that say nothing of an object: later it may be read."""


def ingest_batch(
    objects: Sequence[ObjectMeta],
    offset: int = 0,
    *,
    source: BlobStore,
    source_uri: str,
    blobs: BlobStore,
    blob_prefix: str,
    storage_class: str,
) -> list[Instance | Failure]:
    """Bring objects into ``blobs`` under ``blob_prefix``; one outcome per object, in order, durable on return.

    Blobs are numbered from ``offset`` on.
    What is wrong with one object becomes its Failure; ResourceExhausted (our own disk is full) is raised.
    """
    outcomes: list[Read | Failure] = []
    for number, found in enumerate(objects, offset):
        resource = printable(source_uri + found.key)
        try:
            outcomes.append(_ingest(found, resource, source, blobs, blob_key(blob_prefix, number), storage_class))
        except ResourceExhausted:
            raise
        except StatusError as error:
            outcomes.append(Failure(resource, error.status))
    described = describe(outcomes)
    blobs.flush()
    return described


def identify(opened: Readable, blob_key: str, size: int, storage_class: str, resource: str) -> Read:
    """Read the header of an object whose bytes are, or will be, the blob ``blob_key``. Raises StatusError."""
    if size > MAX_OBJECT_BYTES:
        raise FailedPrecondition(f"{size} bytes are more than the {MAX_OBJECT_BYTES} an object may have")
    header, header_bytes, said = _read(opened, size, resource)
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


def _read(
    opened: Readable, size: int, resource: str
) -> tuple[InstanceIdentity, HeaderBytes | None, HeaderAttributes | None]:
    """A header to be kept, or what one says that is too long for that. Raises StatusError alone."""
    with contain(resource, "while its header was read"):
        header = read_header(opened.read_at, size)
        header_bytes = read_header_bytes(opened.read_at, size, header.layout)
        if header_bytes is not None:
            return header, header_bytes, None
        long = read_header_bytes(opened.read_at, size, header.layout, MAX_LIVE_HEADER)
        return header, None, describe_header(long) if long is not None else None


def describe_stored(instances: Sequence[StoredInstance], *, blobs: BlobStore) -> list[Instance]:
    """Stored instances with what their headers say; without, where the bytes are gone or cannot be read."""
    read: list[Read | Failure] = []
    for item in instances:
        try:
            with contain(item.path, "while it was described"), blobs.open(item.blob_key) as opened:
                read.append(identify(opened, item.blob_key, opened.size, item.storage_class, item.path))
        except StatusError as error:
            read.append(Failure(item.path, error.status))
    described = describe(read)
    return [
        new if isinstance(new, Instance) else old.to_instance() for new, old in zip(described, instances, strict=True)
    ]


def describe_headers(headers: Sequence[bytes | str], *, blobs: BlobStore) -> list[HeaderAttributes | None]:
    """What headers say: those out of a pack, and those of blobs by their keys. None for one that cannot be read.

    Raises one of AWAY where a blob cannot be reached now.
    """
    return [
        describe_header(HeaderBytes.from_bytes(each)) if isinstance(each, bytes) else _said_in(each, blobs)
        for each in headers
    ]


def _said_in(key: str, blobs: BlobStore) -> HeaderAttributes | None:
    try:
        with blobs.open(key) as opened:
            _, header_bytes, said = _read(opened, opened.size, key)
    except AWAY:
        raise
    except StatusError as error:
        logger.warning("the header of %s cannot be read: %s", key, error.message)
        return None
    return said if header_bytes is None else describe_header(header_bytes)


def same_bytes(pairs: Sequence[tuple[str, str]], *, blobs: BlobStore) -> list[bool | Status]:
    """For each pair of blob keys, whether both hold the same bytes, or why that cannot be told."""
    verdicts: list[bool | Status] = []
    for first, second in pairs:
        try:
            with contain(first, "while it was compared"):
                verdicts.append(_same(blobs, first, second))
        except StatusError as error:
            verdicts.append(error.status)
    return verdicts


def printable(text: str) -> str:
    """A key as it may stand in logs and answers: what is not UTF-8 becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _ingest(
    found: ObjectMeta, resource: str, source: BlobStore, blobs: BlobStore, blob_key: str, storage_class: str
) -> Read:
    if found.problem:
        raise FailedPrecondition(found.problem)
    with source.open(found.key) as opened:
        read = identify(opened, blob_key, opened.size, storage_class, resource)
        try:
            blobs.copy_from(opened, blob_key)
        except StatusError:
            with suppress(StatusError):
                blobs.delete(blob_key)
            raise
    return read


def _same(blobs: BlobStore, first: str, second: str) -> bool:
    """By windows of a fixed size: stores hand out chunks as they like."""
    with blobs.open(first) as one, blobs.open(second) as other:
        if one.size != other.size:
            return False
        return all(_window(one, at) == _window(other, at) for at in range(0, one.size, COMPARED_BYTES))


def _window(opened: OpenedObject, at: int) -> bytes:
    """Raises Aborted where bytes are missing that were there when the object was opened."""
    wanted = min(COMPARED_BYTES, opened.size - at)
    found = opened.read_at(at, wanted)
    if len(found) != wanted:
        raise Aborted(f"only {at + len(found)} of {opened.size} bytes could be read")
    return found
