"""What three operations have in common: process each selected instance, in batches, from the checkpoint on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar

from gantry.operations.batches import cut, describe_death, run_batch, run_in_order
from gantry.operations.filtering import count_refused_before, list_instances, read_filter
from gantry.operations.moved_blobs import retry_moved
from gantry.resources import Batch, Failure, Operation, StoredInstance
from gantry.seams import Seams
from gantry.worker_calls import Check, WorkerDied

Out = TypeVar("Out")


@dataclass(frozen=True)
class Work(Generic[Out]):
    """What is done to instances. ``doing`` is for messages: "wrote this instance".

    ``submit(number, instances, offset)`` starts a batch, its items numbered from ``offset`` on. ``to_batch(number,
    instances, outcomes)`` returns the batch to commit; checkpoint, failures and total are added. ``again`` returns the
    outcomes of instances whose blobs were moved meanwhile; without it they are submitted again, under numbers that the
    batch has not used. ``on_drop`` is called at the end with each batch whose worker has died or was killed.
    """

    doing: str
    submit: Callable[[int, Sequence[StoredInstance], int], Future[list[Out | Failure]]]
    to_batch: Callable[[int, Sequence[StoredInstance], Sequence[Out | Failure]], Batch]
    again: Callable[[Sequence[StoredInstance]], list[Out | Failure]] | None = None
    on_drop: Callable[[Sequence[StoredInstance]], None] = lambda _: None
    limits: dict[str, Any] = field(default_factory=dict)


def process_instances(
    seams: Seams, operation: Operation, work: Work[Out], check: Check
) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing filter file or its bucket."""
    refused = count_refused_before(operation)
    for batch in read_filter(seams, operation, check):
        refused += len(batch.failures)
        yield batch
    count, selected = list_instances(seams, operation)

    def on_death(instance: StoredInstance, error: WorkerDied) -> Out | Failure:
        return describe_death(instance.path, work.doing, error)

    def again(number: int, used: int, moved: Sequence[StoredInstance]) -> list[Out | Failure]:
        return run_batch(lambda items, offset: work.submit(number, items, used + offset), moved, on_death, check)

    batches = cut(selected, attrgetter("size"), **work.limits)
    results = run_in_order(work.submit, batches, seams.window, on_death, check, work.on_drop)
    with closing(results):
        for number, instances, first in results:
            run = work.again or partial(again, number, len(instances))
            outcomes = retry_moved(seams, operation.store_id, instances, first, run)
            yield replace(
                work.to_batch(number, instances, outcomes),
                checkpoint=instances[-1].position,
                failures=tuple(outcome for outcome in outcomes if isinstance(outcome, Failure)),
                listed=refused + count,
            )
