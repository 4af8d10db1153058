"""Whose stored instances a bucket holds, and how far their index has come: marks beside the blobs, looked at by every
start."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gantry.errors import DiskAway, FailedPrecondition, PermissionDenied
from gantry.findings import Kind
from gantry.names import DatasetName, DicomStoreName
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Dataset, DicomStore
from gantry.seams import BucketUse, Seams
from gantry.storage.generation_marks import Mark
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.store_records import parse_records
from tests.buckets.blob_home import BlobHome
from tests.faults.lost import lose_index
from tests.support.checked import findings
from tests.support.databases import is_server
from tests.support.providers import S3Buckets
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.slow

DATASET = DatasetName("p", "us-central1", "d")
STORE = DicomStoreName("p", "us-central1", "d", "s")
BLOB = "main/1/9/0-0/0000.0-0000-0123456789abcdef.dcm"


@pytest.fixture
def buckets(s3: str) -> S3Buckets:
    return S3Buckets(s3)


@pytest.fixture
def own(tmp_path: Path, buckets: S3Buckets) -> BlobHome:
    return BlobHome(tmp_path, buckets)


def make_store(seams: Seams) -> None:
    seams.index.resources.create_dataset(Dataset(DATASET), "v1")
    seams.index.resources.create_dicom_store(DicomStore(STORE))


def fill(own: BlobHome) -> None:
    """A store, and an object that stands for its blobs."""
    with own.opened() as seams:
        make_store(seams)
        seams.records.keep(seams.index.segments.list_stores(), "main")
    own.put(BLOB, b"bytes")


@contextmanager
def refused(own: BlobHome, *said: str, rebuilding: bool = False) -> Iterator[None]:
    """A start that changes nothing, and says why."""
    yield
    before, files = own.objects(), own.files()
    with pytest.raises(FailedPrecondition) as caught, own.open(rebuilding):
        pass
    for text in said:
        assert text in caught.value.message
    assert own.objects() == before
    files.setdefault("lock", b"")
    assert own.files() == files


def mark_of(own: BlobHome, place: str = "main") -> str:
    return own.objects()[f"{place}.gantry"].decode()


def commits_of(own: BlobHome, place: str = "main") -> int:
    return int(own.objects()[f"{place}.generation"].split()[1])


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- whose it is


@pytest.mark.parametrize("prefix", ["", "own", "a/b"])
def test_a_first_start_marks_the_bucket(tmp_path: Path, buckets: S3Buckets, prefix: str) -> None:
    own = BlobHome(tmp_path, buckets, prefix, {"ARCHIVE": "COLD", "NEARLINE": "COOL"})
    for _ in range(2):
        with own.opened() as seams:
            assert seams.places == ("main", "ARCHIVE", "NEARLINE")
        there = own.objects()
        assert there.keys() == {f"{place}.{kind}" for place in seams.places for kind in ("gantry", "generation")}
        for name, data in there.items():  # of a generation the mark; its number comes later
            assert (own.data / "blobs" / name).read_bytes()[:32] == data[:32]


def test_the_bucket_of_another_server_is_refused(tmp_path: Path, buckets: S3Buckets) -> None:
    one = BlobHome(tmp_path / "one", buckets)
    other = BlobHome(tmp_path / "other", buckets, "another")
    with one.opened(), other.opened():
        pass
    other.put("main.gantry", mark_of(one).encode())
    with refused(other, other.address, "blobs of another server"):
        pass


def test_a_new_data_directory_over_the_bucket_of_a_server_is_refused(own: BlobHome) -> None:
    fill(own)
    shutil.rmtree(own.data)
    own.data.mkdir()
    (own.data / "blobs").mkdir()
    (own.home / "buckets").mkdir(exist_ok=True)
    with refused(own, own.address, "gantry storage rebuild", "backup"):
        pass


def test_objects_without_a_mark_are_refused(own: BlobHome) -> None:
    own.put(BLOB, b"whose?")
    (own.data / "blobs").mkdir(parents=True)
    with refused(own, f"{own.address}/main is not empty", "main.gantry", "gantry storage rebuild"):
        pass


def test_a_mark_that_was_deleted_is_missed(own: BlobHome) -> None:
    fill(own)
    text = mark_of(own)
    own.remove("main.gantry")
    with refused(own, own.address, "has no main.gantry", "put it back"):
        pass
    own.put("main.gantry", text.encode())
    with own.open():
        pass


def test_blobs_of_another_index_are_refused(own: BlobHome) -> None:
    fill(own)
    own.put("main.generation", Mark("0" * 32, 5).format().encode())
    with refused(own, "do not belong together"):
        pass
    own.put("main.generation", b"damaged")
    with refused(own, f"{own.address}/main.generation is damaged"):
        pass


def test_a_lost_index_is_noticed(own: BlobHome) -> None:
    fill(own)
    lose_index(own.data)
    lost = "is empty" if is_server() else "is missing"
    with refused(own, lost, f"{own.address}/main holds stored instances", "gantry storage rebuild"):
        pass


# --- a setting that is changed


@pytest.mark.slow
def test_instances_in_a_directory_stay_there(own: BlobHome) -> None:
    own.write(address="")
    with own.opened():
        pass
    blob = own.data / "blobs" / BLOB
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"bytes")
    own.write()
    with refused(own, str(own.data / "blobs" / "main"), "Leave the setting out"):
        pass
    blob.unlink()
    with own.open():
        pass


def test_instances_are_moved_from_a_directory_into_a_bucket(own: BlobHome) -> None:
    """As the message and the page say it."""
    own.write(address="")
    with own.opened() as seams:
        make_store(seams)
        (number,) = seams.index.segments.list_stores()
        seams.records.keep([number], "main")
        with closing(seams.blobs.writer(f"main/{number}/stow/1/")) as writer:
            keys = [
                writer.put([data], ("1", "2", str(at)))[0] for at, data in enumerate((b"a" * 600, b"b" * 9_000_000))
            ]
            writer.flush()
    here = own.data / "blobs"
    for path in here.rglob("*"):
        if path.is_file():
            own.put(str(path.relative_to(here)), path.read_bytes())
    shutil.rmtree(here / "main")
    record = own.data / "places.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"bucket": own.address}))
    own.write()
    with own.opened() as seams:
        for key, data in zip(keys, (b"a" * 600, b"b" * 9_000_000), strict=True):
            with seams.blobs.open(key) as opened:
                assert b"".join(opened.chunks()) == data


@pytest.mark.parametrize("other", ["", "/other", "-2"])
def test_instances_in_a_bucket_stay_there(own: BlobHome, other: str) -> None:
    fill(own)
    own.write(address=own.address + other if other else "")
    with refused(own, f'blobs = "{own.address}"', "places.json"):
        pass


@pytest.mark.slow
def test_a_tier_is_named_while_it_has_blobs(tmp_path: Path, buckets: S3Buckets) -> None:
    own = BlobHome(tmp_path, buckets, tiers={"ARCHIVE": "COLD"})
    fill(own)
    key = BLOB.replace("main", "ARCHIVE")
    own.put(key, b"bytes")
    own.write(tiers={})
    with refused(own, "storage_tiers: ARCHIVE has blobs", "Keep the setting"):
        pass
    own.remove(key)
    with own.opened() as seams:
        assert seams.places == ("main",)
    assert "ARCHIVE.gantry" not in own.objects()
    own.write()
    with own.opened() as seams:
        assert seams.places == ("main", "ARCHIVE")
    assert mark_of(own, "ARCHIVE") == mark_of(own)


@pytest.mark.slow
def test_another_tier_is_another_place_for_new_objects_only(tmp_path: Path, buckets: S3Buckets) -> None:
    own = BlobHome(tmp_path, buckets, tiers={"ARCHIVE": "COLD"})
    fill(own)
    own.write(tiers={"ARCHIVE": "COLDER", "NEARLINE": "COOL"})
    with own.opened() as seams:
        assert seams.places == ("main", "ARCHIVE", "NEARLINE")


# --- a bucket that gives no answer


@pytest.mark.parametrize("kind", ["503 SlowDown", "500 InternalError", "403 AccessDenied"])
def test_a_bucket_that_does_not_answer_is_an_error_of_the_start(
    own: BlobHome, s3_server: S3Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.storage.remote.retrying.make_pause", lambda attempt: 0.0)
    fill(own)
    with s3_server.fail(kind, keys="own/"), pytest.raises(FailedPrecondition) as caught, own.open():
        pass
    assert caught.value.message.startswith(f"blobs: {own.address}: ")
    with own.open():
        pass


def test_a_bucket_that_does_not_exist_is_an_error_of_the_start(own: BlobHome) -> None:
    own.write(address="s3://no-such-bucket/own")
    with pytest.raises(FailedPrecondition, match="there is no bucket for s3://no-such-bucket/own"), own.open():
        pass


# --- an older index


@pytest.mark.slow
@pytest.mark.sqlite("puts an older file back")
def test_an_older_index_is_noticed_by_the_bucket(own: BlobHome, caplog: pytest.LogCaptureFixture) -> None:
    """The data directory as a whole was put back from a backup."""
    fill(own)
    copy = own.home / "copy"
    shutil.copytree(own.data, copy)
    with own.opened() as seams:
        for _ in range(3):
            make_another(seams)
    after = commits_of(own)
    shutil.rmtree(own.data)
    copy.rename(own.data)
    with own.opened() as seams:
        assert "the index is older than the blobs" in caplog.text
        assert seams.index.generations.get().commits > after  # type: ignore[attr-defined]
    assert commits_of(own) > after
    caplog.clear()
    with own.open():
        assert "older" not in caplog.text


def make_another(seams: Seams, name: str = "") -> None:
    number = len(list(seams.index.segments.list_stores()))
    store = DicomStoreName("p", "us-central1", "d", name or f"s{number}")
    seams.index.resources.create_dicom_store(DicomStore(store))


def test_how_far_the_index_has_come_is_written_meanwhile(own: BlobHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    with own.opened() as seams:
        make_store(seams)
        reached = seams.index.generations.get().commits  # type: ignore[attr-defined]
        wait_until(lambda: commits_of(own) == reached)
        make_another(seams)
    assert commits_of(own) > reached, "and at the end"


def test_of_a_server_and_its_copy_one_deletes_nothing(
    own: BlobHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The mark of a place cannot tell them apart, and the rows of the other name what has lost its row here."""
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    with own.opened() as seams:
        make_store(seams)
        reached = seams.index.generations.get().commits  # type: ignore[attr-defined]
        wait_until(lambda: commits_of(own) == reached)
        mark = own.objects()["main.generation"].split()[0].decode()
        assert not seams.is_held() and seams.index.find_troubles() == []
        theirs = Mark(mark, reached + 50).format().encode()
        own.put("main.generation", theirs)
        make_another(seams)
        wait_until(seams.is_held)
        assert "a copy of this server uses the same bucket" in seams.index.find_troubles()[0]
        assert f"says {reached + 50} transactions" in caplog.text
        own.put("main/1/stow/1/0000-0123456789abcdef.dcm", b"theirs, or what they still name")
        seams.index.garbage.add_blobs(["main/1/stow/1/0000-0123456789abcdef.dcm"])
        sweep_garbage(seams)
        assert list(own.blobs()) == ["main/1/stow/1/0000-0123456789abcdef.dcm"]
        assert own.objects()["main.generation"] == theirs, "the next start here is told by it"


