"""Requests that the object storage carries out after the server has given them up, or has died: what they write is
found by its prefix, and nothing else goes with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.backoff import Backoff
from gantry.cli import run as run_here
from gantry.errors import DiskAway, StatusError, Unavailable
from gantry.findings import Finding, Kind
from gantry.late_writes import make_late
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.operations import compaction, late_sweeps
from gantry.operations.attempt import run_operation
from gantry.operations.batch_writers import Tries
from gantry.operations.commits import Totals, cancel
from gantry.operations.late_sweeps import LateSweeps
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.resources import Dataset, DicomStore, Method, Operation
from gantry.seams import Seams
from gantry.storage.remote import retrying
from gantry.studies.store import Incoming, store
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.buckets.blob_home import BlobHome
from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.directories import name_of
from tests.support.providers import S3Buckets
from tests.support.s3_server import S3Server

DATASET = DatasetName("p", "us-central1", "d")
STORE = DicomStoreName("p", "us-central1", "d", "s")
LARGE = 9 << 20
NEVER = threading.Event()


@pytest.fixture
def own(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> BlobHome:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)
    return BlobHome(tmp_path, S3Buckets(s3))


@pytest.fixture
def seams(own: BlobHome) -> Iterator[Seams]:
    with own.opened() as opened:
        opened.index.resources.create_dataset(Dataset(DATASET), "v1")
        opened.index.resources.create_dicom_store(DicomStore(STORE))
        yield opened


def upload(seams: Seams, uploads: Uploads, number: int, pixel_bytes: int = 2000) -> None:
    data = make_instance("1.2", "1.2.1", f"1.2.1.{number}", pixel_bytes=pixel_bytes)
    store(seams, uploads, STORE, [Incoming("part 1", iter([data]))])


def come_late(own: BlobHome, prefix: str) -> set[str]:
    """A segment and an object of its own that nobody knows of."""
    keys = {f"{prefix}fedcba9876543210.seg", f"{prefix}0123456789abcdef.dcm"}
    for key in keys:
        own.put(key, b"late")
    return keys


def end_call() -> Future[list[str]]:
    """A call that has answered."""
    call = Future[list[str]]()
    call.set_result([])
    return call


def listed(seams: Seams) -> list[str]:
    return [key for key in seams.index.garbage.list_blobs() if key.startswith("late/")]


def require_removed(own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """What comes below the prefix goes, once it has waited long enough, and nothing else does."""
    named = set(own.blobs())
    late, sweeps = come_late(own, prefix), LateSweeps(seams, NEVER)
    assert findings(own.data, settings=own.load()) == [], "it is known that something may come"
    sweeps.run()
    sweep_garbage(seams)
    assert set(own.blobs()) == named | late, "more may come"
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    sweeps.run()
    assert set(own.blobs()) == named
    assert seams.index.garbage.list_blobs() == []
    assert findings(own.data, settings=own.load()) == []


@pytest.mark.slow
@pytest.mark.parametrize("pixel_bytes", [2000, 2 << 20, LARGE], ids=["segment", "own", "parts"])
def test_what_an_upload_has_given_up(
    own: BlobHome, seams: Seams, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, pixel_bytes: int
) -> None:
    uploads = Uploads(seams)
    upload(seams, uploads, 1)
    upload(seams, uploads, 2, LARGE)
    writes = ["PutObject", "UploadPart"]
    with s3_server.fail("500 InternalError", methods=writes, keys="/stow/"), pytest.raises(DiskAway):
        upload(seams, uploads, 3, pixel_bytes)
    upload(seams, uploads, 4)
    uploads.close()
    assert listed(seams) == ["late/main/1/stow/1/"]
    require_removed(own, seams, monkeypatch, "main/1/stow/1/")


@pytest.mark.parametrize("pixel_bytes", [2000, LARGE], ids=["segment", "own"])
def test_a_first_try_that_comes_when_what_its_repetition_wrote_is_deleted(
    own: BlobHome, seams: Seams, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, pixel_bytes: int
) -> None:
    """Nothing stands in its way then, whatever condition it has: the bytes of a patient would be back for ever."""
    uploads, writes = Uploads(seams), ["PutObject", "UploadPart"]
    with s3_server.fail("500 InternalError", methods=writes, keys="/stow/", times=1) as rule:
        upload(seams, uploads, 1, pixel_bytes)
    assert rule.failed
    uploads.close()
    assert listed(seams) == ["late/main/1/stow/1/"]
    (blob,) = own.blobs().items()
    seams.index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    sweep_garbage(seams)
    assert own.blobs() == {}
    own.put(*blob)
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    LateSweeps(seams, NEVER).run()
    assert own.blobs() == {}


@pytest.mark.slow
def test_a_request_of_a_worker_that_was_sent_again(
    own: BlobHome, seams: Seams, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch succeeds, and so does its operation."""
    operation = begin_import(own, seams)
    with s3_server.fail("500 InternalError", methods=["PutObject"], keys="/main/1/", times=1) as rule:
        run_operation(seams, operation, "one", NEVER, Totals())
    assert rule.failed
    done = seams.index.operations.get_operation(operation.name)
    assert done.done and done.counter.success == 5
    prefix = f"main/1/{operation.name.id}/a1-a0/000.0000-"
    assert listed(seams) == [f"late/{prefix}"]
    require_removed(own, seams, monkeypatch, prefix)


