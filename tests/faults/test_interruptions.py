"""Parts that are away for a moment: the index, a process, a disk that cannot be written. Nothing is lost or made up."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry import executors
from gantry.backoff import Backoff
from gantry.errors import Code, DiskAway, Interrupted, PermissionDenied, Status, StatusError, Unavailable
from gantry.executors import WorkerPool
from gantry.names import ResourcePath
from gantry.operations import commits, waits
from gantry.operations.batch_writers import Tries, item_prefix
from gantry.operations.runner import Runner
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Batch, Failure
from gantry.seams import BlobWriter, BucketUse, Seams
from gantry.storage.extents import object_of
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from gantry.worker_calls import Call, WorkerDied
from tests.faults.failing import fail_method
from tests.faults.house import STORE, House
from tests.seams import calls
from tests.support.dicom import make_instance


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [{"commit_batch": (2,)}, {"commit_batch": (1, 3), "claim_again": (1, 2)}, {"finish_operation": (1,)}],
)
def test_an_operation_goes_on_when_the_index_does(
    house: House, faults: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, numbers in faults.items():
        operations = house.seams.index.operations
        monkeypatch.setattr(operations, name, failing(getattr(operations, name), *numbers))
    monkeypatch.setattr(waits, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr("gantry.operations.runner._WAIT_SECONDS", 0.01)
    runner = Runner(house.seams, slots=1)
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

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        failed = self._blobs.delete_all([key for key in keys if key != self.key])
        return failed | {key: PermissionDenied("the directory cannot be written") for key in keys if key == self.key}


@pytest.mark.parametrize("shared", [False, True])
def test_a_blob_that_cannot_be_deleted_hinders_neither_the_others_nor_an_operation(house: House, shared: bool) -> None:
    """A file of its own, or a segment."""
    operation = house.claim("r")
    keys = []
    for number in range(2):
        uids = ("1.2", "1.2.1", f"1.2.1.{number}")
        writer = house.seams.blobs.writer(f"main/9/{number}-")
        keys.append(writer.put([make_instance(*uids)], uids if shared else None)[0])
        writer.flush()
        writer.close()
    assert house.blobs() == set(keys)
    stuck = object_of(keys[0])
    blobs: Any = Stubborn(house.seams, stuck)
    seams = replace(house.seams, blobs=blobs)
    commits.commit(seams, operation, "r", Batch("", garbage=tuple(keys)), commits.Totals())
    assert seams.index.garbage.list_blobs() == [stuck]
    sweep_garbage(seams)
    assert (seams.index.garbage.list_blobs(), house.blobs()) == ([stuck], {keys[0]})
    sweep_garbage(replace(house.seams, undeletable=Backoff()))
    assert (seams.index.garbage.list_blobs(), house.blobs()) == ([], set())
    house.check_disks()


def test_an_instance_that_is_being_read_stays_and_those_beside_it_go(house: House) -> None:
    uids = [("1.2", "1.2.1", f"1.2.1.{number}") for number in range(3)]
    uploads, data = Uploads(house.seams), [make_instance(*each) for each in uids]
    stored = store(house.seams, uploads, STORE, [Incoming("part", iter([each])) for each in data]).instances
    keys = [item.blob_key for item in stored]
    assert len(set(map(object_of, keys))) == 1
    with house.seams.blobs.open(keys[0]) as reader:
        for each in uids[:2]:
            house.seams.index.deletion.delete_instance(STORE, ResourcePath(*each))
        sweep_garbage(house.seams)
        assert (house.seams.index.garbage.list_blobs(), house.blobs()) == ([keys[0]], {keys[0], keys[2]})
        assert reader.read_at(0, reader.size) == data[0]
    sweep_garbage(replace(house.seams, undeletable=Backoff()))
    assert (house.seams.index.garbage.list_blobs(), house.blobs()) == ([], {keys[2]})
    uploads.close()
    house.check_disks()


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
        self.left: list[BlobWriter] = []

    def submit(self, fn: Any, /, objects: Any, *offset: int, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        numbers = [number for number, found in enumerate(objects, *offset) if getattr(found, "key", "") == self.name]
        if numbers:
            self._write_some(item_prefix(more["blob_prefix"], *offset or (0,)))
            future.set_exception(WorkerDied("the worker process died"))
        else:
            future.set_result(fn(objects, *offset, **more))
        return future

    def _write_some(self, prefix: str) -> None:
        """In a segment and in a file of its own: what is durable, and what was never flushed."""
        uids = ("1.9", "1.9.1", "1.9.1.1")
        writer = self.seams.blobs.writer(prefix)
        for _ in range(2):
            writer.put([make_instance(*uids)], uids)
            writer.put([b"half"])
            if not self.left:
                writer.flush()
            self.left.append(writer)


@pytest.mark.slow
def test_what_a_dead_worker_left_is_swept(house: House) -> None:
    name = next(iter(house.seams.bucket(BucketUse("gs://source", "read", "", "d")).list())).key
    deadly: Any = Deadly(house.seams, name)
    operation = house.carry_to_the_end(replace(house.seams, executor=deadly))
    assert len(deadly.left) > 2, "it was tried again"
    assert "gs://source/" + name in [
        entry.failure.resource for entry in house.seams.index.logs.list_failures(operation.name, 1000)
    ]
    sweep_garbage(house.seams)
    house.check_disks()


def begin_calls(house: House, count: int) -> Tries:
    """Calls of batch 0 that have answered."""
    tries = Tries(house.seams)
    for _ in range(count):
        tries.add(0, call := Future[list[str]]())
        call.set_result([])
    return tries


def test_after_a_call_that_ended_nothing_is_looked_for(house: House) -> None:
    """Only after a second one: most batches need no listing."""
    writer = house.seams.blobs.writer(item_prefix("main/1/2/a1-a0/000", 0))
    key, _ = writer.put([b"half"])
    writer.flush()
    for begun, used, left in ((1, "", ()), (2, "", (key,)), (2, key, ())):
        tries = begin_calls(house, begun)
        assert tries.find_left(0, ["main/1/2/a1-a0/000"], [used]) == left
    writer.close()


class _Moved(Call[list[str]]):
    """An engine has lost the first worker of it."""

    attempts = 2


def test_what_a_worker_has_left_that_an_engine_has_lost_is_looked_for(house: House) -> None:
    writer = house.seams.blobs.writer(item_prefix("main/1/2/a1-a0/000", 0))
    key, _ = writer.put([b"half"])
    writer.flush()
    tries, call = Tries(house.seams), _Moved()
    call.set_result([])
    tries.add(0, call)
    assert tries.find_left(0, ["main/1/2/a1-a0/000"], []) == (key,)
    writer.close()


@pytest.mark.parametrize("problem", [Unavailable("input/output error"), PermissionDenied("the server may not list it")])
def test_what_dead_workers_left_and_cannot_be_listed_is_waited_for(house: House, problem: StatusError) -> None:
    """The directory is the server's own: no client can do anything about it, and none learns its keys."""
    tries = begin_calls(house, 2)
    with fail_method(house.seams.blobs, "list", problem), pytest.raises(DiskAway) as raised:
        tries.find_left(0, ["main/1/2/a1-a0/000"], [])
    assert "main/" not in raised.value.message
