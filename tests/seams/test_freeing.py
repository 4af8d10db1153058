"""Many deletions at once, each with its own end; and what the system may answer to them."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.errors import DataLoss, DiskAway, NoRoom, NotFound, StatusError, Unavailable
from gantry.storage import holes, local_blobs, local_deletion, room
from gantry.storage.disks import Disk
from gantry.storage.local_blobs import LocalBlobs
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, Elsewhere, instance, uids, write
from tests.seams.segment_support import extent_of, refuse


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


def is_gone(blobs: LocalBlobs, key: str) -> bool:
    try:
        read(blobs, key)
    except NotFound:
        return True
    return False


@pytest.mark.parametrize("reading", [0, 1, 2])
def test_neighbours_of_what_is_read_are_freed(blobs: LocalBlobs, reading: int) -> None:
    found = write(blobs, [instance(5000, seed) for seed in range(3)])
    with blobs.open(found[reading]):
        failed = blobs.delete_all(found)
    assert list(failed) == [found[reading]] and isinstance(failed[found[reading]], Unavailable)
    assert [is_gone(blobs, key) for key in found] == [number != reading for number in range(3)]


def test_with_gaps_between_them_each_is_freed_and_nothing_else(blobs: LocalBlobs) -> None:
    found = write(blobs, [instance(5000, seed) for seed in range(7)])
    assert blobs.delete_all([found[5], found[1], found[2]]) == {}
    assert [is_gone(blobs, key) for key in found] == [number in (1, 2, 5) for number in range(7)]


@pytest.mark.parametrize("where", ["free_locked", "sync_file"])
def test_what_a_disk_does_not_free_has_failed_as_a_whole(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    found = write(blobs, [instance(5000, seed) for seed in range(3)])
    (away,) = write(blobs, [instance(5000, 9)], "main/other/")
    os.unlink(os.path.join(os.fsdecode(blobs.root), extent_of(away).segment))
    monkeypatch.setattr(local_deletion, where, refuse(errno.EIO))
    failed = blobs.delete_all([*found, away])
    assert set(failed) == set(found)
    assert all(key in error.message for key, error in failed.items())


def test_a_disk_that_goes_while_files_are_deleted_has_deleted_nothing_for_sure(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = write(blobs, [instance(9_000_000), instance(5000)])

    def go(*_: object) -> None:
        (tmp_path / "blobs").rename(tmp_path / "unmounted")
        (tmp_path / "blobs").mkdir()

    monkeypatch.setattr(local_blobs, "sync_directories", go)
    failed = blobs.delete_all(found)
    assert set(failed) == set(found) and all(isinstance(error, DiskAway) for error in failed.values())


def test_nothing_is_deleted_where_the_disk_is_away(blobs: LocalBlobs, tmp_path: Path) -> None:
    """What cannot be seen has not been deleted by anybody."""
    found = write(blobs, [instance(9_000_000), instance(5000)])
    (tmp_path / "blobs").rename(tmp_path / "unmounted")
    failed = blobs.delete_all(found)
    assert set(failed) == set(found) and all(isinstance(error, DiskAway) for error in failed.values())
    (tmp_path / "unmounted").rename(tmp_path / "blobs")
    assert not any(is_gone(blobs, key) for key in found)


def test_an_error_of_the_system_has_its_number() -> None:
    """The C library says it beside the result."""
    assert holes.fallocate(-1, 0x03, 0, 4096) in (errno.EBADF, errno.ENOSYS)


def answers(*numbers: int) -> Callable[..., int]:
    """A function of the C library that fails with these errors, one after the other, and then succeeds."""
    left = list(numbers)

    def function(*_: int) -> int:
        ctypes.set_errno(left.pop(0) if left else 0)
        return -1 if ctypes.get_errno() else 0

    return function


@pytest.mark.parametrize(
    ("numbers", "end"), [((), 0), ((errno.EINTR,), 0), ((errno.EINTR, errno.EINTR, errno.EIO), errno.EIO)]
)
def test_a_call_that_a_signal_interrupts_is_made_again(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...], end: int
) -> None:
    monkeypatch.setattr(holes, "_function", answers(*numbers))
    assert holes.fallocate(0, 3, 0, 4096) == end


def test_a_system_without_that_function_has_no_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "_function", None)
    assert holes.fallocate(0, 3, 0, 4096) == errno.ENOSYS


@pytest.mark.parametrize("size", [5000, 9_000_000])
def test_bytes_that_the_disk_cannot_give_back_are_lost(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (key,) = write(blobs, [instance(size)])
    with blobs.open(key) as opened:
        monkeypatch.setattr(os, "pread", refuse(errno.EIO))
        with pytest.raises(DataLoss, match="cannot be read"):
            opened.read_at(0, 100)


@pytest.mark.parametrize("size", [5000, 9_000_000])
def test_what_would_fill_the_disk_is_neither_written_nor_copied(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Room is left for the index, so that it can say that something was deleted."""
    monkeypatch.setattr(room, "read_room", lambda _: (size + 99, 100))
    writer = blobs.writer(PREFIX)
    with pytest.raises(NoRoom):
        writer.put([instance(size)], uids(1))
    with pytest.raises(NoRoom):
        writer.copy_from(Elsewhere(instance(size)), uids(1))
    writer.close()
    assert list(keys(blobs)) == []
    monkeypatch.setattr(room, "read_room", lambda _: (size + 100, 100))
    assert len(write(blobs, [instance(size)])) == 1


def test_a_quota_and_a_full_disk_say_what_helps(tmp_path: Path) -> None:
    disk = Disk("the disk", os.fsencode(tmp_path))
    quota, full = disk.full(errno.EDQUOT), disk.full(errno.ENOSPC)
    assert "quota" in quota.message and "Raise it" in quota.message
    assert "Make room" in full.message and "bytes" in full.message
    assert all(isinstance(error, StatusError) and error.waits_for is not None for error in (quota, full))


def test_a_removal_can_be_stopped_while_it_lists(blobs: LocalBlobs) -> None:
    """Also where nothing is found: the listing itself asks."""

    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    for number in range(3):
        os.makedirs(os.path.join(os.fsdecode(blobs.root), f"main/empty/{number}"))
    with pytest.raises(Stop):
        blobs.delete_prefix("main/empty/", check=stop)
