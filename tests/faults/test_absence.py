"""What cannot be read is not taken for what is not there: no byte that has a row goes, none without a row is forgotten,
and no operation ends as if it had seen all."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gantry.backoff import Backoff
from gantry.dicom.part10 import read_header
from gantry.errors import Aborted, Code, Interrupted, Unavailable
from gantry.log_entries import Severity
from gantry.names import ResourcePath
from gantry.operations import waits
from gantry.operations.attempt import run_operation
from gantry.operations.batches import FIRST_ITEMS
from gantry.operations.commits import Totals, commit
from gantry.operations.import_dicom_data import Count, import_dicom_data
from gantry.operations.runner import Runner
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.resources import Method
from gantry.storage import local_blobs, local_listing
from gantry.storage.contents import MAGIC
from gantry.storage.extents import OWN_BYTES, object_of
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.store import Incoming, store
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from gantry.worker_calls import Check
from tests.dicomweb.instances import instance
from tests.faults.failing import fail_method
from tests.faults.house import DATASET, STORE, House
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def lock(monkeypatch: pytest.MonkeyPatch, directory: bytes) -> None:
    """A directory cannot be listed."""
    entries = local_listing._list_entries

    def locked(root: bytes, base: bytes, part: local_listing.Part, check: Check, **known: bool) -> Iterator[Any]:
        if base == directory:
            raise Unavailable("the directory cannot be listed (input/output error)")
        yield from entries(root, base, part, check, **known)

    monkeypatch.setattr(local_listing, "_list_entries", locked)


def upload(house: House, pixel_bytes: int = 4) -> str:
    """The key of an instance whose lot is still written down, as a crash leaves it."""
    data = instance(("1.2.1", "1.2.1.1", "1.2.1.1.0"), PixelData=bytes(pixel_bytes))
    incoming = Incoming("part", iter([data]))
    return store(house.seams, Uploads(house.seams), STORE, [incoming]).instances[0].blob_key


def put(house: House, prefix: str) -> set[str]:
    """The keys of an instance in a segment and of one with a file of its own."""
    writer = house.seams.blobs.writer(prefix)
    data = instance(("1.2.1", "1.2.1.1", "1.2.1.1.0"))
    keys = {writer.put([data], ("1.2.1", "1.2.1.1", "1.2.1.1.0"))[0], writer.put([data])[0]}
    writer.flush()
    writer.close()
    return keys


@pytest.mark.parametrize("pixel_bytes", [4, OWN_BYTES])
def test_a_read_that_fails_costs_no_upload_its_bytes(
    house: House, monkeypatch: pytest.MonkeyPatch, pixel_bytes: int
) -> None:
    key = upload(house, pixel_bytes)
    left = house.seams.index.uploads.list_uploads()

    def refuse(*_: object) -> Any:
        raise Unavailable("cannot be read (input/output error)")

    with monkeypatch.context() as broken:
        broken.setattr(LocalBlobStore, "open", refuse)
        broken.setattr(local_blobs, "open_own_file", refuse)
        broken.setattr(local_blobs, "open_extent", refuse)
        broken.setattr(local_blobs.LocalBlobStore, "open", refuse)
        with pytest.raises(Unavailable):
            sweep_uploads(house.seams, left, threading.Event())
    assert house.blobs() == {key}
    assert len(left) == len(house.seams.index.uploads.list_uploads()) == 1
    sweep_uploads(house.seams, left, threading.Event())
    assert (house.blobs(), house.seams.index.uploads.list_uploads()) == ({key}, [])


def test_a_lot_that_cannot_be_listed_stays_written_down(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(house)
    left = house.seams.index.uploads.list_uploads()
    lock(monkeypatch, b"main/1/stow/1/")
    with pytest.raises(Unavailable, match="input/output"):
        sweep_uploads(house.seams, left, threading.Event())
    assert len(left) == len(house.seams.index.uploads.list_uploads()) == 1


def test_a_deleted_store_is_not_forgotten_while_its_bytes_are_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = (put(house, f"main/1/{operation}/a1-a0/000.0000-") for operation in (7, 8))
    house.seams.index.resources.delete_dicom_store(STORE)
    with monkeypatch.context() as broken:
        lock(broken, b"main/1/7/")
        sweep_stores(house.seams, threading.Event(), set())
    assert house.blobs() == kept and not kept & gone
    assert house.seams.index.garbage.list_deleted_stores() == [1]
    sweep_stores(replace(house.seams, undeletable=Backoff()), threading.Event(), set())
    assert (house.blobs(), house.seams.index.garbage.list_deleted_stores()) == (set(), [])


def test_what_follows_a_checkpoint_and_cannot_be_listed_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the rest of a directory would be missing, and the import a success."""
    commit_first(house)
    lock(monkeypatch, b"000/")
    house.carry_to_the_end()
    failures = house.seams.index.logs.list_last_failures(house.created.name, 100)
    assert "gs://source/000/" in [entry.failure.resource for entry in failures]