def test_a_bucket_that_hangs_holds_no_transaction_up(
    own: BlobHome, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    monkeypatch.setattr("gantry.storage.remote.generation_copies._CLOSE_SECONDS", 0.1)
    with own.opened() as seams:
        make_store(seams)
        with s3_server.fail("stall", keys="generation", seconds=60) as rule:
            make_another(seams)
            wait_until(lambda: rule.failed > 0)
            for _ in range(5):
                make_another(seams)
        assert len(list(seams.index.segments.list_stores())) == 7


# --- names of stores


def test_a_store_has_its_name_there_before_its_first_blob(own: BlobHome) -> None:
    with own.opened() as seams:
        make_store(seams)
        assert "main.stores" not in own.objects()
        (number,) = seams.index.segments.list_stores()
        seams.records.keep([number], "main")
        assert parse_records(own.objects()["main.stores"].decode()) == {number: STORE}
        seams.records.forget(number)
        assert parse_records(own.objects()["main.stores"].decode()) == {number: None}


def test_names_that_cannot_be_kept_there_are_not_kept(own: BlobHome, s3_server: S3Server) -> None:
    with own.opened() as seams:
        make_store(seams)
        (number,) = seams.index.segments.list_stores()
        with s3_server.fail("403 InvalidAccessKeyId", keys="stores"), pytest.raises(DiskAway):
            seams.records.keep([number], "main")
        assert "main.stores" not in own.objects()
        seams.records.keep([number], "main")
        assert "main.stores" in own.objects()


@pytest.mark.slow
@pytest.mark.sqlite("puts an older file back")
def test_names_that_only_the_bucket_knows_come_back(own: BlobHome) -> None:
    """Of stores that were made, or deleted, after the data directory was copied."""
    fill(own)
    copy = own.home / "copy"
    shutil.copytree(own.data, copy)
    with own.opened() as seams:
        make_another(seams, "late")
        numbers = sorted(seams.index.segments.list_stores())
        seams.records.keep(numbers, "main")
        seams.records.forget(numbers[0])
    there = parse_records(own.objects()["main.stores"].decode())
    assert there[numbers[0]] is None
    shutil.rmtree(own.data)
    copy.rename(own.data)
    with own.open():
        assert parse_records((own.data / "blobs" / "main.stores").read_text()) == there


# --- the bucket as a source


@pytest.mark.parametrize("right", ["read", "write"])
@pytest.mark.parametrize(
    ("prefix", "may"), [("", False), ("ow", False), ("own/", False), ("own/store/main/", False), ("own2/", True)]
)
def test_stored_instances_are_no_objects_of_a_bucket(own: BlobHome, right: str, prefix: str, may: bool) -> None:
    with own.opened() as seams:
        use = BucketUse(own.bucket, right, prefix, str(DATASET))  # type: ignore[arg-type]
        if may:
            assert seams.bucket(use).exists()
        else:
            with pytest.raises(PermissionDenied, match="keeps the bytes of its stored instances"):
                seams.bucket(use)


# --- what a crash leaves


def test_parts_that_an_earlier_life_has_left_are_removed(own: BlobHome) -> None:
    client = own.buckets.client  # type: ignore[attr-defined]
    name = own.bucket.removeprefix("s3://")
    with own.opened():
        pass
    begun = {key: client.create_multipart_upload(Bucket=name, Key=key)["UploadId"] for key in ("own/store/x", "other")}
    UploadNotes(own.data / "uploads" / "blobs-of-an-earlier-life").add("own/store/x", begun["own/store/x"])
    with own.opened():
        wait_until(lambda: [each["Key"] for each in uploads_in(client, name)] == ["other"])
        wait_until(lambda: not (own.data / "uploads" / "blobs-of-an-earlier-life").exists())


def uploads_in(client: object, bucket: str) -> list[dict[str, str]]:
    return client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])  # type: ignore[attr-defined,no-any-return]


