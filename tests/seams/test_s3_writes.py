"""Objects are written to a bucket of S3 whole or not at all, and what the server has is what was sent."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Aborted, BucketAway, InvalidArgument, NotFound, PermissionDenied, StatusError, Unavailable
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.remote.s3 import S3
from gantry.storage.remote.writing import _MOST_PARTS, PART_BYTES, _size_of_part
from tests.seams.blob_store_suite import keys, read
from tests.support.s3_places import make_bucket, make_client
from tests.support.s3_server import S3Server

LARGE = bytes(range(251)) * (18 << 20 >> 8)
"""Three parts."""
ODD = "a//b"  # a key that the fast client cannot name


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)


def uploads(bucket: RemoteBucket) -> list[str]:
    found = make_client(bucket.place.endpoint).list_multipart_uploads(Bucket=bucket.place.bucket)
    return [each["Key"] for each in found.get("Uploads", ())]


def spoil(act: Callable[..., Any], times: int, where: str | int) -> Callable[..., Any]:
    """A client whose data lose a bit on their way, so many times."""
    left = times

    def spoilt(*args: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0 and isinstance(where, str):
            named[where] = bytes([named[where][0] ^ 1]) + named[where][1:]
        elif left >= 0 and isinstance(where, int):
            data = args[where]
            args = (*args[:where], bytes([data[0] ^ 1]) + data[1:], *args[where + 1 :])
        return act(*args, **named)

    return spoilt


def spoil_next(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    made: Any = bucket.client.provider
    monkeypatch.setattr(made, "_put_fast", spoil(made._put_fast, times, 1))
    monkeypatch.setattr(made._client, "put_object", spoil(made._client.put_object, times, "Body"))
    monkeypatch.setattr(made._client, "upload_part", spoil(made._client.upload_part, times, "Body"))


@pytest.mark.parametrize(("key", "data"), [("a", b"small"), (ODD, b"small"), ("a", LARGE)])
def test_bytes_that_were_spoilt_on_their_way_are_sent_again(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, key: str, data: bytes
) -> None:
    spoil_next(bucket, monkeypatch, 2)
    assert bucket.put(key, [data]) == len(data)
    assert read(bucket, key) == data
    assert uploads(bucket) == []


@pytest.mark.parametrize(("key", "data"), [("a", b"small"), (ODD, b"small"), ("a", LARGE)])
def test_bytes_that_are_spoilt_every_time_are_an_error(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, key: str, data: bytes
) -> None:
    spoil_next(bucket, monkeypatch, 100)
    with pytest.raises(Unavailable, match=r"other bytes than those that were sent|BadDigest"):
        bucket.put(key, [data])
    assert uploads(bucket) == []


@pytest.mark.parametrize(("key", "data"), [("a", b"small"), (ODD, b"small"), ("a", LARGE)])
def test_tags_of_a_bucket_with_a_key_of_kms_are_no_checksums(s3: S3Server, key: str, data: bytes) -> None:
    bucket = make_bucket(s3, "kms")
    assert bucket.put(key, [data]) == len(data)
    assert read(bucket, key) == data


def test_who_may_only_write_writes_to_a_bucket_with_a_key_of_kms(s3: S3Server) -> None:
    bucket = make_bucket(s3, "kms")
    with s3.fail("403 AccessDenied", methods=["GetObject", "HeadObject", "ListObjectsV2"]):
        bucket.put("a", [b"small"])
    assert read(bucket, "a") == b"small"


WITHOUT_READING = ["GetObject", "HeadObject"]


@pytest.mark.parametrize(("key", "data"), [("a", b"small"), (ODD, b"small"), ("a", LARGE)])
@pytest.mark.parametrize("may_read", [True, False])
def test_bytes_that_were_spoilt_are_noticed_where_no_tag_is_an_md5(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, key: str, data: bytes, may_read: bool
) -> None:
    """The server compares them, with a checksum that the request has."""
    bucket = make_bucket(s3, "kms")
    spoil_next(bucket, monkeypatch, 1)
    with s3.fail("403 AccessDenied", methods=WITHOUT_READING, times=0 if may_read else None):
        assert bucket.put(key, [data]) == len(data)
    assert read(bucket, key) == data
    assert uploads(bucket) == []


def test_what_no_tag_can_tell_costs_two_requests_more_once(s3: S3Server) -> None:
    bucket = make_bucket(s3, "kms")
    for number in range(4):
        bucket.put(str(number), [b"small"])
    assert s3.requests.operations == {"PutObject": 5, "HeadObject": 1}
    checked = make_bucket(s3, "kms", checksums=True)
    for number in range(4):
        checked.put(str(number), [b"small"])
    assert s3.requests.operations == {"PutObject": 4, "HeadObject": 1}, "the server has compared them already"


def test_a_server_whose_tags_are_something_else_is_written_to(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = bucket.client.provider
    put, tags = made._put_fast, iter(["", '"v-1"'])
    monkeypatch.setattr(made, "_put_fast", lambda key, data: put(key, data) and next(tags))
    bucket.put("a", [b"small"])
    bucket.put("b", [b"small"])
    assert (read(bucket, "a"), read(bucket, "b"), next(tags)) == (b"small", b"small", '"v-1"')


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["b", "kms"])
def test_who_may_not_read_knows_by_the_listing_that_an_upload_has_ended(s3: S3Server, prefix: str) -> None:
    bucket = make_bucket(s3, prefix)
    with (
        s3.fail("403 AccessDenied", methods=WITHOUT_READING),
        s3.fail("reset after", methods=["CompleteMultipartUpload"], times=1) as rule,
    ):
        bucket.put("a", [LARGE])
        assert rule.failed == 1
    assert read(bucket, "a") == LARGE
    bucket.put("b", [LARGE[::-1]])
    with (
        s3.fail("403 AccessDenied", methods=WITHOUT_READING),
        s3.fail("404 NoSuchUpload", methods=["CompleteMultipartUpload"]),
        pytest.raises(NotFound, match="does not tell"),
    ):
        bucket.put("b", [LARGE])


def test_who_may_neither_read_nor_list_is_told_what_cannot_be_known(bucket: RemoteBucket, s3: S3Server) -> None:
    with (
        s3.fail("403 AccessDenied", methods=[*WITHOUT_READING, "ListObjectsV2"]),
        s3.fail("reset after", methods=["CompleteMultipartUpload"], times=1),
        pytest.raises(PermissionDenied, match=r"nobody can tell whether .*s3:GetObject"),
    ):
        bucket.put("a", [LARGE])


@pytest.mark.parametrize("method", ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("kind", ["reset before", "reset after", "500 InternalError", "429 TooManyRequests"])
def test_a_request_that_fails_or_whose_answer_is_lost_is_made_again(
    bucket: RemoteBucket, s3: S3Server, method: str, kind: str
) -> None:
    data = b"small" if method == "PutObject" else LARGE
    with s3.fail(kind, methods=[method], times=1, seconds=0) as rule:
        assert bucket.put("a", [data]) == len(data)
        assert rule.failed == 1
    assert read(bucket, "a") == data
    # Of an upload whose name did not arrive nobody knows: a lifecycle rule of the bucket removes it.
    lost = (method, kind) == ("CreateMultipartUpload", "reset after")
    assert uploads(bucket) == (["a"] if lost else [])


def test_an_error_in_an_answer_that_says_200_is_one(bucket: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("200 InternalError", methods=["CompleteMultipartUpload"], times=2) as rule:
        bucket.put("a", [LARGE])
        assert rule.failed == 2
    assert read(bucket, "a") == LARGE


def test_an_upload_that_somebody_removed_is_not_taken_for_an_older_object(bucket: RemoteBucket, s3: S3Server) -> None:
    bucket.put("a", [LARGE[::-1]])
    with s3.fail("404 NoSuchUpload", methods=["CompleteMultipartUpload"]), pytest.raises(NotFound):
        bucket.put("a", [LARGE])
    assert read(bucket, "a") == LARGE[::-1]
    assert uploads(bucket) == []


@pytest.mark.parametrize("method", ["UploadPart", "CompleteMultipartUpload"])
def test_no_part_stays_of_what_cannot_be_written(bucket: RemoteBucket, s3: S3Server, method: str) -> None:
    with (
        s3.fail("403 AccessDenied", methods=[method]),
        pytest.raises(PermissionDenied, match=rf"s3:PutObject on bucket {bucket.place.address}"),
    ):
        bucket.put("a", [LARGE])
    assert uploads(bucket) == [] and keys(bucket) == []


@pytest.mark.slow
def test_what_the_source_raises_goes_on_unchanged(bucket: RemoteBucket) -> None:
    class Broken(Exception):
        pass

    def chunks() -> Iterator[bytes]:
        yield LARGE
        raise Broken

    with pytest.raises(Broken):
        bucket.put("a", chunks())
    assert uploads(bucket) == [] and keys(bucket) == []


def test_the_largest_object_of_an_import_fits_into_the_parts_of_an_upload() -> None:
    sizes = [_size_of_part(number) for number in range(_MOST_PARTS)]
    assert sizes == sorted(sizes) and sizes[0] == PART_BYTES
    assert sum(sizes) > 100 << 30
    assert sizes[0] >= 5 << 20 and sizes[-1] <= 5 << 30, "Amazon's limits of one part"


def test_the_storage_class_of_the_settings_is_that_of_every_object(bucket: RemoteBucket) -> None:
    cold = RemoteBucket(replace(bucket.place, storage_class="STANDARD_IA"))
    cold.put("a", [b"small"])
    cold.put(ODD, [b"small"])
    cold.put("large", [LARGE])
    bucket.put("plain", [b"small"])
    with bucket.open("plain") as opened:
        cold.copy_from(opened, "copy")
    found = {each.key: each.storage_class for each in bucket.list()}
    assert found == dict.fromkeys(("a", ODD, "large", "copy"), "STANDARD_IA") | {"plain": "STANDARD"}


# Uploads that a crash has left ----------------------------------------------------------------------------------------


def begin_upload(bucket: RemoteBucket, key: str) -> None:
    """What a worker leaves that is killed now."""
    assert bucket.notes is not None
    bucket.notes.add(key, bucket.client.provider.begin_parts(key))


def make_writer(bucket: RemoteBucket, directory: Path) -> RemoteBucket:
    return RemoteBucket(bucket.place, UploadNotes(directory / "uploads" / "1"))


def count_notes(directory: Path) -> int:
    return sum(path.is_file() for path in directory.rglob("*"))


def test_only_uploads_of_this_writer_are_removed(bucket: RemoteBucket, tmp_path: Path) -> None:
    client = make_client(bucket.place.endpoint)
    for key in ("s/1.dcm", "5"):
        client.create_multipart_upload(Bucket=bucket.place.bucket, Key=key)
    mine = make_writer(bucket, tmp_path)
    for key in ("s/1.dcm", "s/é 2", "s/t/3.dcm", "st/4.dcm"):
        begin_upload(mine, key)
    mine.delete_unfinished("s/", 1)
    assert uploads(bucket) == ["5", "s/1.dcm", "s/t/3.dcm", "st/4.dcm"]
    bucket.delete_unfinished("", 9)
    assert len(uploads(bucket)) == 4, "without notes nothing is anybody's"
    mine.delete_unfinished("", 9)
    assert uploads(bucket) == ["5", "s/1.dcm"]
    assert not list((tmp_path / "uploads").iterdir())


@pytest.mark.slow
def test_an_upload_is_written_down_until_it_has_ended(bucket: RemoteBucket, s3: S3Server, tmp_path: Path) -> None:
    mine = make_writer(bucket, tmp_path)
    counts = []

    def look() -> Iterator[bytes]:
        yield LARGE
        yield LARGE
        counts.append(count_notes(tmp_path))
        yield LARGE

    mine.put("a", look())
    assert (counts, count_notes(tmp_path)) == ([1], 0)
    with s3.fail("403 AccessDenied", methods=["UploadPart"]), pytest.raises(PermissionDenied):
        mine.put("a", [LARGE, LARGE])
    assert (uploads(bucket), count_notes(tmp_path)) == ([], 0)


def test_an_upload_that_cannot_be_removed_stays_written_down(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path
) -> None:
    mine = make_writer(bucket, tmp_path)
    with s3.fail("403 AccessDenied", methods=["UploadPart", "AbortMultipartUpload"]), pytest.raises(PermissionDenied):
        mine.put("a", [LARGE, LARGE])
    with s3.fail("403 AccessDenied", methods=["AbortMultipartUpload"]), pytest.raises(PermissionDenied):
        mine.delete_unfinished("", 9)
    assert (uploads(bucket), count_notes(tmp_path)) == (["a"], 1)
    mine.delete_unfinished("", 9)
    assert (uploads(bucket), count_notes(tmp_path)) == ([], 0)


def test_an_upload_that_has_ended_meanwhile_is_forgotten(bucket: RemoteBucket, tmp_path: Path) -> None:
    mine = make_writer(bucket, tmp_path)
    begin_upload(mine, "a")
    ((key, upload),) = UploadNotes(tmp_path / "uploads" / "1").list()
    bucket.client.provider.drop_parts(key, upload)
    mine.delete_unfinished("", 9)
    assert count_notes(tmp_path) == 0


def _die_before_the_upload_is_written_down(bucket: RemoteBucket) -> None:
    def add(notes: UploadNotes, key: str, upload: str = "", add: Any = UploadNotes.add) -> None:
        if upload:
            os.kill(os.getpid(), signal.SIGKILL)
        add(notes, key, upload)

    UploadNotes.add = add  # type: ignore[method-assign, assignment]
    bucket.put("a b", [LARGE])


@pytest.mark.slow
def test_an_upload_that_was_begun_and_not_written_down_is_removed(bucket: RemoteBucket, tmp_path: Path) -> None:
    """Its process was killed between the two. An upload of somebody else with the same name has parts."""
    client, mine = make_client(bucket.place.endpoint), make_writer(bucket, tmp_path)
    for key in ("a b", "a bc"):
        other = client.create_multipart_upload(Bucket=bucket.place.bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket.place.bucket, Key=key, UploadId=other, PartNumber=1, Body=b"1")
    process = multiprocessing.get_context("spawn").Process(target=_die_before_the_upload_is_written_down, args=(mine,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert uploads(bucket) == ["a b", "a b", "a bc"]
    mine.delete_unfinished("", 9)
    assert (uploads(bucket), count_notes(tmp_path)) == (["a b", "a bc"], 0)


@pytest.mark.parametrize("lost", [1, 99], ids=["once", "always"])
def test_an_upload_whose_beginning_nobody_hears_is_removed(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, lost: int
) -> None:
    mine = make_writer(bucket, tmp_path)
    with s3.fail("reset after", methods=["CreateMultipartUpload"], times=lost) as rule:
        if lost == 1:
            assert mine.put("a", [LARGE]) == len(LARGE)
        else:
            with pytest.raises(StatusError):
                mine.put("a", [LARGE])
        assert rule.failed == min(lost, retrying.ATTEMPTS)
    assert (uploads(bucket), count_notes(tmp_path)) == ([], 0)


@pytest.mark.slow
def test_where_uploads_may_not_be_listed_the_note_of_one_goes(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = make_writer(bucket, tmp_path)
    assert mine.notes is not None
    mine.notes.add("a")
    with s3.fail("500 InternalError", methods=["ListMultipartUploads"]), pytest.raises(BucketAway):
        mine.delete_unfinished("", 9)
    assert count_notes(tmp_path) == 1
    with s3.fail("403 AccessDenied", methods=["ListMultipartUploads"]):
        mine.delete_unfinished("", 9)
    assert count_notes(tmp_path) == 0
    assert "s3:ListBucketMultipartUploads" in caplog.text


def test_what_cannot_be_written_down_is_not_begun(bucket: RemoteBucket, tmp_path: Path) -> None:
    (tmp_path / "uploads").write_bytes(b"in the way")
    with pytest.raises(StatusError) as caught:
        make_writer(bucket, tmp_path).put("a", [LARGE, LARGE])
    assert uploads(bucket) == []
    assert str(tmp_path) not in caught.value.message


def test_a_bucket_that_is_away_is_asked_once(bucket: RemoteBucket, s3: S3Server, tmp_path: Path) -> None:
    """Also of an operation that is cancelled because its bucket hangs: a request takes half a minute then."""
    mine = make_writer(bucket, tmp_path)
    for number in range(5):
        begin_upload(mine, f"out/{number}")
    s3.reset_counts()
    with s3.fail("500 InternalError", methods=["AbortMultipartUpload"]), pytest.raises(BucketAway):
        mine.delete_unfinished("out/", 9)
    assert s3.requests.operations["AbortMultipartUpload"] == 1
    assert count_notes(tmp_path) == 5


# Copies ---------------------------------------------------------------------------------------------------------------


def test_the_server_copies_within_itself(bucket: RemoteBucket, s3: S3Server) -> None:
    other = make_bucket(s3)
    bucket.put("é//a", [LARGE])
    with bucket.open("é//a") as opened:
        s3.reset_counts()
        assert other.copy_from(opened, "b") == len(LARGE)
    assert s3.requests.operations == {"CopyObject": 1}
    assert read(other, "b") == LARGE


def copy_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(S3, "most_copied", 1 << 20)
    monkeypatch.setattr(S3, "copied_part", 5 << 20)


def test_a_copy_in_parts_is_written_down_until_it_has_ended(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts take room that nobody sees, and whoever is killed then ends no upload."""
    copy_in_parts(monkeypatch)
    mine, counts, copy = make_writer(bucket, tmp_path), [], S3.copy_part

    def count(*asked: Any) -> str:
        counts.append(count_notes(tmp_path))
        return copy(*asked)

    monkeypatch.setattr(S3, "copy_part", count)
    bucket.put("a", [LARGE])
    with bucket.open("a") as opened:
        assert mine.copy_there(opened, "b")
        assert (counts, count_notes(tmp_path)) == ([1] * 4, 0)
        with s3.fail("403 AccessDenied", methods=["UploadPartCopy", "AbortMultipartUpload"]):
            assert not mine.copy_there(opened, "c")
    assert (uploads(bucket), count_notes(tmp_path)) == (["c"], 1)
    mine.delete_unfinished("", 9)
    assert (uploads(bucket), count_notes(tmp_path)) == ([], 0)