def test_a_directory_that_fails_half_way_is_not_begun_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = local_listing._list_entries

    def broken_off(root: bytes, base: bytes, part: local_listing.Part, check: Check, **known: bool) -> Iterator[Any]:
        found = entries(root, base, part, check, **known)
        yield from islice(found, FIRST_ITEMS - 1) if base == b"000/" else found
        if base == b"000/":
            raise Unavailable("the directory cannot be listed (input/output error)")

    with monkeypatch.context() as broken:
        broken.setattr(local_listing, "_list_entries", broken_off)
        commit_first(house)
    counter = house.carry_to_the_end().counter
    assert (counter.success, counter.failure) == (house.scene.success, house.scene.failure + 1)


def test_a_directory_that_has_failed_half_way_is_reported_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the next attempt begins inside of it, and it fails again."""
    entries = local_listing._list_entries

    def broken_off(root: bytes, base: bytes, part: local_listing.Part, check: Check, **known: bool) -> Iterator[Any]:
        found = entries(root, base, part, check, **known)
        yield from islice(found, 3) if base == b"000/" else found
        if base == b"000/":
            raise Unavailable("the directory cannot be listed (input/output error)")

    monkeypatch.setattr(local_listing, "_list_entries", broken_off)
    shutil.rmtree(house.data.parent / "buckets" / "source" / "001")  # nothing follows the directory that fails
    operation = house.claim("one")
    with closing(import_dicom_data(house.seams, operation)) as batches:
        for batch in batches:
            commit(house.seams, operation, "one", batch, Totals())
            if any("000/" in failure.resource for failure in batch.failures):
                break
    house.carry_to_the_end()
    failures = house.seams.index.logs.list_failures(house.created.name, 1000)
    assert [entry.failure.resource for entry in failures].count("gs://source/000/") == 1


def test_what_has_come_before_the_checkpoint_is_not_missed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_first(house)
    for number in range(5):
        house.scene._put(f"000/000000-{number}.dcm", make_instance("1.2.77", "1.2.77.1", f"1.2.77.1.{number}"))
    monkeypatch.setattr(Count, "__exit__", lambda count, *_: count._thread.join(60))  # all are counted
    operation, warnings = house.claim("heir"), []
    for batch in import_dicom_data(house.seams, operation):
        warnings += batch.warnings
        commit(house.seams, operation, "heir", batch, Totals())
    assert warnings == []


def test_what_was_counted_and_is_gone_is_said_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash as the operation is to end makes the next attempt end it: with the warning, or after it."""

    def count(self: Count) -> None:
        self.value += 0 if self._checkpoint else house.scene.count + 3

    def count_at_once(self: Count) -> Count:
        self._thread.start()
        self._thread.join()
        return self

    monkeypatch.setattr(Count, "_count", count)
    monkeypatch.setattr(Count, "__enter__", count_at_once)
    for runner, done in (("one", False), ("two", True)):
        with (
            fail_method(house.seams.index.operations, "finish_operation", Interrupted("it is away"), done=done),
            pytest.raises(Interrupted),
        ):
            run_operation(house.seams, house.claim(runner), runner, threading.Event(), Totals())
    operation = house.seams.index.operations.get_operation(house.created.name)
    assert operation.done and operation.counter.pending == 0
    entries = house.seams.index.logs.list_failures(house.created.name, 1000)
    gone = [entry for entry in entries if "were counted" in entry.failure.status.message]
    assert [entry.severity for entry in gone] == [Severity.WARNING]
    assert gone[0].failure.status.message.startswith("3 objects")
    assert operation.counter.failure == len(entries) - 1


def commit_first(house: House) -> None:
    """One attempt that commits its first batch and ends there."""
    operation = house.claim("first")
    with closing(import_dicom_data(house.seams, operation)) as batches:
        commit(house.seams, operation, "first", next(batches), Totals())


class Changing:
    """A bucket whose file is written to while it is read."""

    identity = "1:2:3"

    def require_mounted(self) -> None:
        pass

    def open(self, _key: str) -> Any:
        return self

    def __enter__(self) -> Changing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def chunks(self) -> Iterator[bytes]:
        yield b"/studies/1.2\n"
        raise Aborted("was changed by someone else while it was read")