# --- gantry check


def test_the_check_compares_the_marks_in_the_bucket(tmp_path: Path, buckets: S3Buckets) -> None:
    own = BlobHome(tmp_path, buckets, tiers={"ARCHIVE": "COLD"})
    with own.opened() as seams:
        make_store(seams)
        seams.records.keep(seams.index.segments.list_stores(), "main")
    assert findings(own.data, settings=own.load()) == []
    own.put("main.gantry", b"0" * 32)
    own.remove("ARCHIVE.gantry")
    own.put("main.generation", Mark(own.objects()["main.generation"].split()[0].decode(), 10**6).format().encode())
    told = findings(own.data, settings=own.load())
    found = sorted(each.message for each in told if each.kind is Kind.MARK_WRONG)
    assert len(found) == 3
    away = [each.resource for each in told if each.kind is not Kind.MARK_WRONG]
    assert away == ["ARCHIVE", "main"], "nobody knows what is missing there, told once for each place"
    assert found[0] == f"{own.address} has no ARCHIVE.gantry that it holds the ARCHIVE blobs of this server"
    assert found[1] == f"{own.address}/main holds the blobs of another server"
    assert found[2].startswith("the index is older than the blobs")


def test_a_check_without_the_settings_is_refused(own: BlobHome) -> None:
    fill(own)
    with pytest.raises(FailedPrecondition, match="--config"):
        findings(own.data)


