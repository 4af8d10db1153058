"""Retries instances whose blobs were moved to another place after an operation had read their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gantry.errors import Code
from gantry.resources import Failure, Instance
from gantry.seams import Seams

Out = TypeVar("Out")
Placed = tuple[str, Instance]


def retry_moved(
    seams: Seams,
    store_id: int,
    placed: Sequence[Placed],
    outcomes: Sequence[Out | Failure],
    run: Callable[[Sequence[Placed]], Sequence[Out | Failure]],
) -> list[Out | Failure]:
    """The outcomes, where those that were NotFound are replaced by the outcomes of ``run`` with the present keys.

    Instances that were not moved, or were deleted, keep their outcome.
    """
    final = list(outcomes)
    gone = [number for number, outcome in enumerate(final) if _is_gone(outcome)]
    keys = seams.index.instances.find_blobs(store_id, [placed[number][1] for number in gone])
    moved = []
    for number in gone:
        position, instance = placed[number]
        key = keys.get(instance.uids, instance.blob_key)
        if key != instance.blob_key:
            moved.append((number, (position, instance._replace(blob_key=key))))
    if moved:
        again = run([item for _, item in moved])
        for (number, _), outcome in zip(moved, again, strict=True):
            final[number] = outcome
    return final


def _is_gone(outcome: object) -> bool:
    return isinstance(outcome, Failure) and outcome.status.code is Code.NOT_FOUND
