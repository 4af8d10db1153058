"""``gantry check`` where stored instances lie in a bucket: it finds what it finds in directories, and asks for each
segment and each page of a listing, not for each instance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gantry.errors import DiskAway
from gantry.findings import Finding, Kind
from gantry.names import DatasetName, DicomStoreName, ResourcePath
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Dataset, DicomStore
from gantry.storage.contents import MAGIC
from gantry.storage.extents import Extent, parse_extent
from gantry.storage.places import PlacedBlobStore
from gantry.storage.remote.notes import UploadNotes
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.buckets.blob_home import BlobHome
from tests.support import databases
from tests.support.checked import findings
from tests.support.databases import query
from tests.support.dicom import make_instance
from tests.support.directories import name_of
from tests.support.providers import S3Buckets
from tests.support.s3_server import S3Server

STORE = DicomStoreName("p", "us-central1", "d", "s")
SEGMENTS, EACH = 8, 30
LARGE = 9 << 20
OWN = ("1.9", "1.9.1", "1.9.1.1")
"""The instance that is an object of its own."""


@pytest.fixture(scope="module")
def whole(s3: str, tmp_path_factory: pytest.TempPathFactory) -> BlobHome:
    """A data directory whose blobs lie in a bucket; its server has ended."""
    made = BlobHome(tmp_path_factory.mktemp("whole"), S3Buckets(s3))
    chance = random.Random(1)
    with made.opened() as seams:
        seams.index.resources.create_dataset(Dataset(DatasetName("p", "us-central1", "d")), "v1")
        seams.index.resources.create_dicom_store(DicomStore(STORE))
        uploads = Uploads(seams)
        for study in range(SEGMENTS):
            series = f"1.2.{study}", f"1.2.{study}.1"
            lot = [make_instance(*series, f"{series[1]}.{at}", chance.randbytes(3000)) for at in range(EACH)]
            store(seams, uploads, STORE, [Incoming("part", iter([data])) for data in lot])
        store(seams, uploads, STORE, [Incoming("part", iter([make_instance(*OWN, pixel_bytes=LARGE)]))])
        uploads.close()
        sweep_garbage(seams)
    return made


@pytest.fixture
def home(whole: BlobHome, tmp_path: Path) -> Iterator[BlobHome]:
    """The same, to be damaged: the data directory is a copy, and the bucket has all its objects again."""
    before = whole.objects()
    copy = object.__new__(BlobHome)
    copy.__dict__.update(whole.__dict__ | {"home": tmp_path, "data": tmp_path / "data", "config": tmp_path / "c.toml"})
    databases.copy(whole.data, copy.data)
    copy.write()
    yield copy
    after = copy.objects()
    copy.remove(*(after.keys() - before.keys()))
    for key in [key for key, data in before.items() if after.get(key) != data]:
        copy.put(key, before[key])


def look(home: BlobHome, reads: bool = False) -> list[Finding]:
    return findings(home.data, reads, home.load())


def kinds(found: list[Finding]) -> set[Kind]:
    return {each.kind for each in found}


def key_of(home: BlobHome, uids: tuple[str, str, str]) -> str:
    text = "SELECT coalesce(key || '@' || segment_offset || '+' || size, blob_key) FROM instance "
    ((key,),) = query(home.data, f"{text} LEFT JOIN segment ON id = segment_id WHERE sop_instance_uid = '{uids[2]}'")
    return str(key)


def small(study: int = 3, number: int = 7) -> tuple[str, str, str]:
    return f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}"


def extent_of(home: BlobHome, uids: tuple[str, str, str]) -> Extent:
    extent = parse_extent(key_of(home, uids))
    assert extent is not None
    return extent


# What it costs --------------------------------------------------------------------------------------------------------


def test_it_asks_for_each_segment_not_for_each_instance(home: BlobHome, s3_server: S3Server) -> None:
    settings = home.load()
    s3_server.reset_counts()
    assert findings(home.data, False, settings) == []
    asked = s3_server.requests
    assert len(home.blobs()) == SEGMENTS + 1
    listings = asked.operations["ListObjectsV2"]
    of_marks = 3 * 3  # three files about the place, a request or two for each
    assert listings <= 4
    assert asked.methods.total() - listings <= SEGMENTS + of_marks, asked.operations
    assert asked.bytes_out < 40_000 * SEGMENTS, "ends of segments alone, nothing of the large instance"


def test_a_segment_in_which_something_was_freed_is_read_once(home: BlobHome, s3_server: S3Server) -> None:
    with home.opened() as seams:
        seams.index.deletion.delete_instance(STORE, ResourcePath(*small()))
        sweep_garbage(seams)
    settings = home.load()
    s3_server.reset_counts()
    assert findings(home.data, False, settings) == []
    assert s3_server.requests.operations["GetObject"] <= SEGMENTS + 1 + 6


def test_who_reads_all_bytes_reads_segments_too(home: BlobHome, s3_server: S3Server) -> None:
    settings = home.load()
    s3_server.reset_counts()
    assert findings(home.data, True, settings) == []
    of_own = 2 * LARGE // (8 << 20) + 3  # two windows, its beginning, and its checksum
    assert s3_server.requests.operations["GetObject"] <= 2 * SEGMENTS + of_own + 12


# What it finds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [False, True])
def test_what_is_whole_is_clean(home: BlobHome, reads: bool) -> None:
    before = home.objects()
    assert look(home, reads) == []
    assert home.objects() == before


def free(home: BlobHome, key: str) -> None:
    """As an index that is newer than this one would."""
    with home.opened() as seams:
        assert seams.blobs.delete_all([key]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("uids", [OWN, small()], ids=["own", "small"])
def test_a_row_whose_bytes_were_freed(home: BlobHome, uids: tuple[str, str, str], reads: bool) -> None:
    key = key_of(home, uids)
    free(home, key)
    assert look(home, reads) == [
        Finding(Kind.BYTES_MISSING, str(ResourcePath(*uids)), f"there are no bytes at {key}"),
    ]


def test_a_segment_that_is_gone(home: BlobHome, s3_server: S3Server) -> None:
    home.remove(extent_of(home, small()).segment)
    settings = home.load()
    s3_server.reset_counts()
    found = findings(home.data, False, settings)
    assert [each.kind for each in found] == [Kind.BYTES_MISSING] * EACH
    assert {each.resource for each in found} == {str(ResourcePath(*small(3, at))) for at in range(EACH)}
    assert s3_server.requests.methods.total() < SEGMENTS + EACH, "nor is it asked for by each of them"


@pytest.mark.parametrize("cut", [100, -100])
def test_a_large_instance_of_another_size(home: BlobHome, cut: int) -> None:
    key = key_of(home, OWN)
    data = home.objects()[key]
    home.put(key, data[:-cut] if cut > 0 else data + bytes(-cut))
    (found,) = look(home)
    assert (found.kind, found.resource) == (Kind.SIZE_WRONG, str(ResourcePath(*OWN)))
    assert f"{len(data) - cut} of {len(data)}" in found.message


def test_a_segment_that_was_cut(home: BlobHome) -> None:
    extent = extent_of(home, small())
    home.put(extent.segment, home.objects()[extent.segment][: extent.offset])
    found = look(home)
    assert [each.kind for each in found] == [Kind.BYTES_MISSING] * (EACH - 7)


def damage(home: BlobHome, segment: str, at: int, data: bytes) -> None:
    old = home.objects()[segment]
    home.put(segment, old[:at] + data + old[at + len(data) :])


@pytest.mark.parametrize("uids", [OWN, small()], ids=["own", "small"])
def test_bytes_that_have_changed_are_found_by_reading(home: BlobHome, uids: tuple[str, str, str]) -> None:
    extent = parse_extent(key_of(home, uids)) or Extent(key_of(home, uids), 0, 0)
    damage(home, extent.segment, extent.offset + 128, b"????")
    (found,) = look(home, True)
    assert (found.kind, found.resource) == (Kind.CONTENT_WRONG, str(ResourcePath(*uids)))
    assert look(home) == []


def test_zeros_that_nobody_freed_are_found_by_reading(home: BlobHome) -> None:
    extent = extent_of(home, small())
    damage(home, extent.segment, extent.offset, bytes(extent.length))
    (found,) = look(home, True)
    assert (found.kind, found.resource) == (Kind.BYTES_MISSING, str(ResourcePath(*small())))


def test_a_table_of_contents_that_is_damaged(home: BlobHome) -> None:
    segment = extent_of(home, small()).segment
    damage(home, segment, home.objects()[segment].index(MAGIC) + 24, b"\xff" * 8)
    assert kinds(look(home, True)) == {Kind.SEGMENT_WRONG}
    assert look(home) == [], "its instances are whole"


def test_objects_that_nobody_names(home: BlobHome) -> None:
    near = extent_of(home, small()).segment
    strangers = [f"{near.rpartition('/')[0]}/zz.seg", "main/1/stow/9/0000-00.dcm", "main/a", "main/~"]
    for key in strangers:
        home.put(key, b"stranger")
    found = look(home)
    assert kinds(found) == {Kind.BYTES_UNKNOWN}
    assert {each.resource for each in found} == set(strangers)


def test_bytes_in_a_segment_that_no_row_names(home: BlobHome) -> None:
    with home.opened() as seams:
        seams.index.deletion.delete_instance(STORE, ResourcePath(*small()))
        seams.index.garbage.forget_blobs(seams.index.garbage.list_blobs())
    (found,) = look(home, True)
    assert (found.kind, found.resource) == (Kind.BYTES_UNKNOWN, key_of_bytes(home))


def key_of_bytes(home: BlobHome) -> str:
    """Of the instance that has no row any more: its neighbour says where it lies."""
    extent = extent_of(home, small(3, 6))
    return str(Extent(extent.segment, extent.end, extent.length))


def begin(home: BlobHome, *keys: str) -> list[str]:
    client = home.buckets.client  # type: ignore[attr-defined]
    name = name_of(home.bucket)
    return [client.create_multipart_upload(Bucket=name, Key=home.prefix + key)["UploadId"] for key in keys]


@pytest.fixture
def uploads(home: BlobHome) -> Iterator[None]:
    yield
    client = home.buckets.client  # type: ignore[attr-defined]
    for each in client.list_multipart_uploads(Bucket=name_of(home.bucket)).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=name_of(home.bucket), Key=each["Key"], UploadId=each["UploadId"])


@pytest.mark.usefixtures("uploads")
def test_uploads_in_parts_that_nobody_continues(home: BlobHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a note names go on, or are ended by the next start; others in the bucket are not ours."""
    monkeypatch.setattr("gantry.storage.remote.s3._MOST_UPLOADS", 2)
    keys = [f"main/1/stow/5/{number}.dcm" for number in range(5)]
    names = begin(home, *keys)
    home.buckets.client.create_multipart_upload(Bucket=name_of(home.bucket), Key="own/other")  # type: ignore[attr-defined]
    notes = UploadNotes(home.data / "uploads" / "blobs-00")
    notes.add(home.prefix + keys[1], names[1])
    notes.add(home.prefix + keys[2])
    spoilt = home.data / "uploads" / "blobs-00" / "spoilt"
    spoilt.write_text("{")
    found = look(home)
    assert [(each.kind, each.resource) for each in found] == [(Kind.BYTES_UNKNOWN, keys[at]) for at in (0, 3, 4)]
    assert names[3] in found[1].message and spoilt.exists(), "a check changes nothing"