@pytest.mark.parametrize("text", [None, b"0" * 32], ids=["empty", "of another server"])
def test_another_bucket_in_the_place_of_ours_says_nothing_of_what_is_stored(own: BlobHome, text: bytes | None) -> None:
    """Nothing is deleted there, nothing is written, and no bytes are lost because they are not found."""
    with own.opened() as seams:
        writer = seams.blobs.writer("main/1/op/a1-a0/000.0000-")
        key, _ = writer.put([bytes(range(256)) * 20], ("1", "2", "3"))
        writer.flush()
        held = own.objects()
        own.remove(*held)
        if text is not None:
            own.put("main.gantry", text)
        assert seams.blobs.find_absence("main")
        with pytest.raises(DiskAway):
            seams.blobs.open(key)
        with pytest.raises(DiskAway):
            seams.blobs.writer("main/1/op/a1-a0/001.0000-")
        with pytest.raises(DiskAway):
            seams.blobs.delete_prefix("main/1/")
        failed = seams.blobs.delete_all([key, key.partition("@")[0], "main/1/x.dcm"])
        assert len(failed) == 3 and all(isinstance(error, DiskAway) for error in failed.values())
        for name, data in held.items():
            own.put(name, data)
        assert not seams.blobs.find_absence("main")
        with seams.blobs.open(key) as opened:
            assert b"".join(opened.chunks()) == bytes(range(256)) * 20
        assert seams.blobs.delete_all([key]) == {}
        writer.close()


