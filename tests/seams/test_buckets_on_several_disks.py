"""A bucket below whose directory other disks are mounted: each that was written to is synced, once for a batch."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from gantry.errors import BucketAway
from gantry.storage import local
from gantry.storage.local import LocalBlobStore
from tests.support.descriptors import list_open, list_opened_since


class Disks:
    """Says that each directory directly below the root is a disk of its own; notes which were synced."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.synced, self.broken = root, list[str](), "none"
        self._fstat = os.fstat
        patch.setattr(os, "fstat", self.fstat)
        patch.setattr(local, "sync_file_system", self.sync)

    def _disk(self, fd: int) -> str:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        below = path.relative_to(self.root).parts if path.is_relative_to(self.root) else ()
        return below[0] if len(below) > 1 else ""

    def fstat(self, fd: int) -> os.stat_result:
        found = self._fstat(fd)
        if not (disk := self._disk(fd)):
            return found
        values = list(found)
        values[2] = 10**6 + sum(disk.encode())
        return os.stat_result(values, {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns})

    def sync(self, fd: int) -> None:
        self.synced.append(self._disk(fd))
        if self.synced[-1] == self.broken:
            raise OSError(5, "Input/output error")


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(tmp_path, monkeypatch)


@pytest.fixture
def store(disks: Disks) -> LocalBlobStore:
    return LocalBlobStore(str(disks.root), server="")


def test_each_disk_that_was_written_to_is_synced_once(disks: Disks, store: LocalBlobStore) -> None:
    for number in range(20):
        for key in ("top", "a/1/x", "b/1/x", "b/2/x"):
            store.put(f"{key}{number}", [b"data"])
    store.flush()
    assert sorted(disks.synced) == ["", "a", "b"]
    disks.synced.clear()
    store.flush()
    assert disks.synced == []
    store.put("c/x", [b"data"])
    store.flush()
    assert sorted(disks.synced) == ["", "c"]


def test_a_disk_that_refuses_to_keep_what_was_written_is_an_error(disks: Disks, store: LocalBlobStore) -> None:
    store.put("a/x", [b"data"])
    disks.broken = "a"
    with pytest.raises(BucketAway, match="refused to keep"):
        store.flush()


@pytest.mark.slow
def test_descriptors_are_closed_and_do_not_travel(disks: Disks, store: LocalBlobStore) -> None:
    before = list_open()
    for _ in range(3):
        for key in ("a/x", "b/x"):
            store.put(key, [b"data"])
        pickle.loads(pickle.dumps(store)).flush()  # noqa: S301 - our own
        store.flush()
    assert not list_opened_since(before)
