"""Calls that are made ahead of the work: in order, a bounded number at a time, none forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import pytest

from gantry import calls_ahead
from gantry.calls_ahead import call_ahead


class Calls:
    """Counts how many run at the same time, and how many items are begun and not yet asked for."""

    def __init__(self, together: int = 1) -> None:
        self.lock, self.running, self.most, self.begun, self.ended = threading.Lock(), 0, 0, [0] * 0, [0] * 0
        self.threads: set[int] = set()
        self.together = threading.Barrier(together)

    def __call__(self, item: int) -> int:
        with self.lock:
            self.begun.append(item)
            self.threads.add(threading.get_ident())
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            if item < self.together.parties:
                self.together.wait(30)
            if item % 10 == 7:
                raise ValueError(item)
            return item * item
        finally:
            with self.lock:
                self.running -= 1
                self.ended.append(item)


def outcomes(calls: Calls, count: int, concurrency: int, size: int = 1) -> list[object]:
    found: list[object] = []
    for item, outcome in call_ahead(calls, range(count), lambda _: size, concurrency):
        try:
            found.append((item, outcome()))
        except ValueError as error:
            found.append((item, error.args[0]))
    return found


@pytest.mark.parametrize("concurrency", [1, 2, 5, 64])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_outcomes_come_in_order_and_each_error_with_its_item(count: int, concurrency: int) -> None:
    calls = Calls()
    expected = [(item, item if item % 10 == 7 else item * item) for item in range(count)]
    assert outcomes(calls, count, concurrency) == expected
    assert sorted(calls.begun) == list(range(count))


def test_as_many_run_at_the_same_time_as_are_wanted_and_no_more() -> None:
    """The first five meet each other, so that all of them must run at once."""
    calls = Calls(together=5)
    outcomes(calls, 60, 5)
    assert calls.most == 5


def test_one_at_a_time_is_called_by_whoever_asks() -> None:
    calls = Calls()
    with closing(call_ahead(calls, range(3), lambda _: 1, 1)) as coming:
        _, outcome = next(coming)
        assert calls.begun == []
        assert outcome() == 0 and calls.begun == [0]
    assert calls.threads == {threading.get_ident()}


@pytest.mark.parametrize(("size", "most"), [(1, 8), (10, 3), (30, 1), (1000, 1)])
def test_no_more_bytes_are_in_work_than_one_worker_may_hold(
    monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    monkeypatch.setattr(calls_ahead, "BYTES_AHEAD", 30)
    calls = Calls()
    for asked, (item, outcome) in enumerate(call_ahead(calls, range(50), lambda _: size, 8)):
        assert len(calls.begun) - asked <= most
        if item % 10 != 7:
            outcome()
    assert len(calls.begun) == 50


def test_what_nobody_asks_for_is_dropped_when_the_work_ends_early() -> None:
    calls = Calls(together=4)
    dropped: list[int] = []
    with closing(call_ahead(calls, range(100), lambda _: 1, 4, dropped.append)) as coming:
        _, outcome = next(coming)
        assert outcome() == 0
    assert calls.running == 0
    assert sorted(dropped) == [item * item for item in sorted(calls.ended)[1:] if item % 10 != 7]
    assert len(calls.begun) < 10


def test_what_nobody_asks_for_is_dropped_when_no_more_can_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives no more threads: what was opened ahead is closed, the next item too."""

    class Threads(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **more: Any) -> Any:
            if len(begun) == 5:
                wait(begun)
                raise RuntimeError("can't start new thread")
            begun.append(super().submit(*arguments, **more))
            return begun[-1]

    begun: list[Future[int]] = []
    dropped: list[int] = []
    asked: list[int] = []
    monkeypatch.setattr(calls_ahead, "ThreadPoolExecutor", Threads)
    with pytest.raises(RuntimeError, match="thread"):
        for item, outcome in call_ahead(lambda item: item, range(10), lambda _: 1, 4, dropped.append):
            assert outcome() == item
            asked.append(item)
    assert asked == [0, 1] and dropped == [2, 3, 4]
