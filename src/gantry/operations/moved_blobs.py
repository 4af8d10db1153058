"""Retries instances whose blobs were moved to another place after an operation had read their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gantry.errors import Code
from gantry.resources import Failure, StoredInstance
from gantry.seams import Seams

Out = TypeVar("Out")


def retry_moved(
    seams: Seams,
    store_id: int,
    instances: Sequence[StoredInstance],
    outcomes: Sequence[Out | Failure],
    run: Callable[[Sequence[StoredInstance]], Sequence[Out | Failure]],
) -> list[Out | Failure]:
    """The outcomes, where those that were NotFound are replaced by the outcomes of ``run`` with the present keys.

    Instances that were not moved, or were deleted, keep their outcome.
    """
    final = list(outcomes)
    gone = [number for number, outcome in enumerate(final) if _is_gone(outcome)]
    now = seams.index.instances.find_stored(store_id, [instances[number].uids for number in gone])
    moved = []
    for number in gone:
        before = instances[number]
        after = now.get(before.uids, before)
        if after.blob_key != before.blob_key:
            moved.append((number, after))
    if moved:
        again = run([item for _, item in moved])
        for (number, _), outcome in zip(moved, again, strict=True):
            final[number] = outcome
    return final


def _is_gone(outcome: object) -> bool:
    return isinstance(outcome, Failure) and outcome.status.code is Code.NOT_FOUND
