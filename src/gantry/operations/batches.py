"""Cuts work into batches and runs them in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from gantry.errors import Code, NoWorker, Status
from gantry.operations.interruption import go_on
from gantry.reasons import Reason
from gantry.resources import Failure
from gantry.worker_calls import (
    Check,
    Window,
    WorkerDied,
    WorkerTimedOut,
    count_attempts,
    end_calls,
    read_window,
    wait_for_result,
)

MAX_ITEMS, MAX_BYTES = 512, 128 << 20  # a batch takes about a second: the unit of progress and of loss in a crash
FIRST_ITEMS = 32  # items of the first batch
ATTEMPTS_ALONE = 3
"""How often an item is tried alone after the worker of its batch has died. Only deaths while it runs count (see
``executors``): three in a row, of a worker that does nothing else, are caused by the item."""

SILENT_ITEMS = 3
"""So many objects in a row run out of time: then their disk hangs, or their bucket, and none of them is the cause."""

In = TypeVar("In")
Out = TypeVar("Out")
Submit = Callable[[int, Sequence[In], int], "Future[list[Out]]"]


def cut(
    items: Iterable[In],
    size_of: Callable[[In], int],
    max_items: int = MAX_ITEMS,
    max_bytes: int = MAX_BYTES,
    first_items: int = FIRST_ITEMS,
) -> Iterator[list[In]]:
    """Batches of at most ``max_items`` items and ``max_bytes`` bytes, so that each takes a bounded time.

    The first ones are small, so that progress shows early and small operations use all workers.
    """
    batch: list[In] = []
    size, limit = 0, min(first_items, max_items)
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
    window: Window,
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
    on_drop: Callable[[Sequence[In]], None] = lambda _: None,
) -> Generator[tuple[int, Sequence[In], list[Out]], None, None]:
    """Yield (number, batch, outcomes) in the order of ``batches``, while at most ``window`` of them run.

    ``submit(number, items, offset)`` starts the items of a batch from ``offset`` on. For dead workers see
    ``collect_outcomes``. ``check`` is called while waiting; an exception that it raises ends the work.
    Closing the generator ends running batches. At the end, when nothing runs any more, ``on_drop`` is called with each
    batch whose worker has died or was killed.
    """
    running: deque[tuple[int, Sequence[In], Future[list[Out]]]] = deque()
    died: list[Sequence[In]] = []

    def collect_oldest() -> tuple[int, Sequence[In], list[Out]]:
        number, batch, future = running[0]
        outcomes = collect_outcomes(future, partial(submit, number), batch, on_death, check)
        running.popleft()
        if _has_died(future):
            died.append(batch)
        return number, batch, outcomes

    try:
        for number, batch in enumerate(batches):
            running.append((number, batch, submit(number, batch, 0)))
            while len(running) >= read_window(window):
                yield collect_oldest()
        while running:
            yield collect_oldest()
    finally:
        end_calls([future for _, _, future in running])
        died += [batch for _, batch, future in running if _has_died(future)]
        for batch in died:
            on_drop(batch)


def _has_died(future: Future[Any]) -> bool:
    """Whether a worker of a call that is done was killed, has died by itself, or was lost."""
    return not future.cancelled() and (isinstance(future.exception(), WorkerDied) or count_attempts(future) > 1)


def collect_outcomes(
    future: Future[list[Out]],
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    batch: Sequence[In],
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
) -> list[Out]:
    """Wait for the outcomes of a batch. If its worker died, the batch is run again item by item.

    The outcome of an item whose worker dies every time, or runs out of time, is ``on_death``. Raises NoWorker where
    several in a row run out of time.
    """
    try:
        return wait_for_result(future, check)
    except WorkerDied:
        return _run_one_by_one(submit, batch, on_death, check)


def _run_one_by_one(
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    batch: Sequence[In],
    on_death: Callable[[In, WorkerDied], Out],
    check: Check,
) -> list[Out]:
    """Raises NoWorker where several items in a row give no sign of life: then it is not the items that hang."""
    silent = 0

    def on_silence(item: In, error: WorkerDied) -> Out:
        nonlocal silent
        silent = silent + 1 if isinstance(error, WorkerTimedOut) else 0
        if silent >= SILENT_ITEMS:
            raise NoWorker(f"{silent} objects in a row gave no sign of life; what they are read from may not answer")
        return on_death(item, error)

    outcomes: list[Out] = []
    for offset, item in enumerate(batch):
        before = silent
        outcomes.append(_run_alone(submit, item, offset, on_silence, check))
        silent = silent if silent > before else 0
    return outcomes


def run_batch(
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    batch: Sequence[In],
    on_death: Callable[[In, WorkerDied], Out],
    check: Check = go_on,
) -> list[Out]:
    """Run one batch and collect its outcomes; its call is ended where ``check`` raises."""
    future = submit(batch, 0)
    try:
        return collect_outcomes(future, submit, batch, on_death, check)
    finally:
        end_calls([future])


def describe_death(resource: str, doing: str, error: WorkerDied) -> Failure:
    """The outcome of an item whose worker died. ``doing``: "read this object"."""
    if isinstance(error, WorkerTimedOut):
        message = (
            f"there was no sign of life for {error.seconds:g} seconds while the worker {doing}; its data may be "
            "damaged, or its disk does not answer"
        )
        return Failure(resource, Status(Code.DEADLINE_EXCEEDED, message, kind=Reason.WORKER_SILENT))
    return Failure(
        resource, Status(Code.INTERNAL, f"the worker process died while it {doing}", kind=Reason.WORKER_DIED)
    )


def _run_alone(
    submit: Callable[[Sequence[In], int], Future[list[Out]]],
    item: In,
    offset: int,
    on_death: Callable[[In, WorkerDied], Out],
    check: Check,
) -> Out:
    for attempt in range(1, ATTEMPTS_ALONE + 1):
        future = submit([item], offset)
        try:
            return wait_for_result(future, check)[0]
        except WorkerDied as error:
            # The item may not be the cause: memory was short, or somebody killed the process. A time limit is certain.
            if attempt == ATTEMPTS_ALONE or isinstance(error, WorkerTimedOut):
                return on_death(item, error)
        finally:
            end_calls([future])
    raise AssertionError("unreachable")
