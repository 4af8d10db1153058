"""What three operations have in common: process each selected instance, in batches, from the checkpoint on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from gantry.operations.batches import cut, describe_death, run_batch, run_in_order
from gantry.operations.filtering import count_refused_before, list_instances, read_filter
from gantry.operations.moved_blobs import retry_moved
from gantry.resources import Batch, Failure, Instance, Operation
from gantry.seams import Check, Seams, WorkerDied

Out = TypeVar("Out")
Placed = tuple[str, Instance]
"""An instance and its position in a walk."""


@dataclass(frozen=True)
class Work(Generic[Out]):
    """What is done to instances. ``doing`` is for messages: "wrote this instance".

    ``submit(number, placed, offset)`` starts a batch, its items numbered from ``offset`` on. ``to_batch(number, placed,
    outcomes)`` returns the batch to commit; checkpoint, failures and total are added. ``again`` returns the outcomes of
    instances whose blobs were moved meanwhile; without it they are submitted again, under numbers that the batch has
    not used. ``on_drop`` is called with each batch that was killed by an interruption.
    """

    doing: str
    submit: Callable[[int, Sequence[Placed], int], Future[list[Out | Failure]]]
    to_batch: Callable[[int, Sequence[Placed], Sequence[Out | Failure]], Batch]
    again: Callable[[Sequence[Placed]], list[Out | Failure]] | None = None
    on_drop: Callable[[Sequence[Placed]], None] = lambda _: None
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

    def on_death(placed: Placed, error: WorkerDied) -> Out | Failure:
        return describe_death(placed[1].path, work.doing, error)

    def again(number: int, used: int, placed: Sequence[Placed]) -> list[Out | Failure]:
        return run_batch(lambda items, offset: work.submit(number, items, used + offset), placed, on_death, check)

    batches = cut(selected, lambda placed: placed[1].size, **work.limits)
    results = run_in_order(work.submit, batches, seams.window, on_death, check, work.on_drop)
    with closing(results):
        for number, placed, first in results:
            run = work.again or partial(again, number, len(placed))
            outcomes = retry_moved(seams, operation.store_id, placed, first, run)
            yield replace(
                work.to_batch(number, placed, outcomes),
                checkpoint=placed[-1][0],
                failures=tuple(outcome for outcome in outcomes if isinstance(outcome, Failure)),
                listed=refused + count,
            )
