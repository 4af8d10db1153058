"""The threads that run operations: those that hang, those that work in their stead, and rows that cannot be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Code, Interrupted, TakenOver
from gantry.operations import runner as runners
from gantry.operations.runner import Runner
from gantry.resources import Method
from gantry.worker_calls import SILENT_SECONDS
from tests.faults.house import DATASET, STORE, House

HANGS = 2 * SILENT_SECONDS


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def hang(runner: Runner, house: House) -> int:
    """An operation of the runner whose thread has given no sign of life for long; its number."""
    operation = house.claim(runner.id)
    runner._active[operation.name.id] = operation
    runner.waits._beats[operation.name.id] = time.monotonic() - HANGS
    return operation.name.id


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Threads beside those that hang do nothing until the event is set."""
    may_end = threading.Event()
    monkeypatch.setattr(Runner, "_work", lambda _self: may_end.wait(60))
    yield may_end
    may_end.set()


def test_an_operation_that_hangs_is_cancelled_once(
    house: House, monkeypatch: pytest.MonkeyPatch, idle: threading.Event
) -> None:
    runner = Runner(house.seams, slots=1)
    number = hang(runner, house)
    house.seams.index.operations.request_cancel(house.created.name)
    cancelled: list[int] = []
    real = runners.cancel

    def cancel(seams: Any, operation: Any, by: str) -> None:
        cancelled.append(operation.name.id)
        real(seams, operation, by)

    monkeypatch.setattr(runners, "cancel", cancel)
    for _ in range(3):
        runner._look_after(runner._active[number])
    assert cancelled == [number] and runner.waits.find(number) is None
    assert house.seams.index.operations.get_operation(house.created.name).done
    assert runner._stuck == {number}, "another thread works in the stead of the one that hangs"


def test_an_operation_that_hangs_and_is_not_cancelled_says_what_for(house: House, idle: threading.Event) -> None:
    runner = Runner(house.seams, slots=1)
    number = hang(runner, house)
    runner._look_after(runner._active[number])
    waiting = runner.waits.find(number)
    assert waiting is not None and "nothing has moved" in waiting.message


def test_the_beginning_of_an_attempt_is_a_sign_of_life(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that hangs before its first batch would never be silent."""
    runner = Runner(house.seams, slots=1)
    operation, beats = house.claim(runner.id), list[dict[int, float]]()
    monkeypatch.setattr(runners, "run_operation", lambda *_: beats.append(dict(runner.waits._beats)))
    runner._run(operation)
    assert [set(each) for each in beats] == [{operation.name.id}] and runner.waits._beats == {}


def test_an_operation_that_another_runner_has_taken_is_left_to_it(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(house.seams, slots=1)
    operation = house.claim(runner.id)

    def fail(*_: object) -> None:
        raise TakenOver("another runner has this operation")

    monkeypatch.setattr(runners, "run_operation", fail)
    runner._run(operation)
    assert "another runner has this operation" in caplog.text
    assert runner.waits.find(operation.name.id) is None and not runner._active


def test_a_stop_waits_for_the_threads_beside_those_that_hang(house: House, idle: threading.Event) -> None:
    runner = Runner(house.seams, slots=1)
    number = hang(runner, house)
    runner._look_after(runner._active[number])
    (beside,) = [thread for thread in threading.enumerate() if thread.name == f"runner-beside-{number}"]
    threading.Timer(0.3, idle.set).start()
    runner.stop()
    assert not beside.is_alive()


def test_a_stop_begins_no_more_threads(house: House, idle: threading.Event) -> None:
    runner = Runner(house.seams, slots=1)
    number = hang(runner, house)
    runner.begin_stop()
    runner._look_after(runner._active[number])
    assert f"runner-beside-{number}" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.slow
def test_for_each_thread_that_is_back_one_ends(house: House) -> None:
    """However many of them look at the same time."""
    runner = Runner(house.seams, slots=1)

    class SlowSet(set[int]):
        """Gives the other threads time between a look and a change."""

        def __sub__(self, other: Any) -> Any:
            found = set(self).difference(other)
            time.sleep(0.05)
            return found

    for _ in range(5):
        runner._stuck = SlowSet({7})
        with ThreadPoolExecutor(4) as threads:
            ended = [threads.submit(runner._is_surplus) for _ in range(4)]
        assert sorted(each.result() for each in ended) == [False, False, False, True]


@pytest.mark.parametrize("column, value", [("request", '{"uri": '), ("request", "7"), ("method", "no method")])
def test_an_operation_whose_row_is_damaged_ends_and_holds_up_no_other(house: House, column: str, value: str) -> None:
    operations = house.seams.index.operations
    other = operations.create_operation(DATASET, "v1", Method.EXPORT_DICOM_DATA, {}, str(STORE))
    with house.seams.index.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE operation SET {column} = ? WHERE id = ?", (value, house.created.name.id))
    claimed = operations.claim_operation("one")
    assert claimed is not None and claimed.name == other.name
    assert operations.claim_operation("two") is not None, "only that of the other"
    if column == "request":
        ended = operations.get_operation(house.created.name)
        assert ended.error is not None and ended.error.code is Code.DATA_LOSS


def test_a_waiting_operation_whose_row_is_damaged_ends(house: House) -> None:
    runner = Runner(house.seams, slots=1)
    runner._wait(house.claim(runner.id), Interrupted("the index cannot be used right now"))
    runner.waits._entries = {number: replace(entry, due=0.0) for number, entry in runner.waits._entries.items()}
    with house.seams.index.database.write() as connection:
        connection.exec_driver_sql("UPDATE operation SET request = 'x'")
    assert runner._claim_due() is None and runner.waits.count() == dict.fromkeys(runner.waits.count(), 0)
    assert house.seams.index.operations.get_operation(house.created.name).done


def test_an_unexpected_error_of_another_attempt_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(house.seams, slots=1)
    runner._wait(house.claim(runner.id), Interrupted("the index cannot be used right now"))
    runner.waits._entries = {number: replace(entry, due=0.0) for number, entry in runner.waits._entries.items()}

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.seams.index.operations, "claim_again", fail)
    assert runner._claim_due() is None
    assert [operation.name for operation in runner.waits.list_waiting()] == [house.created.name]
