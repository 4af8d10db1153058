"""Parts that are away for a moment: the index, a process, a disk that cannot be written. Nothing is lost or made up."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry import executors
from gantry.errors import Code, Interrupted, PermissionDenied, Status
from gantry.executors import WorkerPool
from gantry.operations import commits
from gantry.operations.blob_keys import list_half_written
from gantry.operations.runner import Runner
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Batch, Failure
from gantry.seams import BucketUse, Seams, WorkerDied
from tests.faults.house import House
from tests.seams import calls


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def failing(function: Callable[..., Any], *numbers: int) -> Callable[..., Any]:
    """``function``, Interrupted at its calls of these numbers, from 1."""
    count = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count in numbers:
            raise Interrupted("the index cannot be used right now")
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    "faults",
    [{"commit_batch": (2,)}, {"commit_batch": (1, 3), "release_operation": (1, 2)}, {"finish_operation": (1,)}],
)
def test_an_operation_goes_on_when_the_index_does(
    house: House, faults: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, numbers in faults.items():
        operations = house.seams.index.operations
        monkeypatch.setattr(operations, name, failing(getattr(operations, name), *numbers))
    runner = Runner(house.seams, slots=1)
    monkeypatch.setattr(runner._stopping, "wait", lambda _seconds: None)
    runner.start()
    deadline = time.monotonic() + 60
    while not house.seams.index.operations.get_operation(house.created.name).done and time.monotonic() < deadline:
        runner.notify()
        time.sleep(0.05)
    runner.stop()
    operation = house.seams.index.operations.get_operation(house.created.name)
    assert operation.attempt > 1
    sweep_garbage(house.seams)
    house.check(operation)


class Stubborn:
    """Blobs of which one cannot be deleted."""

    def __init__(self, seams: Seams, key: str) -> None:
        self._blobs, self.key = seams.blobs, key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def delete(self, key: str) -> None:
        if key == self.key:
            raise PermissionDenied("the directory cannot be written")
        self._blobs.delete(key)


def test_a_blob_that_cannot_be_deleted_hinders_neither_the_others_nor_an_operation(house: House) -> None:
    blobs: Any = Stubborn(house.seams, "main/9/a.dcm")
    seams = replace(house.seams, blobs=blobs)
    operation = house.claim("r")
    keys = ("main/9/a.dcm", "main/9/b.dcm")
    for key in keys:
        seams.blobs.put(key, [b"old"])
    commits.commit(seams, operation, "r", Batch("", garbage=keys), commits.Totals())
    assert seams.index.garbage.list_blobs() == ["main/9/a.dcm"]
    sweep_garbage(seams)
    assert (seams.index.garbage.list_blobs(), house.blobs()) == (["main/9/a.dcm"], {"main/9/a.dcm"})
    sweep_garbage(house.seams)
    assert (seams.index.garbage.list_blobs(), house.blobs()) == ([], set())


def test_a_full_disk_is_named_as_the_reason(house: House) -> None:
    operation = house.claim("r")
    failures = tuple(Failure(f"gs://b/{number}", Status(Code.INTERNAL, "x" * 500)) for number in range(5000))
    with house.seams.index.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    house.seams.index.database.writer.dispose()
    _limit_pages(house, int(pages or 0) + 2)
    with pytest.raises(Interrupted, match="full"):
        house.seams.index.operations.commit_batch(operation, "r", Batch("a", failures=failures))


def _limit_pages(house: House, pages: int) -> None:
    from sqlalchemy import event

    @event.listens_for(house.seams.index.database.writer, "connect")
    def _limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")


def test_a_process_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started = executors._Worker
    monkeypatch.setattr(executors, "_PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    refused = 0

    def refuse(*_args: Any) -> Any:
        nonlocal refused
        refused += 1
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with WorkerPool(1) as pool:
        assert pool.submit(calls.add, 1, 2).result(timeout=30) == 3
        monkeypatch.setattr(executors, "_Worker", refuse)
        assert pool.submit(calls.die).exception(timeout=30) is not None
        with pytest.raises(Interrupted, match="no worker process can be started"):
            pool.submit(calls.add, 1, 2).result(timeout=30)
        assert refused == 4
        monkeypatch.setattr(executors, "_Worker", started)
        assert pool.submit(calls.add, 3, 4).result(timeout=30) == 7


class Deadly(Executor):
    """Runs calls at once; an object of this name takes the worker with it, half written."""

    def __init__(self, seams: Seams, name: str) -> None:
        self.seams, self.name = seams, name

    def submit(self, fn: Any, /, objects: Any, *offset: int, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        numbers = [number for number, found in enumerate(objects, *offset) if getattr(found, "key", "") == self.name]
        if numbers:
            self.seams.blobs.put(f"{more['blob_prefix']}/{numbers[0]:04d}.dcm", [b"half"])
            future.set_exception(WorkerDied("the worker process died"))
        else:
            future.set_result(fn(objects, *offset, **more))
        return future


def test_what_a_dead_worker_left_is_swept(house: House) -> None:
    name = next(iter(house.seams.bucket(BucketUse("source", "read", "", "d")).list())).key
    operation = house.carry_to_the_end(replace(house.seams, executor=Deadly(house.seams, name)))
    assert "gs://source/" + name in [
        entry.failure.resource for entry in house.seams.index.logs.list_failures(operation.name, 1000)
    ]
    sweep_garbage(house.seams)
    assert house.blobs() == {instance.blob_key for instance in house.seams.index.instances.walk_store(1)}
    assert list(list_half_written(["key"], ["main/1/2/0000.dcm"])) == []
