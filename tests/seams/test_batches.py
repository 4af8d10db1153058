"""Cutting into batches and running them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from threading import Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.errors import Code, NoWorker, Status, Unavailable
from gantry.executors import WorkerDied
from gantry.operations.batches import (
    ATTEMPTS_ALONE,
    FIRST_ITEMS,
    MAX_BYTES,
    MAX_ITEMS,
    cut,
    describe_death,
    run_in_order,
)
from gantry.reasons import Reason
from gantry.worker_calls import WorkerTimedOut


def sizes(items: Sequence[int]) -> list[int]:
    return [len(batch) for batch in cut(items, lambda size: size)]


def test_the_first_batches_are_small_and_the_later_ones_grow_to_the_limit() -> None:
    assert sizes([0] * 3000) == [32, 64, 128, 256, 512, 512, 512, 512, 472]
    assert (FIRST_ITEMS, MAX_ITEMS) == (32, 512)


def test_a_batch_holds_no_more_bytes_than_the_limit() -> None:
    assert sizes([MAX_BYTES // 2] * 5) == [2, 2, 1]
    assert sizes([MAX_BYTES // 2, MAX_BYTES // 2, 1, MAX_BYTES]) == [2, 1, 1]


def test_an_item_larger_than_the_limit_is_a_batch_of_its_own() -> None:
    assert sizes([1, MAX_BYTES + 1, 1]) == [1, 1, 1]
    assert sizes([MAX_BYTES * 2]) == [1]


def test_nothing_is_cut_into_nothing() -> None:
    assert sizes([]) == []


@given(st.lists(st.sampled_from([0, 1, MAX_BYTES // 3, MAX_BYTES // 2, MAX_BYTES, MAX_BYTES + 1]), max_size=300))
def test_batches_are_the_items_in_order(items: list[int]) -> None:
    batches = list(cut(items, lambda size: size))
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= MAX_ITEMS
        assert len(batch) == 1 or sum(batch) <= MAX_BYTES


def test_a_batch_is_given_before_the_item_behind_the_next_one_is_asked_for() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    next(cut(items(), lambda _: 0))
    assert len(asked) == FIRST_ITEMS + 1


# Running --------------------------------------------------------------------------------------------------------------


class Work:
    """Starts batches in threads. Items: ``"die"`` takes its worker along, others are answered in upper case."""

    def __init__(self, workers: int = 4) -> None:
        self.pool = ThreadPoolExecutor(workers)
        self.calls: list[tuple[int, list[str], int]] = []
        self.futures: list[Future[list[str]]] = []
        self.finished: list[str] = []
        self.gate = Event()
        self.gate.set()
        self._lock = Lock()

    def submit(self, number: int, items: Sequence[str], offset: int) -> Future[list[str]]:
        self.calls.append((number, list(items), offset))
        self.futures.append(self.pool.submit(self._answer, list(items)))
        return self.futures[-1]

    def _answer(self, items: list[str]) -> list[str]:
        self.gate.wait(60)
        if "die" in items:
            raise WorkerDied("a worker died")
        if "fail" in items:
            raise Unavailable("the disk is gone")
        with self._lock:
            self.finished.extend(items)
        return [item.upper() for item in items]

    @property
    def under_way(self) -> int:
        return sum(not future.done() for future in self.futures)


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.gate.set()
    made.pool.shutdown()


def dead(item: str, _error: WorkerDied) -> str:
    return f"{item} died"


def test_outcomes_come_in_the_order_of_the_batches(work: Work) -> None:
    batches = [["a", "b"], ["c"], ["d", "e", "f"]] * 20
    results = list(run_in_order(work.submit, batches, 4, dead))
    assert [(number, batch) for number, batch, _ in results] == list(enumerate(batches))
    assert [outcomes for _, _, outcomes in results] == [[item.upper() for item in batch] for batch in batches]


def test_nothing_to_do_gives_nothing(work: Work) -> None:
    assert list(run_in_order(work.submit, [], 4, dead)) == []


@pytest.mark.parametrize("window", [1, 2, 5])
def test_no_more_than_the_window_is_submitted_ahead(work: Work, window: int) -> None:
    taken = 0
    with closing(run_in_order(work.submit, ([str(number)] for number in range(20)), window, dead)) as results:
        for _ in results:
            taken += 1
            assert len(work.calls) - taken <= window - 1
    assert taken == 20
    assert len(work.calls) == 20


def test_batches_are_not_asked_for_before_they_can_be_submitted(work: Work) -> None:
    asked: list[int] = []

    def batches() -> Iterator[list[str]]:
        for number in range(20):
            asked.append(number)
            yield [str(number)]

    with closing(run_in_order(work.submit, batches(), 3, dead)) as results:
        next(results)
        assert asked == [0, 1, 2]


def test_a_batch_whose_worker_died_is_run_again_item_by_item(work: Work) -> None:
    batches = [["a", "b"], ["c", "die", "d"], ["e"]]
    results = list(run_in_order(work.submit, batches, 2, dead))
    assert [outcomes for _, _, outcomes in results] == [["A", "B"], ["C", "die died", "D"], ["E"]]
    assert work.calls[:2] == [(0, ["a", "b"], 0), (1, ["c", "die", "d"], 0)]
    again = [call for call in work.calls if call[0] == 1 and len(call[1]) == 1]
    assert again == [(1, ["c"], 0), *[(1, ["die"], 1)] * ATTEMPTS_ALONE, (1, ["d"], 2)]


def test_an_innocent_batch_loses_nothing_to_a_dead_worker() -> None:
    futures = iter([Future[list[str]]() for _ in range(3)])

    def submit(_number: int, items: Sequence[str], _offset: int) -> Future[list[str]]:
        future = next(futures)
        if len(items) > 1:
            future.set_exception(WorkerDied("by accident"))
        else:
            future.set_result([items[0].upper()])
        return future

    assert list(run_in_order(submit, [["a", "b"]], 1, dead)) == [(0, ["a", "b"], ["A", "B"])]


def test_batches_whose_workers_have_died_are_dropped_once_nothing_runs(work: Work) -> None:
    """Whoever killed them: what they have left half written is removed, whatever became of their items since."""
    dropped: list[tuple[Sequence[str], int]] = []
    batches = [["a", "b"], ["c", "die", "d"], ["e"]]

    def on_drop(batch: Sequence[str]) -> None:
        dropped.append((batch, work.under_way))

    for _ in run_in_order(work.submit, batches, 2, dead, on_drop=on_drop):
        assert not dropped
    assert dropped == [(["c", "die", "d"], 0)]


def test_a_batch_whose_worker_died_is_dropped_where_the_run_is_interrupted_before_its_turn(work: Work) -> None:
    dropped: list[Sequence[str]] = []
    with closing(run_in_order(work.submit, [["a"], ["die"], ["b"]], 3, dead, on_drop=dropped.append)) as results:
        next(results)
        wait(work.futures)
    assert dropped == [["die"]]


def test_another_error_ends_the_run_after_the_batches_before_it(work: Work) -> None:
    results = run_in_order(work.submit, [["a"], ["fail"], ["b"]], 3, dead)
    assert next(results)[2] == ["A"]
    with pytest.raises(Unavailable):
        next(results)
    assert work.under_way == 0


def test_closing_drops_what_has_not_begun_and_waits_for_what_has() -> None:
    futures: list[Future[list[str]]] = []

    def submit(number: int, _items: Sequence[str], _offset: int) -> Future[list[str]]:
        futures.append(Future())
        if not number:
            futures[0].set_result(["0"])
        return futures[-1]

    results = run_in_order(submit, ([str(number)] for number in range(20)), 5, dead)
    assert next(results)[2] == ["0"]
    _, *waiting, begun = futures
    assert begun.set_running_or_notify_cancel()
    with ThreadPoolExecutor(1) as other:
        closed = other.submit(results.close)
        with pytest.raises(TimeoutError):
            closed.result(0.3)
        begun.set_result(["4"])
        closed.result(60)
    assert len(waiting) == 3 and all(future.cancelled() for future in waiting)
    assert not begun.cancelled() and len(futures) == 5


def test_an_item_that_kills_its_worker_is_an_internal_failure() -> None:
    failure = describe_death("gs://b/a", "read this object", WorkerDied("the worker process died"))
    assert failure.resource == "gs://b/a"
    what = "the worker process died while it read this object"
    assert failure.status == Status(Code.INTERNAL, what, kind=Reason.WORKER_DIED)


def test_an_item_that_takes_too_long_has_exceeded_its_deadline() -> None:
    failure = describe_death("gs://b/a", "wrote this instance", WorkerTimedOut(60))
    assert failure.status.code is Code.DEADLINE_EXCEEDED and "60 seconds" in failure.status.message


def hanging(*items: int) -> list[int]:
    """The outcomes of ten items, of which these take their workers with them without a sign of life."""

    def submit(_number: int, batch: Sequence[int], _offset: int) -> Future[list[int]]:
        future: Future[list[int]] = Future()
        if set(items) & set(batch):
            future.set_exception(WorkerTimedOut(60))
        else:
            future.set_result([10 * item for item in batch])
        return future

    with closing(run_in_order(submit, [list(range(10))], 1, lambda item, _error: -item)) as results:
        return [outcome for _, _, outcomes in results for outcome in outcomes]


@pytest.mark.parametrize("items", [(3,), (3, 4), (1, 2, 4, 5, 7, 8)])
def test_what_hangs_alone_is_the_cause_itself(items: tuple[int, ...]) -> None:
    assert hanging(*items) == [-item if item in items else 10 * item for item in range(10)]


def test_several_in_a_row_that_hang_are_not_the_cause() -> None:
    with pytest.raises(NoWorker, match="3 objects in a row"):
        hanging(3, 4, 5)
