"""Another bucket in the place of the server's own: swapped, emptied, or behind another endpoint. It has no mark, and
nothing is concluded from what is not there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import BucketAway, DiskAway, NotFound
from gantry.seams import Blobs
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.owners import Owner, find_owner
from gantry.storage.remote import blob_freeing, blob_sending
from gantry.storage.remote import blobs as blobs_module
from gantry.storage.remote.blob_bucket import BlobBucket
from gantry.storage.remote.blobs import RemoteBlobs
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.gcs import Gcs
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, Elsewhere, instance, uids, write
from tests.seams.object_servers import Server
from tests.seams.segment_support import extent_of
from tests.support.s3_server import S3Server

NAME = "the bucket of stored instances"
ABOVE = "of/gantry/"
MARK = ("main.gantry", "a" * 32)


class Swapped:
    """The bucket, and what lies in it. Another one takes its place, and goes."""

    def __init__(self, bucket: RemoteBucket) -> None:
        self.bucket = bucket
        self.held: dict[str, bytes] = {}
        bucket.put(f"{ABOVE}{MARK[0]}", [MARK[1].encode()])

    def take(self, text: str | None = None) -> None:
        """From now on it is an empty one, or that of the server with the mark ``text``."""
        for found in list(self.bucket.list()):
            with self.bucket.open_found(found) as opened:
                self.held[found.key] = b"".join(opened.chunks())
            self.bucket.delete(found.key)
        if text is not None:
            self.bucket.put(f"{ABOVE}{MARK[0]}", [text.encode()])

    def bring(self) -> dict[str, bytes]:
        """Back with what lay in it. What lay in the other one."""
        there = {}
        for found in list(self.bucket.list()):
            with self.bucket.open_found(found) as opened:
                there[found.key.removeprefix(ABOVE)] = b"".join(opened.chunks())
            self.bucket.delete(found.key)
        for key, data in self.held.items():
            self.bucket.put(key, [data])
        self.held = {}
        return there


@pytest.fixture
def swapped(place: RemotePlace) -> Swapped:
    return Swapped(RemoteBucket(place))


@pytest.fixture
def blobs(place: RemotePlace, swapped: Swapped) -> RemoteBlobs:
    return RemoteBlobs(place, ABOVE, NAME, mark=MARK)


def stored(blobs: RemoteBlobs) -> list[str]:
    return [key for key in keys(blobs) if key != MARK[0]]


def before(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], object]) -> None:
    """``act`` once, just before the first call."""
    real, left = getattr(where, name), [1]

    def call(*given: Any, **more: Any) -> Any:
        if left:
            left.clear()
            act()
        return real(*given, **more)

    monkeypatch.setattr(where, name, call)


# The rule -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (None, Owner.NOBODY),
        ("a" * 32, Owner.OWN),
        (b"a" * 32, Owner.OWN),
        ("", Owner.ANOTHER),
        ("a" * 31, Owner.ANOTHER),
        ("a" * 33, Owner.ANOTHER),
        (b"\xff" * 32, Owner.ANOTHER),
    ],
)
def test_a_place_has_the_owner_that_its_mark_says(found: str | bytes | None, owner: Owner) -> None:
    assert find_owner(found, "a" * 32) is owner


@pytest.mark.parametrize("text", [None, "", "a" * 31, "a" * 33, "b" * 32, "ä" * 16])
def test_a_bucket_is_the_one_whose_mark_is_the_same(blobs: RemoteBlobs, swapped: Swapped, text: str | None) -> None:
    blobs.require_mounted()
    swapped.take(text)
    with pytest.raises(DiskAway, match=f"{NAME} is not the one that was opened"):
        blobs.require_mounted()
    assert blobs.find_absence()
    swapped.bring()
    blobs.require_mounted()


def test_a_mark_that_cannot_be_read_says_nothing(bucket: RemoteBucket, s3: S3Server) -> None:
    """An operation waits then, and no instance is named as the one that failed."""
    swapped = Swapped(bucket)
    blobs = RemoteBlobs(bucket.place, ABOVE, NAME, mark=MARK)
    (key,) = write(blobs, [instance(9_000_000)])
    with s3.fail("403 AccessDenied", keys=MARK[0]):
        with pytest.raises(DiskAway, match="does not say whose it is"):
            blobs.writer(PREFIX)
        assert [type(error) for error in blobs.delete_all([key]).values()] == [DiskAway]
    assert stored(blobs) == [key]
    assert swapped.held == {}


@pytest.mark.parametrize("kind", ["short body", "closed in body", "wrong bit"])
def test_a_mark_that_comes_spoilt_once_is_not_that_of_another_server(
    bucket: RemoteBucket, s3: S3Server, kind: str
) -> None:
    blobs = RemoteBlobs(bucket.place, ABOVE, NAME, mark=MARK)
    Swapped(bucket)
    with s3.fail(kind, keys=MARK[0], times=1) as rule:
        blobs.require_mounted()
    assert rule.failed
    with s3.fail(kind, keys=MARK[0]), pytest.raises(DiskAway):
        blobs.require_mounted()


# Writing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5000, 9_000_000])
def test_what_went_into_another_bucket_is_not_durable(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The writer began in the right one."""
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    writer.flush()
    before(monkeypatch, BlobBucket, "put_new" if size == 5000 else "stream", lambda: swapped.take("b" * 32))
    with pytest.raises(DiskAway, match="is not the one that was opened"):
        writer.put([instance(size)], uids(2))
        writer.flush()
    (lost,) = swapped.bring().keys() - {MARK[0]}
    again, _ = writer.put([instance(size)], uids(2))
    writer.flush()
    assert read(blobs, again) == instance(size)
    assert lost not in (*writer.close(), *writer.left)


