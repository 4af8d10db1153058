"""Update of metadata by JSON Patch (RFC 6902): the instance gets a new file that contains the old values."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gantry.containment import contain
from gantry.describing import Read, describe, describe_study_and_series
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import MAX_LIVE_HEADER, read_header, read_header_bytes
from gantry.dicom.updating import rebuild
from gantry.errors import Aborted, Code, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, StatusError
from gantry.ingest import identify
from gantry.json_patch import apply_patch, require_patch
from gantry.json_text import parse_json
from gantry.names import DicomStoreName, ResourcePath
from gantry.operations.blob_keys import blob_key
from gantry.resources import Failure, Instance, Replacement
from gantry.seams import BlobStore, Seams
from gantry.studies.uploads import Request, Uploads

__all__ = ["Placed", "require_patch", "update_batch", "update_instance"]

Placed = tuple[str, Instance]
"""An instance and its position in a walk."""


def update_instance(
    seams: Seams, uploads: Uploads, name: DicomStoreName, path: ResourcePath, patch: Any, web_url: str
) -> None:
    """Patch one instance. Raises NotFound, InvalidArgument for a patch that does not fit, and Aborted where the
    instance was changed meanwhile."""
    require_patch(patch)
    store_id = seams.index.resources.get_dicom_store(name).id
    for position, instance in seams.index.instances.walk_below(store_id, path):
        with uploads.request(store_id, instance.storage_class) as request:
            blobs = copy.deepcopy(seams.blobs)  # a flush reports the errors of one writer
            key = blob_key(request.directory, 0)
            updated = _update(_locate(seams, store_id, instance), key, patch, web_url, blobs)
            if updated is not None:
                _commit(seams, blobs, request, position, updated)
        return
    raise NotFound(f"{path} does not exist in this DICOM store")


def _locate(seams: Seams, store_id: int, instance: Instance) -> Instance:
    """The instance with its present blob key, which may have changed meanwhile."""
    try:
        with seams.blobs.open(instance.blob_key):
            return instance
    except NotFound:
        keys = seams.index.instances.find_blobs(store_id, [instance])
        return instance._replace(blob_key=keys.get(instance.uids, instance.blob_key))


def _commit(seams: Seams, blobs: BlobStore, request: Request, position: str, updated: tuple[Read, Read]) -> None:
    """Write the row. An error that is raised although the row was written is ignored."""
    before, read = updated
    try:
        (after,) = describe([read])
        assert isinstance(after, Instance)  # noqa: S101 - it was read
        blobs.flush()
        failed = seams.index.uploads.replace_instance(
            Replacement(position, before.instance, after, *describe_study_and_series(before))
        )
    except BaseException as error:
        kept = request.settle(seams, [read.instance])
        if not kept or not isinstance(error, StatusError):
            raise
        return
    if failed is not None:
        raise (NotFound if failed.status.code is Code.NOT_FOUND else Aborted)(failed.status.message)


def update_batch(
    placed: Sequence[Placed], keys: Sequence[str], *, patch: Any, web_url: str, blobs: BlobStore
) -> list[Replacement | Failure | None]:
    """Write patched copies as the blobs ``keys``; one outcome per instance, in order, durable on return.

    None stands for an instance that the patch does not change: nothing is written for it. An error of one instance
    becomes its Failure; ResourceExhausted (the server's own disk is full) is raised.
    """
    outcomes: list[Replacement | Failure | None] = []
    read: list[Read] = []
    for (position, instance), key in zip(placed, keys, strict=True):
        try:
            updated = _update(instance, key, patch, web_url, blobs)
        except ResourceExhausted:
            raise
        except StatusError as error:
            outcomes.append(Failure(instance.path, error.status))
            continue
        if updated is None:
            outcomes.append(None)
            continue
        before, after = updated
        read.append(after)
        outcomes.append(Replacement(position, instance, after.instance, *describe_study_and_series(before)))
    described = map(_describe_by_own_header, describe(read), read)
    blobs.flush()
    return [item._replace(after=next(described)) if isinstance(item, Replacement) else item for item in outcomes]


def _describe_by_own_header(after: Instance | Failure, read: Read) -> Instance:
    """Use the attributes of its own header, not of the first in its series: they are compared with its old ones."""
    assert isinstance(after, Instance) and after.description is not None  # noqa: S101 - it was read
    study, series = describe_study_and_series(read)
    return after._replace(description=after.description._replace(study=study, series=series))


def _update(instance: Instance, key: str, patch: Any, web_url: str, blobs: BlobStore) -> tuple[Read, Read] | None:
    """The old instance, and the new one in the blob ``key``; None where nothing changes. Raises StatusError."""
    with contain(instance.path, "while it was patched"):
        return _rewrite(instance, key, patch, web_url, blobs)


def _rewrite(instance: Instance, key: str, patch: Any, web_url: str, blobs: BlobStore) -> tuple[Read, Read] | None:
    with blobs.open(instance.blob_key) as opened:
        header = read_header(opened.read_at, opened.size)
        header_bytes = read_header_bytes(opened.read_at, opened.size, header.layout, MAX_LIVE_HEADER)
        if header_bytes is None:
            raise FailedPrecondition(f"the header has more than {MAX_LIVE_HEADER} bytes")
        bulk_uri = f"{web_url}/{instance.path}/bulkdata"
        attributes = parse_json(dicom_json(header_bytes, bulk_uri))
        wanted = apply_patch(attributes, patch)
        if json.dumps(wanted) == json.dumps(attributes):
            return None
        size = blobs.put(key, rebuild(opened, header, header_bytes, bulk_uri, wanted))
    try:
        with blobs.open(key) as made:
            after = identify(made, key, size, instance.storage_class, instance.resource)
        if after.instance.uids != instance.uids:
            raise InvalidArgument("the patch changes a UID of the instance")
    except Exception:
        with suppress(StatusError):
            blobs.delete(key)
        raise
    return Read(instance, header, header_bytes), after