def test_a_bucket_that_does_not_say_how_far_its_index_has_come_is_refused(own: BlobHome) -> None:
    """The data directory alone may be an older copy, whose numbers would come again."""
    with own.opened():
        pass
    own.put("main/1/stow/1/0000-0123456789abcdef.dcm", b"bytes")
    text = own.objects()["main.generation"]
    own.remove("main.generation")
    before = own.files()
    with pytest.raises(FailedPrecondition, match=r"has no main\.generation.*older index"), own.open():
        pass
    assert own.files() == before and "main.generation" not in own.objects()
    own.put("main.generation", text)
    with own.opened():
        pass


def test_nothing_is_written_about_our_places_into_the_bucket_of_another_server(
    own: BlobHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its next start would be refused: how far its index has come would be said of ours."""
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    with own.opened() as seams:
        make_store(seams)
        (number,) = seams.index.segments.list_stores()
        wait_until(lambda: commits_of(own) == seams.index.generations.get().commits)  # type: ignore[attr-defined]
        mark, generation = mark_of(own), own.objects()["main.generation"]
        theirs = {"main.gantry": b"0" * 32, "main.generation": Mark("0" * 32, 5).format().encode()}
        for name, data in theirs.items():
            own.put(name, data)
        make_another(seams)
        wait_until(lambda: "main.generation cannot be written" in caplog.text)
        with pytest.raises(DiskAway, match="another server"):
            seams.records.keep([number], "main")
        assert own.objects() == theirs
        own.put("main.generation", generation)  # before the mark: behind it the server writes a newer one
        own.put("main.gantry", mark.encode())
        wait_until(lambda: commits_of(own) == seams.index.generations.get().commits)  # type: ignore[attr-defined]
        seams.records.keep([number], "main")
        assert "main.stores" in own.objects()