def test_who_wrote_into_a_segment_that_another_one_flushed_is_told_too(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_sending, "SEGMENT_BYTES", 8192)
    writer = blobs.writer(PREFIX)
    swapped.take()
    for number in range(3):
        writer.put([instance(8000, number)], uids(number))
    with ThreadPoolExecutor(1) as other, pytest.raises(DiskAway):
        other.submit(writer.flush).result()
    swapped.bring()
    with pytest.raises(DiskAway):
        writer.flush()
    writer.flush()
    assert writer.close() == ()
    assert stored(blobs) == []


def test_each_object_that_is_written_reads_the_mark_once(bucket: RemoteBucket, s3: S3Server) -> None:
    """However many threads wait for it. A flush with nothing to write reads nothing."""
    Swapped(bucket)
    writer = RemoteBlobs(bucket.place, ABOVE, NAME, mark=MARK).writer(PREFIX)
    s3.reset_counts()
    writer.flush()
    assert s3.requests.methods.total() == 0
    for _ in range(3):
        writer.put([instance(5000)], uids(1))
        writer.flush()
    assert s3.requests.operations == {"PutObject": 3, "GetObject": 3}
    s3.reset_counts()
    writer.put([instance(8_500_000)])
    writer.flush()
    in_parts = {"CreateMultipartUpload": 1, "UploadPart": 2, "CompleteMultipartUpload": 1}
    assert s3.requests.operations == {**in_parts, "GetObject": 1}
    s3.reset_counts()
    s3.set_latency(0.1)
    try:
        start = threading.Barrier(16)

        def request(number: int) -> None:
            writer.put([instance(3000, number)], uids(number))
            start.wait()
            writer.flush()

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(request, range(16)))
    finally:
        s3.set_latency(0)
    assert s3.requests.operations["GetObject"] == s3.requests.operations["PutObject"] <= 3


def test_what_is_written_alone_went_into_the_same_bucket(blobs: RemoteBlobs, swapped: Swapped) -> None:
    swapped.take()
    with pytest.raises(DiskAway):
        blobs.put("main/1/x.dcm", [b"bytes"])


# Absence --------------------------------------------------------------------------------------------------------------