def test_a_filter_file_that_changes_ends_its_operation(house: House) -> None:
    operations = house.seams.index.operations
    operations.request_cancel(house.created.name)
    request = {"storage_class": "ARCHIVE", "filter_uri": "gs://source/filter"}
    created = operations.create_operation(DATASET, "v1", Method.SET_BLOB_STORAGE_SETTINGS, request, str(STORE))
    bucket: Any = lambda _use: Changing()  # noqa: E731
    run_operation(replace(house.seams, bucket=bucket), house.claim("r"), "r", threading.Event(), Totals())
    error = operations.get_operation(created.name).error
    assert error is not None and error.code is Code.ABORTED and "filter file" in error.message


def test_another_attempt_that_was_begun_after_all_runs_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = house.seams.index.operations
    runner = Runner(house.seams, slots=1)
    runner._wait(house.claim(runner.id), Interrupted("the index cannot be used right now"))
    claim_again = operations.claim_again

    def unsure(*args: Any) -> None:
        claim_again(*args)
        raise Interrupted("the index cannot be used right now")

    monkeypatch.setattr(waits, "FIRST_SECONDS", 0.0)
    runner.waits._entries = {number: replace(entry, due=0.0) for number, entry in runner.waits._entries.items()}
    with monkeypatch.context() as broken:
        broken.setattr(operations, "claim_again", unsure)
        assert runner._claim_due() is None
    again = runner._claim_due()
    assert again is not None and again.name == house.created.name
    assert runner._claim_due() is None and operations.claim_operation(runner.id) is None, "it would run twice at once"


def test_a_refused_upload_that_cannot_be_deleted_goes_at_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = upload(house)
    house.seams.index.uploads.end_upload(1)
    uploads = Uploads(house.seams)

    def refuse(*_: object) -> None:
        raise Unavailable("cannot be written (input/output error)")

    with monkeypatch.context() as broken:
        broken.setattr(LocalBlobs, "delete", refuse)
        again = Incoming("part", iter([instance(("1.2.1", "1.2.1.1", "1.2.1.1.0"))]))
        assert len(store(house.seams, uploads, STORE, [again]).refused) == 1
    assert len(house.blobs()) == 2  # and the server is killed: the end of an upload would remove it, too
    sweep_uploads(house.seams, house.seams.index.uploads.list_uploads(), threading.Event())
    sweep_garbage(house.seams)
    assert house.blobs() == {key}
    house.check_disks()


def test_a_table_of_contents_that_is_damaged_costs_no_instance_its_bytes(house: House) -> None:
    """The index says how many there are: where the tables name fewer, its rows are looked through."""
    uploads = Uploads(house.seams)
    for number in range(2):
        incoming = Incoming("part", iter([instance(("1.2.1", "1.2.1.1", f"1.2.1.1.{number}"))]))
        assert store(house.seams, uploads, STORE, [incoming]).refused == []
    keys = {row.blob_key for row in house.seams.index.instances.walk_store(1)}
    (segment,) = set(map(object_of, keys))
    path = house.data / "blobs" / segment
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(MAGIC) + len(MAGIC) + 10] ^= 1
    path.write_bytes(damaged)
    before = {(blob.path, blob.offset) for blob in find_blobs(house.data / "blobs").values()}
    sweep_uploads(house.seams, house.seams.index.uploads.list_uploads(), threading.Event())
    assert {(blob.path, blob.offset) for blob in find_blobs(house.data / "blobs").values()} == before
    assert house.seams.index.uploads.list_uploads() == []
    for key in keys:
        with house.seams.blobs.open(key) as blob:
            assert read_header(blob.read_at, blob.size).study_instance_uid == "1.2.1"


@pytest.mark.parametrize("pixel_bytes", [4, OWN_BYTES])
def test_bytes_on_a_disk_that_is_not_mounted_are_not_forgotten(house: House, pixel_bytes: int) -> None:
    key = upload(house, pixel_bytes)
    left = house.seams.index.uploads.list_uploads()
    house.seams.index.deletion.delete_instance(STORE, ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.0"))
    house.seams.index.resources.delete_dicom_store(STORE)
    blobs, elsewhere = house.data / "blobs", house.data / "elsewhere"
    blobs.rename(elsewhere)
    blobs.mkdir()
    sweep_garbage(house.seams)
    sweep_stores(house.seams, threading.Event(), set())
    with pytest.raises(Unavailable, match="mounted"):
        sweep_uploads(house.seams, left, threading.Event())
    blobs.rmdir()
    elsewhere.rename(blobs)
    index = house.seams.index
    assert (house.blobs(), index.garbage.list_blobs()) == ({key}, [object_of(key)])
    assert (index.garbage.list_deleted_stores(), len(index.uploads.list_uploads())) == ([1], 1)
    sweep_garbage(house.seams)
    assert (house.blobs(), index.garbage.list_blobs()) == (set(), [])
    house.check_disks()
