"""A crash between any two steps of the walk, made deterministic: the real parts, abandoned half way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import NoRoom
from gantry.operations import import_dicom_data as verb
from gantry.operations.batches import FIRST_ITEMS, MAX_BYTES, MAX_ITEMS
from gantry.operations.blob_keys import sweep_attempt
from gantry.operations.commits import Totals, commit, finish
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Uids
from gantry.seams import BlobWriter, OpenedObject
from gantry.storage.local_blobs import LocalBlobs
from tests.faults.house import House
from tests.faults.scene import blobs
from tests.support.writers import WrappedWriter


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_undisturbed(house: House) -> None:
    house.check(house.carry_to_the_end())


def test_crash_after_the_claim(house: House) -> None:
    house.claim("first")
    house.check(house.carry_to_the_end())


@pytest.mark.slow
@pytest.mark.parametrize("committed", [0, 1, 3])
def test_crash_with_blobs_written_but_not_committed(house: House, committed: int) -> None:
    operation = house.claim("first")
    with closing(verb.import_dicom_data(house.seams, operation)) as batches:
        for _, batch in zip(range(committed), batches, strict=False):
            commit(house.seams, operation, "first", batch, Totals())
        next(batches)
    assert len(blobs(house.data)) > house.seams.index.instances.count_in_store(1)
    house.check(house.carry_to_the_end())


def test_crash_after_a_commit_before_its_garbage_is_swept(house: House) -> None:
    operation = house.claim("first")
    with closing(verb.import_dicom_data(house.seams, operation)) as batches:
        for batch in batches:
            stored = house.seams.index.instances.find_stored(
                operation.store_id, [item.uids for item in batch.instances]
            )
            settled = verb.settle(house.seams, batch, stored)
            house.seams.index.operations.commit_batch(operation, "first", settled)
    assert house.seams.index.garbage.list_blobs()
    finished = house.carry_to_the_end()
    sweep_garbage(house.seams)
    house.check(finished)


def test_crash_between_the_last_batch_and_the_end(house: House) -> None:
    operation = house.claim("first")
    with closing(verb.import_dicom_data(house.seams, operation)) as batches:
        for batch in batches:
            commit(house.seams, operation, "first", batch, Totals())
    house.check(house.carry_to_the_end())


@pytest.mark.slow
def test_a_runner_that_lost_its_operation_writes_nothing(house: House) -> None:
    late = house.claim("first")
    with closing(verb.import_dicom_data(house.seams, late)) as batches:
        batch = next(batches)
        finished = house.carry_to_the_end()
        with pytest.raises(Exception, match="not this runner's any more"):
            house.seams.index.operations.commit_batch(late, "first", batch)
        with pytest.raises(Exception, match="not this runner's any more"):
            finish(house.seams, late, "first", None)
    sweep_attempt(house.seams, late, "")
    house.check(finished)


def test_after_a_crash_what_is_left_is_counted_behind_what_was_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures were done, too."""
    monkeypatch.setattr(verb.Count, "__enter__", count_first)
    operation = house.claim("first")
    with closing(verb.import_dicom_data(house.seams, operation)) as batches:
        for _, batch in zip(range(2), batches, strict=False):
            commit(house.seams, operation, "first", batch, Totals())
    before = house.claim("second")
    assert before.counter.failure and before.counter.success and before.counter.listed == house.scene.count
    with closing(verb.import_dicom_data(house.seams, before)) as batches:
        assert {batch.listed for batch in batches} == {house.scene.count}


def test_a_batch_holds_no_more_bytes_than_the_limit(house: House) -> None:
    """Large files, each as long as a limit lets two of them be together."""
    for number in range(6):
        with (house.data.parent / "buckets" / "source" / f"zz-{number}").open("wb") as file:
            file.truncate(MAX_BYTES // 2)
    batches = list(verb.import_dicom_data(house.seams, house.claim("first")))
    sizes = [sum("/zz-" in failure.resource for failure in batch.failures) for batch in batches]
    assert sum(sizes) == 6 and max(sizes) == 2


class Full(WrappedWriter):
    """There is room for so many more instances."""

    def __init__(self, writer: BlobWriter, room: int) -> None:
        super().__init__(writer)
        self.room = room

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        self._take_room()
        return super().put(chunks, uids)

    def copy_from(self, source: OpenedObject, uids: Uids, written: int | None = None) -> str:
        self._take_room()
        return super().copy_from(source, uids, written)

    def _take_room(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise NoRoom("cannot be written, the disk is full")


class FullDisk(LocalBlobs):
    """A blob store whose disk is full in the middle of the third batch of an import, whoever writes first."""

    def writer(self, prefix: str) -> Any:
        number = int(prefix.rpartition("/")[2].partition(".")[0])
        return Full(super().writer(prefix), 20) if number >= 2 else super().writer(prefix)


def count_first(count: verb.Count) -> verb.Count:
    """All objects are counted before the first batch begins."""
    count._thread.start()
    count._thread.join()
    return count


def test_on_a_full_disk_the_operation_waits_and_keeps_what_was_stored(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb.Count, "__enter__", count_first)
    seams = replace(house.seams, blobs=FullDisk(str(house.data / "blobs")))
    with pytest.raises(NoRoom):
        house.carry_to_the_end(seams)
    operation = house.seams.index.operations.get_operation(house.created.name)
    assert not operation.done
    done = operation.counter.success + operation.counter.failure
    assert done == sum(min(FIRST_ITEMS << number, MAX_ITEMS) for number in range(2)), "two batches"
    assert operation.counter.pending == house.scene.count - done
    sweep_garbage(house.seams)
    house.check_disks()
    stored = {"/".join(item.uids) for item in house.seams.index.instances.walk_store(1)}
    assert stored <= set(house.scene.stored) and len(stored) == house.seams.index.instances.count_in_store(1) > 0
