"""Where the bytes of an operation lie: ``PLACE/STORE/OPERATION/ATTEMPT-GROUP/BATCH/NUMBER.dcm``.

Prefixes stand without the place: names of later batches sort after earlier ones, in whichever place each of them is.
ATTEMPT and GROUP are written by ``sortable``, so that this holds however many there are. Names of an earlier form,
``0001-000000/000``, begin with a digit: they sort before the letters of today.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_lowercase

from gantry.errors import Code
from gantry.resources import Failure, Method, Operation
from gantry.seams import Check, Seams, without_gaps

_WRITING = (
    Method.IMPORT_DICOM_DATA,
    Method.SET_BLOB_STORAGE_SETTINGS,
    Method.UPDATE_STUDY_METADATA,
    Method.UPDATE_SERIES_METADATA,
)


_BATCHES = 1000  # in a group: three digits are enough, and no directory grows without end
_OLD = re.compile(r"(\d+)-(\d+)/(\d+)")
_OLD_ATTEMPTS = 9999  # up to here the old names sort as their numbers do


def sortable(number: int) -> str:
    """Digits of a number, 0 or more, behind their count: texts sort as their numbers do, of any length.

    The count is a letter: ``a7``, ``b10``, ``c999``. From 26 digits on it is ``z`` and the sortable count.
    """
    digits = str(number)
    most = len(ascii_lowercase)
    count = ascii_lowercase[len(digits) - 1] if len(digits) < most else f"z{sortable(len(digits))}"
    return count + digits


def operation_prefix(operation: Operation) -> str:
    return f"{operation.store_id}/{operation.name.id}/"


def attempt_prefix(operation: Operation) -> str:
    return f"{operation_prefix(operation)}{sortable(operation.attempt)}-"


def batch_prefix(operation: Operation, number: int) -> str:
    return f"{attempt_prefix(operation)}{sortable(number // _BATCHES)}/{number % _BATCHES:03d}"


def blob_key(directory: str, number: int) -> str:
    """Of an item of a batch, by its number in the batch. No order is needed here: a batch is committed as a whole."""
    return f"{directory}/{number:04d}.dcm"


def half_written(outcomes: Sequence[object], keys: Sequence[str]) -> tuple[str, ...]:
    """Those of the items' keys where a worker that died may have left a part of the bytes."""
    return tuple(
        key
        for outcome, key in zip(outcomes, keys, strict=True)
        if isinstance(outcome, Failure) and outcome.status.code is Code.INTERNAL
    )


def place_in(blob_key: str) -> str:
    """The place of a blob."""
    return blob_key.partition("/")[0]


def sweep_attempt(seams: Seams, operation: Operation, committed: str) -> None:
    """Remove what this attempt wrote after ``committed``: the operation went to somebody else meanwhile."""
    _sweep(seams, operation, attempt_prefix(operation), committed)


def sweep_uncommitted(seams: Seams, operation: Operation, check: Check | None = None) -> None:
    """Remove blobs of batches that were written but never committed: nothing points to them."""
    committed = seams.index.operations.get_operation(operation.name).blob_prefix
    _sweep(seams, operation, operation_prefix(operation), committed, check)


def _sweep(seams: Seams, operation: Operation, prefix: str, committed: str, check: Check | None = None) -> None:
    if operation.method not in _WRITING:
        return
    # Settings may have changed since an earlier attempt, so its bytes may be in any place.
    for place in seams.places:
        if operation.attempt > _OLD_ATTEMPTS and _old_position(operation, committed):
            _sweep_old(seams, operation, f"{place}/", prefix, committed, check)
        else:
            seams.blobs.delete_prefix(f"{place}/{prefix}", f"{place}/{committed}/~" if committed else "", check)


def _sweep_old(
    seams: Seams, operation: Operation, place: str, prefix: str, committed: str, check: Check | None
) -> None:
    """By number: among the old names ``10000-`` sorts before ``9999-``. Looks at every blob of the operation."""
    last = _old_position(operation, committed)
    for found in without_gaps(seams.blobs.list(place + prefix, check=check)):
        position = _old_position(operation, found.key.removeprefix(place))
        if not position or position > last:
            seams.blobs.delete(found.key)


def _old_position(operation: Operation, key: str) -> tuple[int, ...]:
    """Attempt, group and batch of a name in the earlier form; empty for one of today's form."""
    match = _OLD.match(key.removeprefix(operation_prefix(operation)))
    return tuple(map(int, match.groups())) if match else ()
