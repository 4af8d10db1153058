"""Where the bytes of an operation lie: ``PLACE/STORE/OPERATION/ATTEMPT-GROUP/BATCH/NUMBER.dcm``.

Prefixes stand without the place: names of later batches sort after earlier ones, in whichever place each of them is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gantry.errors import Code
from gantry.resources import Failure, Method, Operation
from gantry.seams import Seams

_WRITING = (
    Method.IMPORT_DICOM_DATA,
    Method.SET_BLOB_STORAGE_SETTINGS,
    Method.UPDATE_STUDY_METADATA,
    Method.UPDATE_SERIES_METADATA,
)


def operation_prefix(operation: Operation) -> str:
    return f"{operation.store_id}/{operation.name.id}/"


def attempt_prefix(operation: Operation) -> str:
    return f"{operation_prefix(operation)}{operation.attempt:04d}-"


def batch_prefix(operation: Operation, number: int) -> str:
    return f"{attempt_prefix(operation)}{number // 1000:06d}/{number % 1000:03d}"


def blob_key(directory: str, number: int) -> str:
    """Of an item of a batch, by its number in the batch."""
    return f"{directory}/{number:04d}.dcm"


def half_written(outcomes: Sequence[object], directory: str) -> Iterator[str]:
    """Where a worker that died may have left a part of an item's bytes."""
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Failure) and outcome.status.code is Code.INTERNAL:
            yield blob_key(directory, number)


def place_in(blob_key: str) -> str:
    """The place of a blob."""
    return blob_key.partition("/")[0]


def sweep_attempt(seams: Seams, operation: Operation, committed: str) -> None:
    """Remove what this attempt wrote after ``committed``: the operation went to somebody else meanwhile."""
    _sweep(seams, operation, attempt_prefix(operation), committed)


def sweep_uncommitted(seams: Seams, operation: Operation) -> None:
    """Remove blobs of batches that were written but never committed: nothing points to them."""
    committed = seams.index.operations.get_operation(operation.name).blob_prefix
    _sweep(seams, operation, operation_prefix(operation), committed)


def _sweep(seams: Seams, operation: Operation, prefix: str, committed: str) -> None:
    if operation.method in _WRITING:
        # Settings may have changed since an earlier attempt, so its bytes may be in any place.
        for place in seams.places:
            seams.blobs.delete_prefix(f"{place}/{prefix}", f"{place}/{committed}/~" if committed else "")
