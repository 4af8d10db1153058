"""Bytes that no row names and that the disk does not remove at once: none is forgotten, and no caller sees its key."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import BucketAway, DiskAway, Interrupted, StatusError, Unreadable
from gantry.names import ResourcePath
from gantry.operations import export_dicom_data
from gantry.operations.batch_writers import BatchWriters
from gantry.operations.sweeper import sweep_garbage
from gantry.operations.sweeps import make_chores
from gantry.resources import Replacement, StoredInstance
from gantry.seams import MAIN, Seams
from gantry.storage import durable, local_extents, own_objects, segments
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies import update
from gantry.studies.store import Incoming, Stored, store
from gantry.studies.uploads import Uploads
from tests.dicomweb.instances import instance
from tests.faults.house import STORE, House
from tests.faults.scene import files
from tests.support.dicom import EXPLICIT_LITTLE_ENDIAN, make_instance

pytestmark = pytest.mark.slow

ONE = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
LARGE = 2 << 20  # bytes of pixels: an instance that is written to a file of its own before it is read
NUMBERS = pytest.mark.parametrize("number", [errno.EIO, errno.EPERM, errno.EROFS])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


def keep_all(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The disk frees no range, and removes no file."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local_extents, "free_range", refuse)
    monkeypatch.setattr(os, "unlink", refuse)


def broken_off() -> Iterator[bytes]:
    yield make_instance(*ONE, pixel_bytes=LARGE)
    raise OSError(errno.EIO, "the client is gone, or the disk fails")


# Operations -----------------------------------------------------------------------------------------------------------


@NUMBERS
@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_that_leaves_bytes_is_made_again_and_names_no_key(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, number: int, shared: bool
) -> None:
    """Were it committed, nothing would remove what it has left."""
    blobs._own_bytes = blobs._own_bytes if shared else 0
    with monkeypatch.context() as failing:
        keep_all(failing, number)
        with pytest.raises(DiskAway) as raised, BatchWriters(blobs, "1/7/a1-a0/000.0000-") as writers:
            key, _ = writers.at(MAIN).put([make_instance(*ONE)], ONE)
            with pytest.raises(StatusError):
                writers.at(MAIN).discard(key)
            writers.flush()
    assert "1/7" not in raised.value.message and ".seg" not in raised.value.message
    blobs.delete_prefix("main/1/7/")
    assert list(blobs.list()) == []


@NUMBERS
def test_a_patched_copy_that_can_be_neither_read_nor_removed_names_no_key(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is discarded, which the disk refuses: the operation waits for the disk."""
    writer = blobs.writer("main/1/stow/1/")
    key, size = writer.put([instance(ONE)], ONE)
    writer.flush()
    writer.close()
    rows = [StoredInstance(*ONE, "1.2", EXPLICIT_LITTLE_ENDIAN, key, size, "STANDARD", 1, *[0] * 6, None, None)]
    patch = [{"op": "replace", "path": "/00100020/Value/0", "value": "Q1"}]
    whole = LocalBlobs.open

    def open_old(blobs: LocalBlobs, key: str) -> Any:
        if key.startswith("main/1/7/"):
            raise Unreadable("its bytes cannot be read (the disk reports a read or write error)")
        return whole(blobs, key)

    def update_all() -> list[Any]:
        return list(
            update.update_batch(rows, [MAIN], "1/7/a1-a0/000.0000-", patch=patch, web_url="http://h", blobs=blobs)
        )

    with monkeypatch.context() as failing:
        keep_all(failing, number)
        failing.setattr(LocalBlobs, "open", open_old)
        with pytest.raises(DiskAway, match="does not remove what was not finished") as raised:
            update_all()
    assert "main/" not in raised.value.message and "1/7" not in raised.value.message
    assert isinstance(update_all()[0], Replacement)


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_with_a_copy_that_cannot_be_read_is_not_committed_where_its_sync_was_broken_off(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Patched copies are synced with the one that is wrong. Threads are short just then: the error is no fault of that
    one, for the others would be named by rows, and removed."""
    blobs._own_bytes = blobs._own_bytes if shared else 0
    writer = blobs.writer("main/1/stow/1/")
    every = [(*ONE[:2], f"{ONE[1]}.{number}") for number in (1, 2, 3)]
    put = {uids: writer.put([instance(uids)], uids) for uids in every}
    writer.flush()
    writer.close()
    of_row = "1.2", EXPLICIT_LITTLE_ENDIAN
    rows = [StoredInstance(*uids, *of_row, *put[uids], "STANDARD", 1, *[0] * 6, None, None) for uids in every]
    patch = [{"op": "replace", "path": "/00100020/Value/0", "value": "Q1"}]
    whole, failures = update.identify, [RuntimeError("can't start new thread")]

    def identify(opened: Any, key: str, *others: Any) -> Any:
        if failures and others[-1] == rows[2].path:
            raise Unreadable("its bytes cannot be read")
        return whole(opened, key, *others)

    def short(real: Any) -> Any:
        def call(*given: Any) -> Any:
            if failures:
                raise failures.pop()
            return real(*given)

        return call

    monkeypatch.setattr(update, "identify", identify)
    monkeypatch.setattr(own_objects, "ThreadPoolExecutor", short(own_objects.ThreadPoolExecutor))
    monkeypatch.setattr(segments, "sync_file", short(segments.sync_file))

    def update_all() -> list[Any]:
        prefix = "1/7/a1-a0/000.0000-"
        return list(update.update_batch(rows, [MAIN] * 3, prefix, patch=patch, web_url="http://h", blobs=blobs))

    with pytest.raises(DiskAway, match="its sync was broken off"):
        update_all()
    for made in update_all():
        assert isinstance(made, Replacement)
        blobs.open(made.after.blob_key).__exit__(None, None, None)


def test_an_error_of_the_batch_is_not_hidden_by_what_it_leaves(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_all(monkeypatch, errno.EIO)
    with pytest.raises(Interrupted, match="the index"), BatchWriters(blobs, "1/7/a1-a0/000.0000-") as writers:
        writers.at(MAIN).put([make_instance(*ONE)], ONE)
        raise Interrupted("the index cannot be used")


def test_all_writers_of_a_batch_are_closed_whatever_one_of_them_says(
    tmp_path: Path, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = BatchWriters(blobs, "1/7/a1-a0/000.0000-")
    for place in (MAIN, "COLDLINE"):
        writers.at(place).put([make_instance(*ONE)], ONE)
    first = writers.at(MAIN)
    monkeypatch.setattr(first, "close", lambda: (_ for _ in ()).throw(DiskAway("it is away")))
    with pytest.raises(DiskAway, match="it is away"):
        writers.close()
    assert list(blobs.list("COLDLINE/")) == []


@pytest.mark.parametrize(
    "error",
    [BucketAway("it is away"), DiskAway("it is away"), Unreadable("it is broken")],
    ids=["bucket", "disk", "broken"],
)
def test_of_what_an_export_has_left_one_directory_holds_up_no_other_unless_all_are_away(
    error: StatusError, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    class Destination:
        def delete_unfinished(self, prefix: str, depth: int) -> None:
            asked.append(prefix)
            raise error

    rows = [StoredInstance("1.2", f"1.2.{n}", "1", "1.2", "1.2", "k", 1, "STANDARD", 1, 1, *[None] * 7) for n in (1, 2)]
    remove = partial(export_dicom_data._delete_unfinished, Destination(), "out/", export_dicom_data.AS_THEY_ARE, rows)  # type: ignore[arg-type]
    if error.waits_for is None:
        remove()
        assert asked == ["out/1.2/1.2.1/", "out/1.2/1.2.2/"] and caplog.text.count("it is broken") == 2
    else:
        with pytest.raises(type(error), match="it is away"):
            remove()
        assert asked == ["out/1.2/1.2.1/"]


# Uploads --------------------------------------------------------------------------------------------------------------


def stored(seams: Seams, uploads: Uploads, chunks: Iterator[bytes]) -> Stored:
    return store(seams, uploads, STORE, [Incoming("part 1", chunks)])


def sweep(seams: Seams) -> None:
    """What the server does in the background."""
    for chore in make_chores_again(seams):
        chore.function()
    sweep_garbage(seams)


def make_chores_again(seams: Seams) -> list[Any]:
    left = list(seams.left_lots)
    chores = make_chores(seams, threading.Event(), set)
    seams.left_lots[:] = left  # as they were: those of this process, not those of the index
    return [chore for chore in chores if chore.name == "uploads"]


@NUMBERS
def test_what_an_upload_could_not_write_to_its_end_is_removed_later_by_the_same_process(
    house: House, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A large part is broken off, and the disk does not remove its file then."""
    uploads = Uploads(house.seams)
    with monkeypatch.context() as failing:
        keep_all(failing, number)
        with pytest.raises(StatusError) as raised:
            stored(house.seams, uploads, broken_off())
        assert "main/" not in raised.value.message
        uploads.close()
    assert len(files(house.data / "blobs")) == 1
    sweep(house.seams)
    assert files(house.data / "blobs") == set()
    assert house.seams.index.garbage.list_blobs() == house.seams.index.uploads.list_uploads() == []


@NUMBERS
@pytest.mark.parametrize("pixels", [4, LARGE])
def test_what_an_upload_discards_is_removed_later_by_the_same_process(
    house: House, monkeypatch: pytest.MonkeyPatch, number: int, pixels: int
) -> None:
    """It has the UIDs of what is stored."""
    uploads = Uploads(house.seams)
    assert stored(house.seams, uploads, iter([make_instance(*ONE)])).instances
    with monkeypatch.context() as failing:
        keep_all(failing, number)
        assert stored(house.seams, uploads, iter([make_instance(*ONE, pixel_bytes=pixels)])).refused
        uploads.close()
    assert len(house.blobs()) == 2
    sweep(house.seams)
    house.check_disks()
    assert house.seams.index.garbage.list_blobs() == house.seams.index.uploads.list_uploads() == []


@pytest.mark.parametrize("pixels", [4, LARGE])
def test_a_lot_of_which_nobody_knows_which_rows_it_has_is_swept_once_the_index_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    uploads, index = Uploads(house.seams), house.seams.index

    def refuse(*_: Any, **__: Any) -> Any:
        raise Interrupted("the index could not be written; whether the change was made is not known")

    with monkeypatch.context() as failing:
        failing.setattr(index.uploads, "store_instances", refuse)
        failing.setattr(type(index), "settle", refuse)
        with pytest.raises(Interrupted):
            stored(house.seams, uploads, iter([make_instance(*ONE, pixel_bytes=pixels)]))
        assert len(house.blobs()) == 1, "nothing is deleted while a row may name it"
        with pytest.raises(Interrupted):
            sweep(house.seams)
        assert len(house.blobs()) == 1
    assert stored(house.seams, uploads, iter([make_instance(*ONE)])).instances, "uploads go on, in another lot"
    sweep(house.seams)
    house.check_disks()
    assert len(index.uploads.list_uploads()) == 1, "that of the lot that goes on"
    uploads.close()
    assert index.uploads.list_uploads() == []


def test_a_lot_whose_row_cannot_be_removed_ends_once_the_index_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, index = Uploads(house.seams), house.seams.index
    stored(house.seams, uploads, iter([make_instance(*ONE)]))
    with monkeypatch.context() as failing:
        failing.setattr(index.uploads, "end_upload", lambda *_: (_ for _ in ()).throw(Interrupted("it is away")))
        uploads.close()
    sweep(house.seams)
    assert index.uploads.list_uploads() == []
    house.check_disks()


def test_a_patched_copy_that_the_disk_did_not_keep_for_another_request_is_no_fault_of_the_patch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of another request fails just then: all that was written since the last one is freed, and read as zeros.
    The client hears that the disk could not be written, not that its instance is no DICOM."""
    uploads, whole = Uploads(house.seams), update.identify
    assert stored(house.seams, uploads, iter([instance(ONE)])).instances
    patch = [{"op": "replace", "path": "/00100020/Value/0", "value": "Q1"}]

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "EIO")

    def identify(*given: Any) -> Any:
        writer = uploads._current[1]._writers[MAIN]
        with monkeypatch.context() as failing, ThreadPoolExecutor(1) as other:
            failing.setattr(durable, "_fdatasync", refuse)
            assert isinstance(other.submit(writer.flush).exception(30), DiskAway)
        return whole(*given)

    monkeypatch.setattr(update, "identify", identify)
    with pytest.raises(DiskAway, match="refused to keep what was written"):
        update.update_instance(house.seams, uploads, STORE, ResourcePath(*ONE), patch, "http://h")
    monkeypatch.setattr(update, "identify", whole)
    update.update_instance(house.seams, uploads, STORE, ResourcePath(*ONE), patch, "http://h")
    uploads.close()
    sweep(house.seams)
    house.check_disks()
