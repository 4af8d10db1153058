"""What every executor promises. A test class inherits the suite and brings its ``executor`` fixture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, wait
from pathlib import Path

import pytest

from gantry.errors import InvalidArgument
from gantry.executors import WorkerDied
from tests.seams import calls


class ExecutorSuite:
    """``executor`` has two workers in processes of their own."""

    def test_results_come_back(self, executor: Executor) -> None:
        futures = [executor.submit(calls.add, number, second=1) for number in range(50)]
        assert [future.result(60) for future in futures] == list(range(1, 51))

    def test_large_arguments_and_results_come_back(self, executor: Executor) -> None:
        data = bytes(range(256)) * 40_000
        assert executor.submit(bytes, data).result(60) == data

    def test_an_error_comes_back_as_itself(self, executor: Executor) -> None:
        error = executor.submit(calls.refuse, "why").exception(60)
        assert type(error) is InvalidArgument
        assert (error.message, error.details) == ("why", ({"field": "f"},))
        assert isinstance(executor.submit(int, "x").exception(60), ValueError)

    @pytest.mark.parametrize("function", [calls.a_lambda, threading.Lock, calls.refuse_oddly])
    def test_what_cannot_travel_back_is_an_error_of_that_call_alone(
        self, executor: Executor, function: Callable[[], object]
    ) -> None:
        assert executor.submit(function).exception(60) is not None
        assert executor.submit(calls.add, 1).result(60) == 1

    def test_what_cannot_travel_there_is_an_error_of_that_call_alone(self, executor: Executor) -> None:
        assert executor.submit(calls.add, threading.Lock()).exception(60) is not None
        assert executor.submit(calls.add, 1).result(60) == 1

    def test_a_call_that_kills_its_process_fails_and_no_other(self, executor: Executor) -> None:
        before = [executor.submit(calls.add, number) for number in range(10)]
        culprits = [executor.submit(calls.die), executor.submit(calls.leave)]
        after = [executor.submit(calls.add, number) for number in range(10)]
        for future in culprits:
            assert isinstance(future.exception(60), WorkerDied)
        assert [future.result(60) for future in before + after] == [*range(10), *range(10)]

    def test_dead_workers_are_replaced(self, executor: Executor, tmp_path: Path) -> None:
        wait([executor.submit(calls.die) for _ in range(5)], 60)
        both = [executor.submit(calls.meet, tmp_path, str(number), 2) for number in range(2)]
        assert len({future.result(60) for future in both}) == 2

    def test_a_call_that_has_not_begun_can_be_cancelled(self, executor: Executor, tmp_path: Path) -> None:
        busy = [executor.submit(calls.wait_for, tmp_path / "go") for _ in range(2)]
        waiting = executor.submit(calls.touch, tmp_path / "ran")
        assert waiting.cancel()
        (tmp_path / "go").touch()
        assert [future.result(60) for future in busy] == [True, True]
        assert executor.submit(calls.add, 1).result(60) == 1
        assert not (tmp_path / "ran").exists()