def test_uploads_without_trouble_search_nothing(own: BlobHome, seams: Seams) -> None:
    uploads = Uploads(seams)
    upload(seams, uploads, 1)
    upload(seams, uploads, 2, LARGE)

    def broken() -> Iterator[bytes]:
        yield make_instance("1.2", "1.2.1", "1.2.1.3", pixel_bytes=LARGE)[:-20]
        raise Unavailable("the client has gone")

    with suppress(StatusError):
        store(seams, uploads, STORE, [Incoming("part 1", broken())])
    uploads.close()
    assert listed(seams) == []


def test_what_a_server_that_was_killed_was_writing(
    own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lots have rows: they are swept by the next start, and what comes after that is found, too."""
    upload(seams, Uploads(seams), 1)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), NEVER)
    assert listed(seams) == ["late/main/1/stow/1/"]
    require_removed(own, seams, monkeypatch, "main/1/stow/1/")


def begin_import(own: BlobHome, seams: Seams) -> Operation:
    source = own.buckets.make_bucket()
    own.buckets.put(source, {f"{each}.dcm": make_instance("1.4", "1.4.1", f"1.4.1.{each}") for each in range(5)})
    request = {"uri": f"{source}/**", "storage_class": "STANDARD"}
    seams.index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, request, str(STORE))
    operation = seams.index.operations.claim_operation("one")
    assert operation is not None
    return operation


@pytest.mark.slow
def test_what_an_operation_has_given_up(
    own: BlobHome, seams: Seams, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = begin_import(own, seams)
    with s3_server.fail("500 InternalError", methods=["PutObject"], keys="/main/1/"), pytest.raises(DiskAway):
        run_operation(seams, operation, "one", NEVER, Totals())
    again = seams.index.operations.claim_again(operation, "one")
    assert again is not None
    run_operation(seams, again, "one", NEVER, Totals())
    done = seams.index.operations.get_operation(operation.name)
    assert done.done and done.counter.success == 5
    prefix = f"main/1/{operation.name.id}/"
    assert listed(seams) == [f"late/{prefix}"]
    require_removed(own, seams, monkeypatch, f"{prefix}a1-a0/000.0000-")


def test_what_a_worker_that_died_was_writing(own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is made again, and its commit lists where more may come."""
    tries, directory = Tries(seams), "main/1/7/a1-a0/000"
    for number in (0, 1, 1):
        tries.add(number, end_call())
    assert tries.find_left(0, [directory], []) == ()
    left = tries.find_left(1, [directory, "COLDLINE/1/7/a1-a0/000"], [])
    assert left == (f"late/{directory}.",), "COLDLINE is no bucket"
    seams.index.garbage.add_blobs(left)
    require_removed(own, seams, monkeypatch, f"{directory}.0000-")


@pytest.mark.slow
def test_small_segments_of_uploads_that_came_alone_are_joined(own: BlobHome, seams: Seams) -> None:
    for number in range(compaction.JOINED):
        uploads = Uploads(seams)
        upload(seams, uploads, number)
        uploads.close()
    assert len(own.blobs()) == compaction.JOINED
    compaction.join_segments(seams, NEVER)
    sweep_garbage(seams)
    assert len(own.blobs()) == 1
    assert len(list(seams.index.instances.walk_store(1))) == compaction.JOINED
    assert findings(own.data, settings=own.load()) == []


@pytest.mark.slow
def test_an_operation_without_trouble_searches_nothing(own: BlobHome, seams: Seams) -> None:
    run_operation(seams, begin_import(own, seams), "one", NEVER, Totals())
    assert listed(seams) == []


def test_what_a_cancelled_operation_was_writing(own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = begin_import(own, seams)
    cancel(seams, operation, "one")
    sweep_garbage(seams)
    prefix = f"main/1/{operation.name.id}/"
    assert listed(seams) == [f"late/{prefix}"]
    require_removed(own, seams, monkeypatch, f"{prefix}a1-a0/000.0000-")


@pytest.mark.slow
def test_what_comes_for_a_store_that_was_deleted(own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(seams, Uploads(seams), 1)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), NEVER)
    seams.index.resources.delete_dicom_store(STORE)
    sweep_stores(seams, NEVER, set())
    assert own.blobs() == {}
    require_removed(own, seams, monkeypatch, "main/1/stow/1/")


def test_a_search_that_fails_is_made_again(
    own: BlobHome, seams: Seams, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(seams, Uploads(seams), 1)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), NEVER)
    named = set(own.blobs())
    late = come_late(own, "main/1/stow/1/")
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(Backoff, "is_due", lambda *_: True)
    for rule in ({"methods": ["ListObjectsV2"]}, {"methods": ["DELETE", "DeleteObjects"]}):
        with s3_server.fail("500 InternalError", **rule):  # type: ignore[arg-type]
            LateSweeps(seams, NEVER).run()
        assert set(own.blobs()) == named | late and listed(seams)
    LateSweeps(seams, NEVER).run()
    assert set(own.blobs()) == named and listed(seams) == []


