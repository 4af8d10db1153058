"""Cutting work into batches and running them in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from gantry.errors import Code, Status
from gantry.operations.interruption import go_on
from gantry.resources import Failure
from gantry.seams import Check, WorkerDied, WorkerTimedOut, end_calls, result_of

MAX_ITEMS = 512
MAX_BYTES = 128 << 20
FIRST_ITEMS = 32
ATTEMPTS_ALONE = 3
"""How often an item is tried alone once its batch has lost its worker. Only deaths while it runs count (``executors``):
three in a row, of a worker that does nothing else, are no chance any more."""

In = TypeVar("In")
Out = TypeVar("Out")
Submit = Callable[[int, Sequence[In], int], "Future[list[Out]]"]


def cut(
    items: Iterable[In], size_of: Callable[[In], int], max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
) -> Iterator[list[In]]:
    """Batches of at most ``max_items`` items and ``max_bytes`` bytes, so that each is a bounded piece of time.

    The first ones are small: progress shows at once, and small operations use all workers.
    """
    batch: list[In] = []
    size, limit = 0, min(FIRST_ITEMS, max_items)
    for item in items:
        if batch and (len(batch) >= limit or size + size_of(item) > max_bytes):
            yield batch
            batch, size, limit = [], 0, min(limit * 2, max_items)
        batch.append(item)
        size += size_of(item)
    if batch:
        yield batch


def run_in_order(
    submit: Submit[In, Out],
    batches: Iterable[Sequence[In]],
    window: int,
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
    on_drop: Callable[[Sequence[In]], None] = lambda _: None,
) -> Generator[tuple[int, Sequence[In], list[Out]], None, None]:
    """Yield (number, batch, outcomes) in the order of ``batches``, at most ``window`` of them under way.

    ``submit(number, items, offset)`` starts the items of a batch from ``offset`` on; ``outcomes_of`` says what
    becomes of dead workers. ``check`` is called while workers are waited for; what it raises ends the work.
    Closing the generator ends what is under way; ``on_drop`` gets each batch whose worker was ended for that.
    """
    under_way: deque[tuple[int, Sequence[In], Future[list[Out]]]] = deque()

    def oldest() -> tuple[int, Sequence[In], list[Out]]:
        number, batch, future = under_way[0]
        outcomes = outcomes_of(future, partial(submit, number), batch, on_death, check)
        under_way.popleft()
        return number, batch, outcomes

    try:
        for number, batch in enumerate(batches):
            under_way.append((number, batch, submit(number, batch, 0)))
            if len(under_way) >= window:
                yield oldest()
        while under_way:
            yield oldest()
    finally:
        ended = end_calls([future for _, _, future in under_way])
        for _, batch, future in under_way:
            if future in ended:
                on_drop(batch)


def outcomes_of(
    future: Future[list[Out]],
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    batch: Sequence[In],
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
) -> list[Out]:
    """The outcomes of a batch under way. If its worker died, the batch is run again item by item.

    An item whose worker dies every time, or runs out of time, gets ``on_death``; the others are not touched by it.
    """
    try:
        return result_of(future, check)
    except WorkerDied:
        return [_alone(submit, item, offset, on_death, check) for offset, item in enumerate(batch)]


def run_batch(
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    batch: Sequence[In],
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
) -> list[Out]:
    """The outcomes of one batch by itself, as ``outcomes_of``; its call is ended where ``check`` raises."""
    future = submit(batch, 0)
    try:
        return outcomes_of(future, submit, batch, on_death, check)
    finally:
        end_calls([future])


def died(resource: str, doing: str, error: WorkerDied) -> Failure:
    """The outcome of an item whose worker died with it, even alone. ``doing``: "read this object"."""
    if isinstance(error, WorkerTimedOut):
        message = f"a frame takes longer than {error.seconds:g} seconds; its data may be damaged"
        return Failure(resource, Status(Code.DEADLINE_EXCEEDED, message))
    return Failure(resource, Status(Code.INTERNAL, f"the worker process died while it {doing}"))


def _alone(
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    item: In,
    offset: int,
    on_death: Callable[[In, WorkerDied], Out],
    check: Check,
) -> Out:
    for attempt in range(1, ATTEMPTS_ALONE + 1):
        future = submit([item], offset)
        try:
            return result_of(future, check)[0]
        except WorkerDied as error:
            # Once may be chance: the machine was short of memory, somebody killed the process. Time is no chance.
            if attempt == ATTEMPTS_ALONE or isinstance(error, WorkerTimedOut):
                return on_death(item, error)
        finally:
            end_calls([future])
    raise AssertionError("unreachable")
