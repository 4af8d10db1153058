"""What operations leave behind that cannot be removed when they end: it goes later, and nothing else goes with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import DiskAway, Interrupted, StatusError, Unavailable
from gantry.index.counting import discard_blobs
from gantry.operations import sweeper
from gantry.operations.attempt import run_operation
from gantry.operations.blob_keys import attempt_prefix, sweep_uncommitted
from gantry.operations.commits import Totals, commit
from gantry.operations.import_dicom_data import import_dicom_data
from gantry.operations.interruption import Stopping
from gantry.operations.runner import Runner
from gantry.operations.sweeper import sweep_garbage, sweep_some_garbage
from gantry.rests import make_rest
from gantry.storage.places import PlacedBlobStore
from tests.faults.house import House
from tests.support.checked import check_clean
from tests.support.dicom import make_instance


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def refuse(error: Exception) -> Any:
    def call(*_args: Any, **_kw: Any) -> Any:
        raise error

    return call


def every_row_has_bytes(house: House) -> int:
    rows = list(house.seams.index.instances.walk_store(1))
    for row in rows:
        with house.seams.blobs.open(row.blob_key) as blob:
            assert blob.size == row.size
    return len(rows)


@pytest.mark.slow
def test_what_is_committed_after_an_end_that_failed_is_no_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index fails when the operation is to end, and objects come before it is tried again."""
    operation = house.claim("one")
    with monkeypatch.context() as faults:
        faults.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
        faults.setattr(house.seams.index.operations, "finish_operation", refuse(Interrupted("the index is away")))
        with pytest.raises(Interrupted):
            run_operation(house.seams, operation, "one", threading.Event(), Totals())
    before = every_row_has_bytes(house)
    house.scene._put("zzz-late.dcm", make_instance("1.2.77", "1.2.77.1", "1.2.77.1.1"))
    again = house.seams.index.operations.claim_again(operation, "one")
    assert again is not None
    with monkeypatch.context() as faults:
        faults.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
        run_operation(house.seams, again, "one", threading.Event(), Totals())
    sweep_garbage(house.seams)
    assert every_row_has_bytes(house) == before + 1
    assert house.seams.index.garbage.list_blobs() == []
    house.check_disks()


@pytest.mark.parametrize("committed", [True, False])
def test_a_thread_that_comes_back_while_its_operation_is_cancelled_keeps_what_it_commits(
    house: House, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    runner = Runner(house.seams, slots=1)
    operation = house.claim(runner.id)
    house.seams.index.operations.request_cancel(operation.name)
    batches = import_dicom_data(house.seams, operation)
    batch = next(batches)
    finish = house.seams.index.operations.finish_operation

    def come_back(*args: Any, **kw: Any) -> None:
        if committed:
            commit(house.seams, operation, runner.id, batch, Totals())
        finish(*args, **kw)

    monkeypatch.setattr(house.seams.index.operations, "finish_operation", come_back)
    runner.waits._beats[operation.name.id] = time.monotonic() - 10
    runner._look_after(operation)
    batches.close()
    assert house.seams.index.operations.get_operation(operation.name).done
    sweep_garbage(house.seams)
    assert (every_row_has_bytes(house) > 0) is committed


def test_a_check_knows_what_is_still_to_be_removed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = import_dicom_data(house.seams, operation := house.claim("one"))
    batch = next(batches)
    batches.close()
    house.seams.index.operations.request_cancel(operation.name)
    with monkeypatch.context() as faults:
        faults.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
        run_operation(house.seams, operation, "one", threading.Event(), Totals())
    assert batch.instances and house.blobs()
    assert house.seams.index.operations.get_operation(operation.name).done
    check_clean(house.data)
    sweep_garbage(house.seams)
    house.check_disks()


def test_a_commit_of_another_operation_does_not_sweep_what_one_has_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take long; the sweeper does it, and stops when the server does."""
    leave_a_rest(house, monkeypatch)
    (rest,) = house.seams.index.garbage.list_blobs()
    sweep_some_garbage(house.seams)
    assert house.seams.index.garbage.list_blobs() == [rest] and house.blobs()
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Stopping):
        sweep_garbage(house.seams, stopping)
    assert house.seams.index.garbage.list_blobs() == [rest] and house.blobs()
    sweep_garbage(house.seams)
    house.check_disks()


def leave_a_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation is cancelled after it has written bytes, which cannot be removed just then."""
    batches = import_dicom_data(house.seams, operation := house.claim("one"))
    next(batches)
    batches.close()
    house.seams.index.operations.request_cancel(operation.name)
    with monkeypatch.context() as faults:
        faults.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
        run_operation(house.seams, operation, "one", threading.Event(), Totals())


def test_of_a_place_that_is_away_no_more_than_some_garbage_is_tried(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all that of the others."""
    monkeypatch.setattr(sweeper, "GARBAGE_KEYS", 10)
    keys = [f"{place}/1/stow/1/{number:03}.dcm" for place in ("ARCHIVE", "main") for number in range(100)]
    with house.seams.index.database.write() as connection:
        discard_blobs(connection, keys)
    tried: list[str] = []

    def delete_all(_store: PlacedBlobStore, keys: Sequence[str]) -> dict[str, StatusError]:
        tried.extend(keys)
        return {key: DiskAway("it is not mounted") for key in keys if key.startswith("ARCHIVE/")}

    monkeypatch.setattr(PlacedBlobStore, "delete_all", delete_all)
    sweep_garbage(house.seams)
    assert [key for key in tried if key.startswith("ARCHIVE/")] == keys[:10]
    assert [key for key in tried if key.startswith("main/")] == keys[100:]


@pytest.mark.parametrize(("attempt", "listed"), [(1, ()), (2, (1,)), (3, (1, 2)), (250, tuple(range(150, 250)))])
def test_each_attempt_lists_those_before_it_that_could_not_be_removed(
    house: House, monkeypatch: pytest.MonkeyPatch, attempt: int, listed: tuple[int, ...]
) -> None:
    operation = replace(house.claim("one"), attempt=attempt)
    monkeypatch.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
    sweep_uncommitted(house.seams, operation)
    prefixes = [attempt_prefix(replace(operation, attempt=number)) for number in listed]
    keys = sorted(str(make_rest("main", prefix, "")) for prefix in prefixes)
    assert house.seams.index.garbage.list_blobs() == keys


def test_what_an_earlier_attempt_has_left_goes_although_a_later_one_commits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sorts before what is committed then."""
    seams = house.seams
    first = house.claim("one")
    left = f"main/{attempt_prefix(first)}a0/000.left"
    seams.blobs.put(left, [b"not committed"])
    second = seams.index.operations.claim_operation("two")
    assert second is not None
    with monkeypatch.context() as faults:
        faults.setattr(PlacedBlobStore, "delete_prefix", refuse(Unavailable("one file cannot be deleted")))
        run_operation(seams, second, "two", threading.Event(), Totals())
    rows = every_row_has_bytes(house)
    sweep_garbage(seams, threading.Event())
    assert left not in {each.key for each in seams.blobs.list("main/")}
    assert rows and every_row_has_bytes(house) == rows, "what was committed stays"
