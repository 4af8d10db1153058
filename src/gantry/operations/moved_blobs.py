"""Retries instances whose blobs were moved to another place after an operation had read their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gantry.errors import Code, NotFound
from gantry.reasons import Reason
from gantry.resources import Failure, StoredInstance, Uids
from gantry.seams import Seams
from gantry.stored_bytes import make_lost

Out = TypeVar("Out")
_LOOKS = 3
"""How often an instance whose bytes are not where they were is looked up."""


def retry_moved(
    seams: Seams,
    store_id: int,
    instances: Sequence[StoredInstance],
    outcomes: Sequence[Out | Failure],
    run: Callable[[Sequence[StoredInstance]], Sequence[Out | Failure]],
) -> list[Out | Failure]:
    """The outcomes, where those that were NotFound are replaced by the outcomes of ``run`` with the present keys.

    An instance that was deleted is still NotFound; bytes that are not where the row says are DataLoss.
    """
    final, known = list(outcomes), list(instances)
    for _ in range(_LOOKS):
        gone = [number for number, outcome in enumerate(final) if _is_gone(outcome)]
        now = seams.index.instances.find_stored(store_id, [known[number].uids for number in gone])
        moved = [number for number in gone if _is_elsewhere(known[number], now)]
        for number in gone:
            if number not in moved:
                final[number] = _explain(known[number], now)
        if not moved:
            break
        for number in moved:
            known[number] = now[known[number].uids]
        for number, outcome in zip(moved, run([known[number] for number in moved]), strict=True):
            final[number] = outcome
    return [
        _explain(known[number], {known[number].uids: known[number]}) if _is_gone(outcome) else outcome
        for number, outcome in enumerate(final)
    ]


def _is_gone(outcome: object) -> bool:
    return isinstance(outcome, Failure) and outcome.status.code is Code.NOT_FOUND


def _is_elsewhere(before: StoredInstance, now: dict[Uids, StoredInstance]) -> bool:
    return before.uids in now and now[before.uids].blob_key != before.blob_key


def _explain(before: StoredInstance, now: dict[Uids, StoredInstance]) -> Failure:
    if before.uids in now:
        return Failure(before.path, make_lost(before.sop_instance_uid).status)
    return Failure(before.path, NotFound("this instance was deleted meanwhile", kind=Reason.INSTANCE_GONE).status)
