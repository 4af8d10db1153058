"""Update of metadata by JSON Patch (RFC 6902): a new file around the old values, in place of the old one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gantry.dicom.json_model import dicom_json
from gantry.dicom.json_patch import patched, rebuilt
from gantry.dicom.part10 import MAX_LIVE_SKELETON, read_header, read_skeleton
from gantry.errors import FailedPrecondition, NotFound
from gantry.names import DicomStoreName, ResourcePath
from gantry.seams import Seams
from gantry.studies.retrieve import open_blob
from gantry.studies.store import Incoming, Stored, store
from gantry.studies.uploads import Uploads


def update_metadata(
    seams: Seams, uploads: Uploads, name: DicomStoreName, path: ResourcePath, patch: Any, web_url: str
) -> Stored:
    """Raises NotFound for the instance, and InvalidArgument for a patch that does not fit it."""
    row = next(seams.index.found_below(name, path))
    blob = open_blob(seams, name, row)
    if blob is None:
        raise NotFound(f"{path} was deleted just now")
    with blob:
        header = read_header(blob.read_at, blob.size)
        skeleton = read_skeleton(blob.read_at, blob.size, header.layout, MAX_LIVE_SKELETON)
        if skeleton is None:
            raise FailedPrecondition(f"the header of {path} has more than {MAX_LIVE_SKELETON} bytes")
        bulk_uri = f"{web_url}/{path}/bulkdata"
        attributes = patched(json.loads(dicom_json(skeleton, bulk_uri)), patch)
        chunks = rebuilt(blob, header, skeleton, bulk_uri, attributes)
        return store(seams, uploads, name, _one(str(path), chunks), path.study, replace=True)


def _one(name: str, chunks: Iterator[bytes]) -> Iterator[Incoming]:
    yield Incoming(name, chunks)
