"""Temporary objects of exports that nobody is left to remove, as one key for each export in the list of garbage.

The key is listed before an export writes anything. One that ends without an error, a failure or a second attempt has
left nothing, and takes its key from the list. Every other may have: its worker or its server was killed, or the bucket
was away when an object should have been removed. Then the bucket is searched once the operation is over, again and
again until it is there and nothing is left. Only what has the number of the operation in its name, or is written down
as its upload, is removed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection
from typing import NamedTuple

from gantry.calls_that_hang import hearing
from gantry.errors import BucketAway, InvalidArgument, NotFound, StatusError
from gantry.names import OperationName, parse_operation_name
from gantry.operations.interruption import make_stop_check
from gantry.resources import Operation
from gantry.seams import Bucket, BucketUse, Seams
from gantry.storage.uris import StorageUri
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

_MARK = "unfinished/"  # no place has this name; it sorts behind all of them
_KEYS = 500  # of one query
_LEVELS = 3  # STUDY/SERIES/INSTANCE/FRAME: separators in a key behind the prefix of its export


class Unfinished(NamedTuple):
    """An export, and where it writes. ``identity`` tells the bucket from another one in its place."""

    operation: str
    bucket: str
    prefix: str
    identity: str

    def __str__(self) -> str:
        return _MARK + json.dumps(self)

    @property
    def name(self) -> OperationName:
        return parse_operation_name(self.operation)


def is_unfinished(key: str) -> bool:
    """Whether a key in the list of garbage is that of an export."""
    return key.startswith(_MARK)


def list_unfinished(seams: Seams, operation: Operation, prefix: StorageUri, destination: Bucket) -> str:
    """List an export; its key. Raises BucketAway, and what the index raises."""
    identity = str(operation.request.get(prefix.bucket) or destination.identity)
    key = str(Unfinished(str(operation.name), prefix.bucket, prefix.key, identity))
    seams.index.garbage.add_blobs([key])
    return key


def sweep_unfinished(seams: Seams, stopping: threading.Event, running: Callable[[], Collection[int]] = tuple) -> None:
    """Remove what exports that are over have left. ``running`` are the numbers of operations that this process runs.
    Where something cannot be removed the export stays listed, and is tried again less and less often. Raises Stopping,
    and what the index raises."""
    check, last = make_stop_check(stopping), _MARK
    seams.index.settle()
    while keys := [key for key in seams.index.garbage.list_blobs(last, _KEYS) if is_unfinished(key)]:
        for key in keys:
            check()
            export = Unfinished(*json.loads(key.removeprefix(_MARK)))
            if seams.undeletable.is_due(key) and export.name.id not in running() and _is_over(seams, export):
                _sweep(seams, key, export, check)
        last = keys[-1]


def _is_over(seams: Seams, export: Unfinished) -> bool:
    try:
        return seams.index.operations.get_operation(export.name).done
    except (NotFound, InvalidArgument, ValueError):
        return True  # its row is gone, or damaged: then it has ended, or will as soon as it is claimed


def _sweep(seams: Seams, key: str, export: Unfinished, check: Check) -> None:
    try:
        with hearing(check):
            _remove(seams, export, check)
    except StatusError as error:
        if seams.undeletable.fail(key):
            logger.warning("operation %s: what was not finished stays for now: %s", export.operation, error.message)
        return
    seams.index.garbage.forget_blobs([key])
    seams.undeletable.succeed(key)


def _remove(seams: Seams, export: Unfinished, check: Check) -> None:
    """Raises NotFound and BucketAway also where the bucket is another one: it may not be mounted."""
    name = export.name
    bucket = seams.bucket(BucketUse(export.bucket, "write", export.prefix, str(name.dataset), str(name.id)))
    if not bucket.is_same(export.identity):
        raise BucketAway(f"bucket {export.bucket} is not the one that the operation wrote to")
    bucket.delete_unfinished(export.prefix, export.prefix.count("/") + _LEVELS, check)
