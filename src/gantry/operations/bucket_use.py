"""How an operation uses a bucket."""

from __future__ import annotations

from typing import Literal

from gantry.resources import Operation
from gantry.seams import BucketUse


def bucket_use(operation: Operation, bucket: str, right: Literal["read", "write"], prefix: str) -> BucketUse:
    return BucketUse(bucket, right, prefix, str(operation.name.dataset), str(operation.name.id))