@pytest.mark.usefixtures("uploads")
def test_who_may_not_list_uploads_is_told_nothing_of_them(home: BlobHome, s3_server: S3Server) -> None:
    begin(home, "main/1/stow/5/1.dcm")
    settings = home.load()
    with s3_server.fail("403 AccessDenied", methods=["ListMultipartUploads"]) as rule:
        assert findings(home.data, False, settings) == []
        assert rule.failed
    assert len(findings(home.data, False, settings)) == 1


# A bucket that is away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize(
    "rule", [{"methods": ["ListObjectsV2"]}, {"keys": r"main/1/.*\.seg"}], ids=["listing", "segments"]
)
def test_a_bucket_that_is_away_is_one_finding(
    home: BlobHome, s3_server: S3Server, rule: dict[str, object], reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.storage.remote.retrying.make_pause", lambda attempt: 0.0)
    settings = home.load()
    with s3_server.fail("403 InvalidAccessKeyId", **rule):  # type: ignore[arg-type]
        found = findings(home.data, reads, settings)
    assert [(each.kind, each.resource) for each in found] == [(Kind.NOT_CHECKED, "main")], found


@pytest.mark.parametrize("call", ["list", "find_lost", "hold"])
def test_nobody_asks_a_bucket_that_is_away_again(home: BlobHome, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    asked: list[object] = []

    def fail(blobs: PlacedBlobStore, *args: object) -> object:
        asked.append(args)
        raise DiskAway("the bucket does not answer")

    monkeypatch.setattr(PlacedBlobStore, call, fail)
    found = look(home, True)
    assert found == [Finding(Kind.NOT_CHECKED, "main", "the bucket does not answer")]
    assert len(asked) == 1


def test_another_bucket_in_the_place_of_ours_says_nothing_of_instances(home: BlobHome) -> None:
    """An empty one: its mark is missed, and no instance is."""
    home.remove(*home.objects())
    found = look(home)
    assert [each.resource for each in found if each.kind is Kind.NOT_CHECKED] == ["main"]
    assert kinds(found) == {Kind.MARK_WRONG, Kind.NOT_CHECKED}


# Beside a server ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("act", ["delete", "store"])
def test_what_changes_while_it_is_looked_at_is_no_finding(
    home: BlobHome, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    with home.opened() as seams:
        uploads = Uploads(seams)

        def delete() -> None:
            for at in range(EACH):
                seams.index.deletion.delete_instance(STORE, ResourcePath(*small(3, at)))
            sweep_garbage(seams)

        def add() -> None:
            data = make_instance("1.7", "1.7.1", "1.7.1.1")
            store(seams, uploads, STORE, [Incoming("part", iter([data]))])

        change_before(monkeypatch, delete if act == "delete" else add)
        assert look(home) == []
        uploads.close()


def change_before(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Between the moment when the rows are read and the listing."""
    inner = PlacedBlobStore.list
    done: list[bool] = []

    def list_late(blobs: PlacedBlobStore, prefix: str = "", *args: object) -> object:
        if not done and prefix == "main/":
            done.append(True)
            change()
        return inner(blobs, prefix, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(PlacedBlobStore, "list", list_late)