def test_what_one_request_cannot_copy_is_copied_in_parts(
    bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_in_parts(monkeypatch)
    bucket.put("a", [LARGE])
    with bucket.open("a") as opened:
        s3.reset_counts()
        assert bucket.copy_from(opened, "b") == len(LARGE)
        assert s3.requests.operations["UploadPartCopy"] == 4 and s3.requests.operations["GetObject"] == 0
        assert read(bucket, "b") == LARGE
        with s3.fail("403 AccessDenied", methods=["UploadPartCopy"], after=2) as rule:
            assert not bucket.copy_there(opened, "c")
        assert rule.failed and keys(bucket) == ["a", "b"]
    assert uploads(bucket) == []


def test_what_was_replaced_since_is_not_copied(bucket: RemoteBucket) -> None:
    bucket.put("a", [b"old"])
    with bucket.open("a") as opened:
        bucket.put("a", [b"new"])
        with pytest.raises(Aborted, match="was changed since it was listed"):
            bucket.copy_from(opened, "b")
    assert keys(bucket) == ["a"]


def test_bytes_go_through_this_process_where_the_credentials_differ(bucket: RemoteBucket, s3: S3Server) -> None:
    other = RemoteBucket(replace(bucket.place, access_key_id="AKIAANOTHER000000000"))
    bucket.put("a", [b"bytes"])
    with bucket.open("a") as opened:
        s3.reset_counts()
        assert other.copy_from(opened, "b") == 5
    assert s3.requests.operations == {"PutObject": 1}
    assert read(bucket, "b") == b"bytes"


def test_a_copy_of_what_is_unpacked_is_unpacked(bucket: RemoteBucket, s3: S3Server) -> None:
    s3.put(bucket.place.bucket, {"a": gzip.compress(b"bytes" * 100)}, {"Content-Encoding": "gzip"})
    with bucket.open("a") as opened:
        assert bucket.copy_from(opened, "b") == 500
    assert bucket.head("b").size == 500
    assert read(bucket, "b") == b"bytes" * 100


@pytest.mark.parametrize("key", ["", "x" * 1025, "\ud800"])
def test_a_copy_needs_a_name(bucket: RemoteBucket, key: str) -> None:
    bucket.put("a", [b"bytes"])
    with bucket.open("a") as opened, pytest.raises(InvalidArgument):
        bucket.copy_from(opened, key)