def test_nothing_is_removed_while_a_backup_is_made(
    own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(seams, Uploads(seams), 1)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), NEVER)
    late = come_late(own, "main/1/stow/1/")
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    (own.data / "hold").write_text("")
    LateSweeps(seams, NEVER).run()
    assert late < set(own.blobs())


@pytest.mark.sqlite("damages the file")
def test_a_damaged_index_says_of_nothing_that_nobody_names_it(
    own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have lost rows: a rebuild finds them by the bytes alone."""
    upload(seams, Uploads(seams), 1)
    lots = seams.index.uploads.list_uploads()
    left = [*lots, (77, 1)]
    come_late(own, "main/1/stow/77/")
    before = set(own.blobs())
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    seams.index.garbage.add_blobs([make_late("main/1/stow/77/")])
    with monkeypatch.context() as patched:
        patched.setattr(type(seams.index.database.examination), "run", lambda self: None)  # type: ignore[attr-defined]
        patched.setattr(seams.index.database.examination, "trouble", "the index is damaged")  # type: ignore[attr-defined]
        LateSweeps(seams, NEVER).run()
        sweep_uploads(seams, left, NEVER)
        assert set(own.blobs()) == before and len(left) == 2 and listed(seams)
    LateSweeps(seams, NEVER).run()
    assert len(before - set(own.blobs())) == 2


def test_a_backup_that_begins_while_rows_are_looked_up(
    own: BlobHome, seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copy of the index may name what lost its row just then."""
    upload(seams, Uploads(seams), 1)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), NEVER)
    late = come_late(own, "main/1/stow/1/")
    find_named = seams.index.uploads.find_named

    def find(keys: Sequence[str]) -> set[str]:
        (own.data / "hold").write_text("")
        return find_named(keys)

    monkeypatch.setattr(seams.index.uploads, "find_named", find)
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    sweeps = LateSweeps(seams, NEVER)
    sweeps.run()
    assert late < set(own.blobs()) and listed(seams), "it is searched again afterwards"
    (own.data / "hold").unlink()
    monkeypatch.undo()
    monkeypatch.setattr(late_sweeps, "LATE_SECONDS", 0.0)
    sweeps.run()
    assert not late & set(own.blobs()) and not listed(seams)


@pytest.mark.slow
def test_what_nobody_names_is_told_and_cleared(
    own: BlobHome, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has brought it there."""
    with own.opened() as seams:
        seams.index.resources.create_dataset(Dataset(DATASET), "v1")
        seams.index.resources.create_dicom_store(DicomStore(STORE))
        uploads = Uploads(seams)
        upload(seams, uploads, 1)
        upload(seams, uploads, 2, LARGE)
        uploads.close()
    named = set(own.blobs())
    unknown = come_late(own, "main/1/stow/1/") | come_late(own, "main/1/77/a1-a0/000.0000-")
    begun = "main/1/stow/1/0001-0123456789abcdef.dcm"
    own.buckets.client.create_multipart_upload(Bucket=name_of(own.bucket), Key=own.prefix + begun)  # type: ignore[attr-defined]
    found = findings(own.data, settings=own.load())
    assert {(each.kind, each.resource) for each in found} == {(Kind.BYTES_UNKNOWN, key) for key in {*unknown, begun}}
    arguments = ["storage", "clear", "--config", str(own.config)]
    with own.open():
        assert run_here(arguments) != 0, "a server uses the directory"
    assert set(own.blobs()) == named | unknown
    assert run_here([*arguments, "--dry-run"]) == 0
    assert set(own.blobs()) == named | unknown
    told = capsys.readouterr().out
    assert all(key in told for key in {*unknown, begun})
    with monkeypatch.context() as patched:
        damage = Finding(Kind.INDEX_DAMAGED, "index.sqlite", "row 5 missing from index")
        patched.setattr("gantry.index.checks.Checks.find_damage", lambda _: iter([damage]))
        assert run_here(arguments) != 0, "what an index has forgotten can be found by these bytes alone"
    assert "row 5 missing" in capsys.readouterr().err and set(own.blobs()) == named | unknown
    assert run_here(arguments) == 0
    said = capsys.readouterr().out
    assert all(key in said for key in {*unknown, begun}) and not any(key in said for key in named)
    assert set(own.blobs()) == named
    assert findings(own.data, settings=own.load()) == []
