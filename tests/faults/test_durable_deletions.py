"""What is deleted is forgotten by the index only once the disk has kept the deletion: else a power cut brings it back,
and nobody knows of it any more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import DiskAway
from gantry.index.counting import discard_blobs
from gantry.membership import Membership
from gantry.names import DicomStoreName
from gantry.operations.blob_keys import sweep_at_end
from gantry.operations.commits import Totals, commit
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.resources import Batch, Method
from gantry.seams import Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.upload_sweeps import sweep_uploads
from tests.faults.bare import STORE, Bare, begin, create_store, made, upload


class Disk:
    """What was unlinked, and which directories were synced since. Paths are those of real directories."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.pending: set[Path] = set()
        self.unlinked = 0
        self._patch = patch
        for name, record in (("unlink", self._on_unlink), ("rmdir", self._on_unlink), ("fsync", self._on_sync)):
            patch.setattr(os, name, self._wrap(getattr(os, name), record))

    def _wrap(self, real: Callable[..., Any], record: Callable[..., None]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            where = (
                Path(os.readlink(f"/proc/self/fd/{named.get('dir_fd', given[0])}")) if _is_fd(given, named) else None
            )
            done = real(*given, **named)
            if where is not None:
                record(where, given[0])
            return done

        return act

    def _on_unlink(self, directory: Path, name: Any) -> None:
        self.unlinked += 1
        self.pending.discard(directory / os.fsdecode(name))  # a directory that is gone needs no sync
        self.pending.add(directory)

    def _on_sync(self, directory: Path, _: Any) -> None:
        self.pending.discard(directory)

    def require(self, owner: Any, name: str) -> None:
        """Whenever ``name`` is called, something was unlinked, and all of that is durable."""
        real = getattr(owner, name)

        def act(*given: Any, **named: Any) -> Any:
            assert self.unlinked, "nothing was deleted"
            assert self.pending == set(), f"{name} comes before the sync of {self.pending}"
            self.unlinked = 0
            self.forgotten = True
            return real(*given, **named)

        self.forgotten = False
        self._patch.setattr(owner, name, act)


def _is_fd(given: tuple[Any, ...], named: dict[str, Any]) -> bool:
    return "dir_fd" in named or isinstance(given[0], int)


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    with Bare(tmp_path, near=True).opened() as opened:
        yield opened


def write(seams: Seams, prefix: str, *studies: int, large: bool = True) -> None:
    """Blobs without rows."""
    for study in studies:
        writer = seams.blobs.writer(prefix)
        writer.put([made(study, 1)], (f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.1"))
        if large:
            writer.put([made(study, 2, 9 << 20)], (f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.2"))
        writer.flush()
        writer.close()


def test_of_a_deleted_store(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(seams, made(1, 1), made(1, 2, 9 << 20))
    write(seams, "NEARLINE/1/5/a1-a0/000.0000-", 2)
    seams.index.resources.delete_dicom_store(STORE)
    disk = Disk(monkeypatch)
    disk.require(seams.index.garbage, "forget_store")
    sweep_stores(seams, threading.Event(), set())
    assert disk.forgotten


def test_of_what_an_operation_has_left(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    write(seams, "main/1/55/a1-a0/000.0000-", 2, 3)
    write(seams, "main/1/55/a1-a1/000.0000-", 4)
    with seams.index.database.write() as connection:
        discard_blobs(connection, ["main/1/55/>"])
    disk = Disk(monkeypatch)
    disk.require(seams.index.garbage, "forget_blobs")
    sweep_garbage(seams)
    assert disk.forgotten


@pytest.mark.parametrize("committed", ["", "old"])
def test_of_what_was_not_committed_at_the_end_of_an_operation(
    seams: Seams, committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of older versions are compared one by one."""
    begin(seams, Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"})
    operation = seams.index.operations.claim_operation("one")
    assert operation is not None
    prefix = f"1/{operation.name.id}"
    write(seams, f"main/{prefix}/a1-a0/000.0000-", 2)
    if committed:
        with seams.index.database.write() as connection:
            values = f"attempt = 10000, blob_prefix = '{prefix}/9999-000000/001'"
            connection.exec_driver_sql(f"UPDATE operation SET {values}")
        seams.blobs.put(f"main/{prefix}/9999-000000/002.dcm", [b"x"])
        operation = seams.index.operations.claim_again(operation, "one")
        assert operation is not None
    disk = Disk(monkeypatch)
    assert sweep_at_end(seams, operation) == []
    assert disk.unlinked and disk.pending == set()
    assert [each.key for each in seams.blobs.list("main/1/")] == []


def test_what_a_later_attempt_has_written_stays(seams: Seams) -> None:
    """One that was frozen wakes in its sweep when another server has long gone on."""
    begin(seams, Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"})
    frozen = seams.index.operations.claim_operation("one")
    assert frozen is not None and frozen.attempt == 1
    prefix = f"main/1/{frozen.name.id}"
    for attempt in ("a1", "a2", "b10"):
        write(seams, f"{prefix}/{attempt}-a0/000.0000-", 1)
    assert sweep_at_end(seams, frozen) == []
    left = {each.key.removeprefix(prefix).partition("-")[0] for each in seams.blobs.list("main/1/")}
    assert left == {"/a2", "/b10"}


def test_of_several_servers_one_frees_what_a_batch_gives_up(seams: Seams) -> None:
    """Not every server of S3 knows the condition that two who rewrite a segment need."""
    begin(seams, Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"})
    operation = seams.index.operations.claim_operation("one")
    assert operation is not None
    key = "main/1/stow/7/1.dcm"
    seams.blobs.put(key, [b"x"])
    for is_keeper in (False, True):
        members = Membership()
        members.is_keeper = is_keeper
        commit(replace(seams, members=members), operation, "one", Batch("x", garbage=(key,)), Totals())
        assert [each.key for each in seams.blobs.list("main/1/stow/")] == ([] if is_keeper else [key])


def test_of_an_upload_of_which_nothing_has_a_row(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    second = create_store(seams, DicomStoreName("p", "us-central1", "d", "second"))
    lot = seams.index.uploads.begin_upload(second)
    write(seams, f"main/{second}/stow/{lot}/", 2, large=False)
    disk = Disk(monkeypatch)
    disk.require(seams.index.uploads, "end_upload")
    sweep_uploads(seams, [(lot, second)], threading.Event())
    assert disk.forgotten


def test_a_disk_that_goes_away_before_the_sync_has_not_kept_a_deletion(tmp_path: Path) -> None:
    """The directories are not there then, as if all that lay in them were deleted for good."""
    root = tmp_path / "blobs"
    (root / "main/1").mkdir(parents=True)
    blobs = LocalBlobs(str(root))
    root.rename(tmp_path / "away")
    root.mkdir()  # the mount point
    with pytest.raises(DiskAway):
        blobs.sync_removed({"main/1"})
    blobs.sync_removed(set())
