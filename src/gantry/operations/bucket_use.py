"""How an operation uses a bucket: the one that it began with, to its end."""

from __future__ import annotations

from typing import Literal

from gantry.errors import BucketAway, NotFound
from gantry.resources import Operation
from gantry.seams import Bucket, BucketUse, Seams

_ADVICE = "mount it; if it is gone for good, cancel the operation and start it again"


def open_bucket(
    seams: Seams, operation: Operation, bucket: str, right: Literal["read", "write"], prefix: str
) -> Bucket:
    """The bucket. What tells it from another one is kept with the operation, before anything is read or written.

    Raises PermissionDenied, and NotFound where it does not exist. Where it was there when the operation began and is
    not any more, or is another one, raises BucketAway: it is not mounted yet.
    """
    before = str(operation.request.get(bucket, ""))
    use = BucketUse(bucket, right, prefix, str(operation.name.dataset), str(operation.name.id))
    try:
        found = seams.bucket(use)
    except NotFound:
        if not before:
            raise
        raise BucketAway(f"bucket {bucket} was there and is not any more", advice=_ADVICE) from None
    if not before:
        seams.index.operations.add_to_request(operation.name, {bucket: found.identity})
    elif not found.is_same(before):
        raise BucketAway(f"bucket {bucket} is not the one that the operation began with", advice=_ADVICE)
    return found
