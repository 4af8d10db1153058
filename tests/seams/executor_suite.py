"""What every executor promises. A test class inherits the suite and brings its ``executor`` fixture."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import pytest

from gantry.errors import InvalidArgument, Unavailable
from gantry.executors import NICENESS
from gantry.request_times import request_times
from gantry.storage.local import LocalBlobStore
from gantry.worker_calls import (
    CallEnded,
    WorkerDied,
    Workers,
    WorkerTimedOut,
    end_calls,
)
from tests.seams import calls


def _count_requests() -> Counter[str]:
    return Counter({outcome: classes[-1][1] for (_, outcome), (classes, _) in request_times.read()})


class ExecutorSuite:
    """``executor`` has two workers in processes of their own."""

    def test_results_come_back(self, executor: Workers) -> None:
        futures = [executor.submit(calls.add, number, second=1) for number in range(50)]
        assert [future.result(60) for future in futures] == list(range(1, 51))

    def test_large_arguments_and_results_come_back(self, executor: Workers) -> None:
        data = bytes(range(256)) * 40_000
        assert executor.submit(bytes, data).result(60) == data

    def test_an_error_comes_back_as_itself(self, executor: Workers) -> None:
        error = executor.submit(calls.refuse, "why").exception(60)
        assert type(error) is InvalidArgument
        assert (error.message, error.details) == ("why", ({"field": "f"},))
        assert isinstance(executor.submit(int, "x").exception(60), ValueError)

    @pytest.mark.parametrize("function", [calls.a_lambda, threading.Lock, calls.refuse_oddly])
    def test_what_cannot_travel_back_is_an_error_of_that_call_alone(
        self, executor: Workers, function: Callable[[], object]
    ) -> None:
        assert executor.submit(function).exception(60) is not None
        assert executor.submit(calls.add, 1).result(60) == 1

    def test_what_cannot_travel_there_is_an_error_of_that_call_alone(self, executor: Workers) -> None:
        assert executor.submit(calls.add, threading.Lock()).exception(60) is not None
        assert executor.submit(calls.add, 1).result(60) == 1

    def test_a_call_that_kills_its_process_fails_and_no_other(self, executor: Workers) -> None:
        before = [executor.submit(calls.add, number) for number in range(10)]
        culprits = [executor.submit(calls.die), executor.submit(calls.leave)]
        after = [executor.submit(calls.add, number) for number in range(10)]
        for future in culprits:
            assert isinstance(future.exception(60), WorkerDied)
        assert [future.result(60) for future in before + after] == [*range(10), *range(10)]

    def test_dead_workers_are_replaced(self, executor: Workers, tmp_path: Path) -> None:
        wait([executor.submit(calls.die) for _ in range(5)], 60)
        both = [executor.submit(calls.meet, tmp_path, str(number), 2) for number in range(2)]
        assert len({future.result(60) for future in both}) == 2

    def test_a_call_that_has_not_begun_can_be_cancelled(self, executor: Workers, tmp_path: Path) -> None:
        busy = [executor.submit(calls.wait_for, tmp_path / "go") for _ in range(2)]
        waiting = executor.submit(calls.touch, tmp_path / "ran")
        assert waiting.cancel()
        (tmp_path / "go").touch()
        assert [future.result(60) for future in busy] == [True, True]
        assert executor.submit(calls.add, 1).result(60) == 1
        assert not (tmp_path / "ran").exists()

    def test_a_call_without_a_sign_of_life_is_ended_and_the_others_go_on(self, executor: Workers) -> None:
        hanging = executor.submit(calls.beat_and_hang, 0.2)
        others = [executor.submit(calls.add, number, 1) for number in range(20)]
        with pytest.raises(WorkerTimedOut, match=r"0\.2 seconds"):
            hanging.result(timeout=30)
        assert [future.result(timeout=30) for future in others] == list(range(1, 21))
        assert {executor.submit(os.getpid).result() for _ in range(20)}

    def test_workers_stand_back_for_the_server(self, executor: Workers) -> None:
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        assert executor.submit(os.getpriority, os.PRIO_PROCESS, 0).result(60) == min(mine + NICENESS, 19)
        assert os.getpriority(os.PRIO_PROCESS, 0) == mine

    def test_a_call_that_is_ended_frees_its_worker_and_no_other(self, executor: Workers, tmp_path: Path) -> None:
        lasting = [executor.submit(calls.wait_for, tmp_path / "never") for _ in range(2)]
        waiting = executor.submit(calls.touch, tmp_path / "ran")
        while not all(call.running() for call in lasting):
            time.sleep(0.01)
        waiting.end()
        lasting[0].end()
        assert isinstance(lasting[0].exception(timeout=30), CallEnded)
        assert executor.submit(calls.add, 1, 2).result(timeout=30) == 3
        assert not lasting[1].done()
        lasting[1].end()
        assert isinstance(lasting[1].exception(timeout=30), CallEnded)
        assert waiting.cancelled() and not (tmp_path / "ran").exists()

    def test_calls_that_nobody_wants_are_ended_together(self, executor: Workers, tmp_path: Path) -> None:
        lasting = [executor.submit(calls.wait_for, tmp_path / "never") for _ in range(2)]
        waiting = [executor.submit(calls.touch, tmp_path / "ran") for _ in range(3)]
        while not all(call.running() for call in lasting):
            time.sleep(0.01)
        assert end_calls([*lasting, *waiting], 0.1) == set(lasting)
        assert all(call.done() for call in lasting) and not (tmp_path / "ran").exists()

    def test_a_call_that_ends_by_itself_in_time_is_not_ended(self, executor: Workers, tmp_path: Path) -> None:
        call = executor.submit(calls.wait_for, tmp_path / "go")
        while not call.running():
            time.sleep(0.01)
        (tmp_path / "go").touch()
        assert end_calls([call], 30) == set()
        assert call.result() is True

    def test_a_call_that_beats_is_left_alone(self, executor: Workers) -> None:
        assert executor.submit(calls.beat_and_go_on, 100).result(timeout=30) == 100

    def test_arguments_open_what_they_need_where_the_call_runs(self, executor: Workers, tmp_path: Path) -> None:
        """The bucket is pickled before it has looked for its directory."""
        (tmp_path / "a").write_bytes(b"12345")
        assert executor.submit(calls.read_object, LocalBlobStore(str(tmp_path)), "a").result(60) == b"12345"

    def test_the_times_of_requests_to_buckets_come_back_with_each_outcome(self, executor: Workers) -> None:
        before = _count_requests()
        assert executor.submit(calls.ask_a_bucket, "some").result(60) == "some"
        assert isinstance(executor.submit(calls.ask_a_bucket, "none").exception(60), Unavailable)
        assert executor.submit(calls.ask_a_bucket, "odd").exception(60) is not None
        assert _count_requests() - before == Counter({"answered": 2, "failed": 1})
        assert executor.submit(calls.add, 1).result(60) == 1
        assert _count_requests() - before == Counter({"answered": 2, "failed": 1})

    def test_calls_are_not_given_to_this_process(self, executor: Workers) -> None:
        assert executor.submit(os.getpid).result(60) != os.getpid()
        assert executor.size == 2
