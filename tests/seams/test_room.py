"""Room that is left free of instances: it is looked for now and then, and more often on a disk that is nearly full."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gantry.index.reserve import Reserve
from gantry.storage import room
from gantry.storage.disks import Disk
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.room import Room

MB = 1 << 20
DISK = 100_000 * MB


class FakeDisk:
    """``free`` bytes; ``looks`` counts the questions for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free, self.looks = free, 0
        monkeypatch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, _path: bytes) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(f_bavail=self.free, f_frsize=1, f_blocks=DISK)


def test_a_disk_with_room_is_looked_at_once_for_each_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, writer = FakeDisk(monkeypatch, DISK), Room(b"/")
    for _ in range(1024):
        writer.take(10 << 10)
    assert 10 <= disk.looks <= 11


def test_a_disk_that_is_nearly_full_is_looked_at_often_enough_to_leave_what_is_left_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although several writers write at the same time."""
    disk = FakeDisk(monkeypatch, 50 * MB)
    writers = [Room(b"/") for _ in range(room._WRITERS)]
    written = 0
    with pytest.raises(OSError) as raised:
        while True:
            for writer in writers:
                writer.take(10_000)
                disk.free -= 10_000
                written += 10_000
    assert raised.value.errno == errno.ENOSPC
    assert written > 40 * MB and disk.free >= 4 * MB


def test_what_would_fill_the_disk_is_refused_and_what_fits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDisk(monkeypatch, 10 * MB)
    writer = Room(b"/")
    for _ in range(2):
        with pytest.raises(OSError):
            writer.take(6 * MB)
        writer.take(4 * MB)


def test_a_long_instance_is_looked_for_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, writer = FakeDisk(monkeypatch, DISK), Room(b"/")
    chunks = writer.take_each(iter([bytes(MB)] * 8))
    assert len(next(chunks)) == MB
    disk.free = 0
    with pytest.raises(OSError):
        list(chunks)


def test_a_disk_that_reports_no_blocks_has_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As some file systems of libfuse do."""
    nothing = SimpleNamespace(f_bavail=0, f_frsize=4096, f_blocks=0, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _path: nothing)
    Room(b"/").take(MB)
    assert LocalBlobs(str(tmp_path)).find_shortage("main") == ""
    assert Reserve(tmp_path / "index.sqlite").shortage == ""
    assert "bytes" not in Disk("the disk", b"/").full(errno.ENOSPC).message
