"""Destinations of exports: one that a bucket cannot hold is refused before an operation exists."""

from __future__ import annotations

from itertools import accumulate

from gantry.api.call import Call
from gantry.errors import StatusError, invalid_field
from gantry.seams import BucketUse
from gantry.storage.uris import MAX_KEY_BYTES, BucketKind, StorageUri

_FIELD = "gcsDestination.uriPrefix"
_MAX_SEGMENT = 255
"""Bytes of a file name on the usual file systems."""
_MAX_PREFIX = MAX_KEY_BYTES - 3 * 65 - len("/4294967295.dcm")
"""Bytes that leave room for three UIDs, a frame number and an extension."""


def check_destination_prefix(call: Call, prefix: StorageUri) -> None:
    """Raises InvalidArgument for a prefix, as ``parse_prefix`` returns it, below which nothing can be written.

    In a bucket of a provider every name can be written that is short enough. What only the bucket's owner can mend (it
    is missing, or is not writable) is reported by the operation.
    """
    if len(prefix.key.encode()) > _MAX_PREFIX:
        raise invalid_field(_FIELD, f"is longer than {_MAX_PREFIX} bytes")
    if call.context.seams.kind_of(prefix.bucket) is BucketKind.DIRECTORY:
        _check_directories(call, prefix)


def _check_directories(call: Call, prefix: StorageUri) -> None:
    segments = prefix.key.split("/")[:-1]
    if wrong := [segment for segment in segments if segment in ("", ".", "..")]:
        raise invalid_field(_FIELD, f"'{str(prefix)[:200]}' has the segment {wrong[0]!r}, which no directory can have")
    if any(len(segment.encode()) > _MAX_SEGMENT for segment in segments):
        raise invalid_field(_FIELD, f"has a segment of more than {_MAX_SEGMENT} bytes")
    for above in accumulate(segments, lambda path, name: f"{path}/{name}"):
        if _is_object(call, prefix.bucket, above):
            raise invalid_field(_FIELD, f"{prefix.bucket}/{above} is an object; name a directory or the bucket")


def _is_object(call: Call, bucket: str, key: str) -> bool:
    try:
        # Opened for writing, as the export will open it; here it is only read.
        call.context.seams.bucket(BucketUse(bucket, "write", f"{key}/", str(call.dataset))).head(key)
    except StatusError:
        return False
    return True
