"""Update of metadata by JSON Patch (RFC 6902): the instance gets a new file that contains the old values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from gantry.beats import SYNC_SECONDS, beat, beat_for
from gantry.containment import contain
from gantry.describing import Read, describe, describe_study_and_series
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import MAX_LIVE_HEADER, read_header, read_header_bytes
from gantry.dicom.updating import rebuild
from gantry.errors import Aborted, Code, FailedPrecondition, InvalidArgument, NotFound, StatusError
from gantry.events import Action
from gantry.ingest import identify
from gantry.json_patch import apply_patch, require_patch
from gantry.json_text import parse_json
from gantry.names import DicomStoreName, ResourcePath
from gantry.operations.batch_writers import BatchWriters, make_outcomes
from gantry.resources import Failure, Instance, Replacement, StoredInstance
from gantry.seams import Blobs, BlobWriter, Seams
from gantry.stored_bytes import WrittenSums, make_lost, open_stored, require_as_written
from gantry.studies.uploads import Request, Uploads

__all__ = ["require_patch", "update_batch", "update_instance"]


def update_instance(
    seams: Seams, uploads: Uploads, name: DicomStoreName, path: ResourcePath, patch: Any, web_url: str
) -> None:
    """Patch one instance. Raises NotFound, InvalidArgument for a patch that does not fit, and Aborted where the
    instance was changed meanwhile."""
    require_patch(patch)
    store_id = seams.index.resources.get_dicom_store(name).id
    for instance in seams.index.instances.walk_below(store_id, path):
        now = _locate(seams, store_id, instance)
        with uploads.request(store_id) as request:
            try:
                sums = WrittenSums(seams.blobs, [now.blob_key])
                found = _update(now, request.writer(now.storage_class), patch, web_url, seams.blobs, sums)
            except NotFound:
                raise _explain_gone(seams, store_id, now) from None
            if found is not None:
                _commit(seams, request, now, found)
        return
    raise NotFound(f"{path} does not exist in this DICOM store")


def _locate(seams: Seams, store_id: int, instance: StoredInstance) -> StoredInstance:
    """The instance with its present blob key and storage class, which may have changed meanwhile."""
    try:
        with seams.blobs.open(instance.blob_key):
            return instance
    except NotFound:
        return seams.index.instances.find_stored(store_id, [instance.uids]).get(instance.uids, instance)


def _explain_gone(seams: Seams, store_id: int, instance: StoredInstance) -> StatusError:
    """Why there are no bytes at the place where they were looked for just now."""
    now = seams.index.instances.find_stored(store_id, [instance.uids]).get(instance.uids)
    if now is None:
        return NotFound(f"instance {instance.sop_instance_uid} was deleted just now")
    if now.blob_key != instance.blob_key:
        return Aborted(f"instance {instance.sop_instance_uid} was changed or moved just now", advice="try again")
    return make_lost(instance.sop_instance_uid)


def _commit(seams: Seams, request: Request, stored: StoredInstance, found: tuple[Read, Read]) -> None:
    """An error that comes after the row has been written is none: the row is looked at."""
    before, read = found
    try:
        (after,) = describe([read])
        assert isinstance(after, Instance)  # noqa: S101 - it was read
        request.flush()
        replacement = Replacement(stored, after, *describe_study_and_series(before))
        failed = seams.index.uploads.replace_instance(request.store_id, replacement, Action.UPDATE)
    except BaseException as error:
        kept = request.settle([read.instance])
        if not kept or not isinstance(error, StatusError):
            raise
        return
    if failed is not None:
        raise (NotFound if failed.status.code is Code.NOT_FOUND else Aborted)(failed.status.message)


def update_batch(
    instances: Sequence[StoredInstance],
    places: Sequence[str],
    prefix: str,
    *,
    patch: Any,
    web_url: str,
    blobs: Blobs,
) -> list[Replacement | Failure | None]:
    """Write patched copies, each to its place; one outcome per instance, in order, durable on return.

    ``prefix`` is where the call writes to in each place.
    None stands for an instance that the patch leaves as it is: nothing is written for it. What is wrong with one
    becomes its Failure; what an operation
    waits for (``waits_for``) is raised.
    """
    outcomes: list[Replacement | Failure | None] = []
    read: list[Read] = []
    sums = WrittenSums(blobs, [instance.blob_key for instance in instances])
    with BatchWriters(blobs, prefix) as writers:
        for instance, place in zip(instances, places, strict=True):
            beat_for(instance.size)
            try:
                found = _update(instance, writers.at(place), patch, web_url, blobs, sums)
            except StatusError as error:
                if error.waits_for is not None:
                    raise
                outcomes.append(Failure(instance.path, error.status))
                continue
            if found is None:
                outcomes.append(None)
                continue
            before, after = found
            read.append(after)
            outcomes.append(Replacement(instance, after.instance, *describe_study_and_series(before)))
        described = map(_describe_by_own_header, describe(read), read)
        beat(SYNC_SECONDS)
        writers.flush()
    whole = [item._replace(after=next(described)) if isinstance(item, Replacement) else item for item in outcomes]
    return make_outcomes(whole, writers)


def _describe_by_own_header(after: Instance | Failure, read: Read) -> Instance:
    """Use the attributes of its own header, not of the first in its series: they are compared with its old ones."""
    assert isinstance(after, Instance) and after.description is not None  # noqa: S101 - it was read
    study, series = describe_study_and_series(read)
    return after._replace(description=after.description._replace(study=study, series=series))


def _update(
    instance: StoredInstance, writer: BlobWriter, patch: Any, web_url: str, blobs: Blobs, sums: WrittenSums
) -> tuple[Read, Read] | None:
    """The instance as it was, and as ``writer`` has written it; None where nothing changes. Raises StatusError."""
    with contain(instance.path, "while it was patched"):
        return _rewrite(instance, writer, patch, web_url, blobs, sums)


def _rewrite(
    instance: StoredInstance, writer: BlobWriter, patch: Any, web_url: str, blobs: Blobs, sums: WrittenSums
) -> tuple[Read, Read] | None:
    with open_stored(blobs, instance.blob_key, instance.size) as opened:
        header = read_header(opened.read_at, opened.size)
        header_bytes = read_header_bytes(opened.read_at, opened.size, header.layout, MAX_LIVE_HEADER)
        if header_bytes is None:
            raise FailedPrecondition(f"the header has more than {MAX_LIVE_HEADER} bytes")
        bulk_uri = f"{web_url}/{instance.path}/bulkdata"
        attributes = parse_json(dicom_json(header_bytes, bulk_uri))
        wanted = apply_patch(attributes, patch)
        if json.dumps(wanted) == json.dumps(attributes):
            return None
        require_as_written(opened, sums.get(instance.blob_key))
        key, size = writer.put(rebuild(opened, header, header_bytes, bulk_uri, wanted), instance.uids)
    try:
        with blobs.open(key) as made:
            after = identify(made, key, size, instance.storage_class, instance.path)
        if after.instance.uids != instance.uids:
            raise InvalidArgument("the patch changes a UID of the instance")
    except Exception:
        with ExitStack() as undo:
            undo.callback(_discard, writer, key)
            writer.flush()  # the disk may have refused to keep it, for another request: then that is the error
        raise
    return Read(instance.to_instance(), header, header_bytes), after


def _discard(writer: BlobWriter, key: str) -> None:
    with suppress(StatusError):  # the end of the writer tries again
        writer.discard(key)
