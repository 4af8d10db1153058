"""The names of stores beside their blobs."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path

import pytest

from gantry.errors import DiskAway, FailedPrecondition
from gantry.names import DicomStoreName
from gantry.storage.generation_marks import mark_path
from gantry.storage.store_records import LocalStoreRecords, read_records, records_path

NAMES = {number: DicomStoreName("p", "l", "d", f"s{number}") for number in range(1, 4)}


def test_a_name_is_looked_up_once_for_all_uploads(tmp_path: Path) -> None:
    asked: list[int] = []

    def find(numbers: Collection[int]) -> dict[int, DicomStoreName]:
        asked.extend(numbers)
        return {number: NAMES[number] for number in numbers}

    mark_path(str(tmp_path), "main").touch()
    records = LocalStoreRecords({"main": str(tmp_path)}, find)
    for numbers in ([1], [1], [1, 2], [2], [1, 2], [3], [3, 1]):
        records.keep(numbers, "main")
    assert asked == [1, 2, 3]
    assert read_records(str(tmp_path), "main") == NAMES
    records.forget(2)
    assert read_records(str(tmp_path), "main") == NAMES | {2: None}


def records_of(root: Path) -> LocalStoreRecords:
    mark_path(str(root), "main").touch()
    return LocalStoreRecords({"main": str(root)}, lambda numbers: {number: NAMES[number] for number in numbers})


class Syncs:
    """What was synced, by inode; the one that is in ``failing`` cannot be."""

    def __init__(self) -> None:
        self.done: set[int] = set()
        self.failing = -1

    def sync(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        if inode == self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.done.add(inode)

    def have(self, root: Path) -> bool:
        """Whether the records are durable: their bytes, and their name in the directory."""
        return {root.stat().st_ino, records_path(str(root), "main").stat().st_ino} <= self.done


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    made = Syncs()
    monkeypatch.setattr(os, "fsync", made.sync)
    return made


def test_a_name_is_durable_before_its_first_blob(tmp_path: Path, syncs: Syncs) -> None:
    records_of(tmp_path).keep([1], "main")
    assert syncs.have(tmp_path)


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_name_that_is_not_durable_is_refused_until_it_is(tmp_path: Path, syncs: Syncs, what: str) -> None:
    records = records_of(tmp_path)
    path = records_path(str(tmp_path), "main")
    path.touch()  # so that it has its inode
    syncs.failing = (path if what == "file" else tmp_path).stat().st_ino
    for _ in range(2):
        with pytest.raises(DiskAway):
            records.keep([1], "main")
    syncs.failing = -1
    records.keep([1], "main")
    assert syncs.have(tmp_path) and read_records(str(tmp_path), "main") == {1: NAMES[1]}


def test_a_name_that_a_killed_process_has_written_may_not_be_durable(tmp_path: Path, syncs: Syncs) -> None:
    """It can be read from the memory of the system, and a power cut takes it from there."""
    records_of(tmp_path).keep([1], "main")
    syncs.done.clear()
    records_of(tmp_path).keep([1], "main")
    assert syncs.have(tmp_path)


def test_a_deletion_that_a_killed_process_has_written_may_not_be_durable(tmp_path: Path, syncs: Syncs) -> None:
    before = records_of(tmp_path)
    before.keep([1], "main")
    before.forget(1)
    syncs.done.clear()
    records_of(tmp_path).forget(1)
    assert syncs.have(tmp_path)


def test_a_store_without_records_needs_no_disk_to_be_forgotten(tmp_path: Path) -> None:
    records_of(tmp_path).forget(1)
    assert not records_path(str(tmp_path), "main").exists()


def test_records_that_cannot_be_read_refuse_the_start(tmp_path: Path) -> None:
    records_path(str(tmp_path), "main").mkdir()
    with pytest.raises(FailedPrecondition, match=r"main\.stores cannot be read"):
        records_of(tmp_path)
