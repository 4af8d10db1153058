"""Keys of the blobs of an operation: ``PLACE/STORE/OPERATION/ATTEMPT-GROUP/BATCH.ITEM-…`` (``batch_writers``).

Prefixes do not contain the place: later batches sort after earlier ones, in whatever place each of them is.
ATTEMPT and GROUP are written by ``format_sortable``, so that any number of them sorts correctly. Names of older
versions, ``0001-000000/000``, begin with a digit and so sort before today's, which begin with a letter.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import islice
from string import ascii_lowercase

from gantry.errors import Cancelled, StatusError
from gantry.late_writes import make_late
from gantry.resources import Method, Operation
from gantry.rests import make_rest
from gantry.seams import Seams, without_gaps
from gantry.worker_calls import Check

logger = logging.getLogger(__name__)

_WRITING = (
    Method.IMPORT_DICOM_DATA,
    Method.SET_BLOB_STORAGE_SETTINGS,
    Method.UPDATE_STUDY_METADATA,
    Method.UPDATE_SERIES_METADATA,
)


_DELETED = 500  # blobs deleted in one call
_LISTED_ATTEMPTS = 100
_BATCHES = 1000  # in a group: three digits, and a directory of bounded size
_OLD = re.compile(r"(\d+)-(\d+)/(\d+)")
_OLD_ATTEMPTS = 9999  # old names have four digits, so up to here they sort like their numbers


def format_sortable(number: int) -> str:
    """A number, 0 or more, as its count of digits and its digits: these texts sort like their numbers.

    The count is a letter: ``a7``, ``b10``, ``c999``. From 26 digits on it is ``z`` and the count in this same form.
    """
    digits = str(number)
    most = len(ascii_lowercase)
    count = ascii_lowercase[len(digits) - 1] if len(digits) < most else f"z{format_sortable(len(digits))}"
    return count + digits


def operation_prefix(operation: Operation) -> str:
    return f"{operation.store_id}/{operation.name.id}/"


def attempt_prefix(operation: Operation) -> str:
    return f"{operation_prefix(operation)}{format_sortable(operation.attempt)}-"


def _next_attempt(operation: Operation) -> str:
    """What no blob of this attempt, and of those before it, sorts behind."""
    return f"{operation_prefix(operation)}{format_sortable(operation.attempt + 1)}-"


def batch_prefix(operation: Operation, number: int) -> str:
    return f"{attempt_prefix(operation)}{format_sortable(number // _BATCHES)}/{number % _BATCHES:03d}"


def parse_place(blob_key: str) -> str:
    """The place of a blob."""
    return blob_key.partition("/")[0]


def sweep_attempt(seams: Seams, operation: Operation, committed: str) -> None:
    """Remove what this attempt wrote after ``committed``, once another runner has claimed the operation."""
    _sweep(seams, operation, attempt_prefix(operation), committed)


def sweep_uncommitted(seams: Seams, operation: Operation, check: Check | None = None) -> None:
    """Remove blobs of batches that were written but never committed: no row names them. What cannot be removed now
    stays for the next attempt, or for the end of the operation."""
    seams.index.settle()  # before it says what is committed
    committed = seams.index.operations.get_operation(operation.name).blob_prefix
    failed = _sweep(seams, operation, operation_prefix(operation), committed, check)
    for error in failed.values():
        logger.warning("operation %s: what was not committed stays for now: %s", operation.name, error.message)
    if failed and not _parse_old_position(operation, committed):
        seams.index.garbage.add_blobs(_list_earlier(operation, list(failed), committed))


def _list_earlier(operation: Operation, places: Sequence[str], committed: str) -> list[str]:
    """What the attempts before this one have left: they write no more, and it sorts before what this one commits, so
    that no later sweep of the operation would find it. Earlier attempts have listed those before them."""
    attempts = range(max(1, operation.attempt - _LISTED_ATTEMPTS), operation.attempt)
    prefixes = [f"{operation_prefix(operation)}{format_sortable(number)}-" for number in attempts]
    return [str(make_rest(place, prefix, committed)) for place in places for prefix in prefixes]


def sweep_at_end(seams: Seams, operation: Operation, check: Check | None = None) -> list[str]:
    """The same, before the operation ends. Returns the places where something cannot be removed now: see
    ``list_rests``."""
    seams.index.settle()
    committed = seams.index.operations.get_operation(operation.name).blob_prefix
    return list(_sweep(seams, operation, operation_prefix(operation), committed, check))


def list_rests(operation: Operation, places: Sequence[str], committed: str) -> list[str]:
    """What an operation that is over has left in these places, for the list of garbage. It must not be there before:
    another attempt may commit more, which sorts after ``committed`` too."""
    if operation.method not in _WRITING or _parse_old_position(operation, committed):
        return []  # old names do not sort like their numbers
    return [str(make_rest(place, operation_prefix(operation), committed)) for place in places]


def list_late(seams: Seams, operation: Operation) -> list[str]:
    """Where what an operation that is over has given up may still come, for the list of garbage."""
    places = seams.late_places if operation.method in _WRITING else ()
    return [make_late(f"{place}/{operation_prefix(operation)}") for place in places]


def _sweep(
    seams: Seams, operation: Operation, prefix: str, committed: str, check: Check | None = None
) -> dict[str, StatusError]:
    """Place → why not all could be removed there."""
    failed: dict[str, StatusError] = {}
    # The settings may have changed since an earlier attempt, so its blobs may be in any place.
    for place in seams.places if operation.method in _WRITING else ():
        try:
            if operation.attempt > _OLD_ATTEMPTS and _parse_old_position(operation, committed):
                _sweep_old(seams, operation, f"{place}/", prefix, committed, check)
            else:
                # Nothing of a later attempt: another server may have taken the operation over, and have committed.
                before = f"{place}/{_next_attempt(operation)}"
                seams.blobs.delete_prefix(*make_rest(place, prefix, committed), check, before)
        except Cancelled:
            raise
        except StatusError as error:
            failed[place] = error
    return failed


def _sweep_old(
    seams: Seams, operation: Operation, place: str, prefix: str, committed: str, check: Check | None
) -> None:
    """Compare numbers: of the old names, ``10000-`` sorts before ``9999-``. Lists every blob of the operation."""
    last = _parse_old_position(operation, committed)
    found = (blob.key for blob in without_gaps(seams.blobs.list(place + prefix, check=check)))
    positions = ((key, _parse_old_position(operation, key.removeprefix(place))) for key in found)
    later = (key for key, position in positions if not position or position > last)
    while keys := list(islice(later, _DELETED)):
        for error in seams.blobs.delete_all(keys).values():
            raise error


def _parse_old_position(operation: Operation, key: str) -> tuple[int, ...]:
    """(attempt, group, batch) of a name in the old form; empty for any other name."""
    match = _OLD.match(key.removeprefix(operation_prefix(operation)))
    return tuple(map(int, match.groups())) if match else ()