SMALL, LARGE = 0, 1
ROADS: dict[str, Callable[[Blobs, list[str], str], object]] = {
    "head": lambda blobs, found, segment: blobs.head(segment),
    "open range": lambda blobs, found, segment: blobs.open(found[SMALL]),
    "open object": lambda blobs, found, segment: blobs.open(found[LARGE]),
    "entries": lambda blobs, found, segment: list(blobs.entries(segment)),
    "count freed": lambda blobs, found, segment: blobs.count_freed(segment),
    "count unlisted": lambda blobs, found, segment: blobs.count_unlisted(segment, found[:1]),
    "checksums": lambda blobs, found, segment: blobs.read_crc32cs(found[:1]),
    "free rest": lambda blobs, found, segment: blobs.free_rest(segment, found[:1]),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("text", [None, "b" * 32], ids=["empty", "of another server"])
def test_nothing_is_concluded_from_what_another_bucket_lacks(
    blobs: RemoteBlobs, swapped: Swapped, road: str, text: str | None
) -> None:
    found = write(blobs, [instance(5000), instance(9_000_000), instance(6000, 1)])
    segment = extent_of(found[SMALL]).segment
    swapped.take(text)
    with pytest.raises(DiskAway):
        ROADS[road](blobs, found, segment)
    swapped.bring()
    ROADS[road](blobs, found, segment)
    blobs.delete_all([*found, segment])
    with pytest.raises(NotFound):
        ROADS[road](blobs, found, segment)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("text", [None, "b" * 32], ids=["empty", "of another server"])
def test_nothing_is_concluded_from_what_another_disk_lacks(tmp_path: Path, road: str, text: str | None) -> None:
    """The same of a directory."""
    root, away, mark = tmp_path / "blobs", tmp_path / "away", tmp_path / "blobs" / MARK[0]
    root.mkdir()
    mark.write_text(MARK[1])
    blobs = LocalBlobs(str(root), mark=(str(mark), MARK[1]))
    found = write(blobs, [instance(5000), instance(9_000_000), instance(6000, 1)])
    segment = extent_of(found[SMALL]).segment
    root.rename(away)
    root.mkdir()
    if text is not None:
        mark.write_text(text)
    with pytest.raises(DiskAway):
        ROADS[road](blobs, found, segment)
    mark.unlink(missing_ok=True)
    root.rmdir()
    away.rename(root)
    ROADS[road](blobs, found, segment)
    blobs.delete_all([*found, segment])
    with pytest.raises(NotFound):
        ROADS[road](blobs, found, segment)


@pytest.mark.parametrize("kind", ["range", "object"])
def test_nothing_was_deleted_while_it_was_read_from_another_bucket(
    blobs: RemoteBlobs, swapped: Swapped, kind: str
) -> None:
    writer = blobs.writer(PREFIX)
    key = writer.copy_from(Elsewhere(instance(7_000_000 if kind == "range" else 9_000_000)), uids(1))
    writer.flush()
    assert ("@" in key) == (kind == "range")
    with blobs.open(key) as opened:
        swapped.take()
        with pytest.raises(DiskAway):
            opened.read_at(5_000_000, 1000)
        with pytest.raises(DiskAway):
            list(opened.chunks())


LISTINGS: dict[str, Callable[[RemoteBlobs], object]] = {
    "all": lambda blobs: list(blobs.list()),
    "prefix": lambda blobs: list(blobs.list(PREFIX)),
    "one level": lambda blobs: list(blobs.list("main/", depth=1)),
    "numbers": lambda blobs: blobs.list_numbers("main"),
    "stores": lambda blobs: blobs.list_store_ids(),
}


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_of_another_bucket_is_no_listing(blobs: RemoteBlobs, swapped: Swapped, listing: str) -> None:
    write(blobs, [instance(5000)])
    swapped.take()
    with pytest.raises(DiskAway):
        LISTINGS[listing](blobs)
    swapped.bring()
    assert LISTINGS[listing](blobs) or listing == "one level"


@contextmanager
def taken_in_the_middle(monkeypatch: pytest.MonkeyPatch, swapped: Swapped, where: Any, name: str) -> Iterator[None]:
    """After the mark was read once."""
    with monkeypatch.context() as patched:
        before(patched, where, name, swapped.take)
        yield


def test_a_segment_that_vanishes_with_its_bucket_keeps_its_bytes(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(blobs, [instance(5000, number) for number in range(3)])
    with taken_in_the_middle(monkeypatch, swapped, blob_freeing, "read_whole"):
        failed = blobs.delete_all(found[:2])
    assert {type(error) for error in failed.values()} == {DiskAway} and set(failed) == set(found[:2])
    swapped.bring()
    with taken_in_the_middle(monkeypatch, swapped, blobs_module, "free_rest"), pytest.raises(DiskAway):
        blobs.free_rest(extent_of(found[0]).segment, found[:1])
    swapped.bring()
    assert [read(blobs, key) for key in found] == [instance(5000, number) for number in range(3)]


@pytest.mark.parametrize("name", ["replace", "client"])
def test_a_segment_is_not_written_anew_into_another_bucket(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its version is asked for; a server that does not know that writes it there, and it counts for nothing."""
    found = write(blobs, [instance(5000, number) for number in range(3)])
    if name == "client":
        monkeypatch.setattr(BlobBucket, "replace", lambda self, key, data, tag: self.client.put(self.locate(key), data))
    with taken_in_the_middle(monkeypatch, swapped, BlobBucket, "replace"):
        failed = blobs.delete_all(found[:2])
    assert set(failed) == set(found[:2])
    swapped.bring()
    assert [read(blobs, key) for key in found] == [instance(5000, number) for number in range(3)]


def test_what_another_bucket_says_is_deleted_is_not(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(blobs, [instance(5000), instance(9_000_000)])
    segment = extent_of(found[SMALL]).segment
    with taken_in_the_middle(monkeypatch, swapped, BlobBucket, "delete_all"):
        assert set(blobs.delete_all(found[LARGE:])) == {found[LARGE]}
    swapped.bring()
    with taken_in_the_middle(monkeypatch, swapped, BlobBucket, "delete"):
        assert set(blobs.delete_all([segment])) == {segment}
    swapped.bring()
    with taken_in_the_middle(monkeypatch, swapped, RemoteBucket, "delete_prefix"), pytest.raises(DiskAway):
        blobs.delete_prefix("main/")
    swapped.bring()
    assert [read(blobs, key) for key in found] == [instance(5000), instance(9_000_000)]


@pytest.mark.parametrize("size", [5000, 9_000_000])
def test_what_a_writer_gives_up_in_another_bucket_is_left(
    blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    writer = blobs.writer(PREFIX)
    key, _ = writer.put([instance(size)], uids(1))
    writer.flush()
    with (
        taken_in_the_middle(
            monkeypatch, swapped, *((BlobBucket, "delete") if size > 5000 else (blob_freeing, "read_whole"))
        ),
        pytest.raises(DiskAway),
    ):
        writer.discard(key)
    writer.close()
    swapped.bring()
    assert writer.left == (key,)
    assert read(blobs, key) == instance(size)


def test_an_upload_that_another_bucket_does_not_know_stays_written_down(
    place: RemotePlace, swapped: Swapped, tmp_path: Path
) -> None:
    notes = UploadNotes(tmp_path)
    notes.add(f"{ABOVE}x.dcm", "upload")
    blobs = RemoteBlobs(place, ABOVE, NAME, notes=str(tmp_path), mark=MARK)
    swapped.take()
    with pytest.raises(DiskAway):
        blobs.delete_unfinished()
    assert list(notes.list()) == [(f"{ABOVE}x.dcm", "upload")]


def test_a_blob_that_another_bucket_lacks_is_not_gone_when_it_is_copied(
    place: RemotePlace, blobs: RemoteBlobs, swapped: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one place of the bucket to another."""
    monkeypatch.setattr(Gcs, "can_copy_from", lambda *_: True)
    (key,) = write(blobs, [instance(9_000_000)])
    writer = blobs.writer(PREFIX)
    with blobs.open(key) as source:
        swapped.take()
        with pytest.raises(DiskAway):
            writer.copy_from(source, uids(1))
    swapped.bring()
    assert read(blobs, key) == instance(9_000_000)
    writer.close()


# A bucket that is not there -------------------------------------------------------------------------------------------


def test_an_object_that_is_missing_is_told_from_its_bucket(server: Server, place: RemotePlace) -> None:
    """The answer to HEAD has no body that says which of them it is."""
    with pytest.raises(NotFound):
        RemoteBucket(place).head("no/such/object")
    nowhere = RemoteBucket(replace(place, bucket=f"{place.bucket}-2", address=f"{place.address}-2"))
    with pytest.raises(NotFound if server.hides_bucket else BucketAway):
        nowhere.head("no/such/object")
    with pytest.raises(NotFound if server.hides_bucket else BucketAway):
        nowhere.client.get_any("no/such/object", "", 0, 10)
