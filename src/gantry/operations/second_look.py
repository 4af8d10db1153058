"""Bytes that were moved to another place after an operation had read where they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gantry.errors import Code
from gantry.resources import Failure, StoredInstance
from gantry.seams import Seams

Out = TypeVar("Out")


def look_again(
    seams: Seams,
    store_id: int,
    instances: Sequence[StoredInstance],
    outcomes: Sequence[Out | Failure],
    run: Callable[[Sequence[StoredInstance]], Sequence[Out | Failure]],
) -> list[Out | Failure]:
    """The outcomes, those that were NotFound replaced by what ``run`` makes of where the bytes are now.

    Instances that have not moved, or are not there any more, keep their outcome.
    """
    found = list(outcomes)
    gone = [number for number, outcome in enumerate(found) if _is_gone(outcome)]
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
            found[number] = outcome
    return found


def _is_gone(outcome: object) -> bool:
    return isinstance(outcome, Failure) and outcome.status.code is Code.NOT_FOUND
