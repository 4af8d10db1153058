"""What a bucket can do to stored instances: answers that are lost, bytes that come spoilt, versions that change."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from gantry.errors import (
    Aborted,
    DataLoss,
    DiskAway,
    FailedPrecondition,
    NotFound,
    StatusError,
    Unavailable,
    Unimplemented,
    Unreadable,
)
from gantry.storage.contents import read_tables
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.remote import blob_freeing, blob_reading, blob_sending, retrying
from gantry.storage.remote.blob_reading import HeldObject
from gantry.storage.remote.blob_segments import find_pending
from gantry.storage.remote.blobs import RemoteBlobs
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.s3 import S3
from gantry.stored_bytes import find_damage
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, Elsewhere, instance, objects_of, uids, write
from tests.seams.segment_support import extent_of
from tests.support.dicom import make_instance
from tests.support.s3_places import make_client
from tests.support.s3_server import S3Server

NAME = "the bucket of stored instances"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)


@pytest.fixture
def blobs(bucket: RemoteBucket) -> RemoteBlobs:
    return RemoteBlobs(bucket.place, "p/", NAME)


def look(blobs: RemoteBlobs, bucket: RemoteBucket, key: str) -> bytes:
    """All bytes of an object, past the product."""
    url = f"{bucket.place.endpoint}/{bucket.place.bucket}/p/{key}"
    return httpx.get(url).content


def is_blank(data: bytes, key: str) -> bool:
    extent = extent_of(key)
    return not any(data[extent.offset : extent.offset + extent.length])


# Writing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5000, 9_000_000])
def test_a_write_whose_answer_is_lost_comes_once_more(blobs: RemoteBlobs, s3: S3Server, size: int) -> None:
    with s3.fail("reset after", each=1) as rule:
        (key,) = write(blobs, [instance(size)])
    assert rule.failed
    assert read(blobs, key) == instance(size)
    assert set(keys(blobs)) == objects_of([key])


def test_a_first_try_that_comes_late_does_not_bring_back_what_was_freed(
    blobs: RemoteBlobs, bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer did not come, the second try was carried out before the first one."""
    sent: list[Callable[[], None]] = []
    provider = blobs._bucket.client.provider
    for name in ("put", "create"):
        ask = getattr(provider, name)

        def send(key: str, data: bytes, *more: Any, ask: Callable[..., None] = ask) -> None:
            sent.append(partial(ask, key, data, *more))
            ask(key, data, *more)

        monkeypatch.setattr(provider, name, send)
    freed, kept = write(blobs, [instance(5000), instance(6000, 1)])
    assert len(sent) == 1
    blobs.delete(freed)
    with pytest.raises(Aborted):
        sent[0]()
    assert is_blank(look(blobs, bucket, extent_of(freed).segment), freed)
    assert read(blobs, kept) == instance(6000, 1)


def test_a_server_that_does_not_know_the_condition_is_asked_once(
    blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = blobs._bucket.client.provider
    assert isinstance(provider, S3)
    put, conditions = provider._put_any, []

    def refuse(key: str, data: bytes, more: Any = None) -> None:
        conditions.append(more)
        if more:
            raise Unimplemented("a header implies functionality that is not implemented")
        put(key, data)

    monkeypatch.setattr(provider, "_put_any", refuse)
    found = [write(blobs, [instance(5000, number)])[0] for number in range(2)]
    assert list(map(bool, conditions)) == [True, False, False]
    assert [read(blobs, key) for key in found] == [instance(5000, 0), instance(5000, 1)]


def test_a_server_that_does_not_know_the_condition_gets_no_segment_twice(
    blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first try that is carried out last would bring back what was freed since: what nobody answers is given up, and
    written again under another name."""
    provider = blobs._bucket.client.provider
    assert isinstance(provider, S3)
    put, sent = provider._put_any, []

    def lose(key: str, data: bytes, more: Any = None) -> None:
        if more:
            raise Unimplemented("a header implies functionality that is not implemented")
        sent.append(key)
        put(key, data)
        if len(sent) < 3:
            raise Unavailable("no answer came")

    monkeypatch.setattr(provider, "_put_any", lose)
    for number in range(2):
        writer = blobs.writer(PREFIX)
        writer.put([instance(5000)], uids(number))
        with pytest.raises(DiskAway):
            writer.flush()
        writer.close()
        assert writer.late and len(sent) == len(set(sent)) == number + 1
    assert keys(blobs) == []
    (key,) = write(blobs, [instance(5000)])
    assert read(blobs, key) == instance(5000) and len(sent) == len(set(sent))


def test_what_is_wrong_with_another_write_says_nothing_of_the_condition(
    blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = blobs._bucket.client.provider
    assert isinstance(provider, S3)

    def refuse(key: str, data: bytes, more: Any = None) -> None:
        raise FailedPrecondition("the object storage refused it")

    with monkeypatch.context() as patched:
        patched.setattr(provider, "_put_any", refuse)
        with pytest.raises(DiskAway):
            write(blobs, [instance(5000)])
    assert provider.knows_create


def test_a_try_that_was_spoilt_is_written_over(
    blobs: RemoteBlobs, bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has heard of it yet. No write is without a condition: one that came late would undo a deletion."""
    provider = blobs._bucket.client.provider
    assert isinstance(provider, S3)
    put, conditions = provider._put_any, []

    def note(key: str, data: bytes, more: Any = None) -> None:
        conditions.append(more)
        put(key, data, more)

    monkeypatch.setattr(provider, "_put_any", note)
    monkeypatch.setattr(provider, "_put_fast", None)
    writer = blobs.writer(PREFIX)
    key, _ = writer.put([instance(5000)], uids(1))
    s3.put(bucket.place.bucket, {f"p/{extent_of(key).segment}": b"spoilt"})
    writer.flush()
    writer.close()
    assert read(blobs, key) == instance(5000)
    assert len(conditions) == 2 and all(conditions)


def test_a_segment_that_cannot_be_written_is_everybody_s_error_and_nobody_else_s(
    blobs: RemoteBlobs, s3: S3Server
) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    with s3.fail("500 InternalError", methods=["PUT"]), pytest.raises(DiskAway, match=f"{NAME} cannot be written"):
        writer.flush()
    key, _ = writer.put([instance(6000)], uids(2))
    writer.flush()
    assert writer.close() == tuple(objects_of([key]))
    assert keys(blobs) == list(objects_of([key]))


def test_a_full_segment_that_could_not_be_written_is_told_to_its_own_thread(
    blobs: RemoteBlobs, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one asks for it first."""
    monkeypatch.setattr(blob_sending, "SEGMENT_BYTES", 8192)
    writer = blobs.writer(PREFIX)
    with s3.fail("500 InternalError", methods=["PUT"]):
        for number in range(3):
            writer.put([instance(8000, number)], uids(number))
        with ThreadPoolExecutor(1) as other, pytest.raises(DiskAway):
            other.submit(writer.flush).result()
    with pytest.raises(DiskAway):
        writer.flush()
    writer.flush()
    writer.close()
    assert keys(blobs) == []


def test_what_was_written_and_could_not_be_removed_is_left(blobs: RemoteBlobs, s3: S3Server) -> None:
    """It may be in the bucket: the answers were lost."""
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    with s3.fail("reset after", methods=["PutObject"]), pytest.raises(DiskAway):
        writer.flush()
    with s3.fail("500 InternalError", methods=["DELETE"]):
        assert writer.close() == ()
    assert list(writer.left) == keys(blobs) != []


def test_what_another_bucket_says_is_removed_is_left(bucket: RemoteBucket, s3: S3Server) -> None:
    s3.put(bucket.place.bucket, {"p/main.gantry": b"a" * 32})
    blobs = RemoteBlobs(bucket.place, "p/", NAME, mark=("main.gantry", "a" * 32))
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(size)], uids(size))[0] for size in (5000, 9_000_000)]
    writer.flush()
    writer.put([instance(6000)], uids(2))
    with s3.fail("reset after", methods=["PutObject"]), pytest.raises(DiskAway):
        writer.flush()
    with s3.fail("404 NoSuchKey", methods=["GET", "HEAD", "PUT", "POST", "DELETE"]):
        for key in found:
            with pytest.raises(DiskAway):
                writer.discard(key)
        writer.close()
    assert objects_of(writer.left) == {key for key in keys(blobs) if key != "main.gantry"}
    assert set(found) < set(writer.left)


def test_an_object_of_its_own_that_is_cut_off_leaves_nothing(blobs: RemoteBlobs, s3: S3Server) -> None:
    writer = blobs.writer(PREFIX)
    with s3.fail("500 InternalError", methods=["UploadPart"], after=1), pytest.raises(DiskAway):
        writer.put([instance(20_000_000)])
    writer.close()
    assert keys(blobs) == []
    assert s3.requests.operations["AbortMultipartUpload"] == 1


def test_threads_that_flush_at_the_same_time_share_a_request(blobs: RemoteBlobs, s3: S3Server) -> None:
    s3.set_latency(0.1)
    try:
        writer = blobs.writer(PREFIX)
        start = threading.Barrier(16)

        def request(number: int) -> str:
            key, _ = writer.put([instance(3000, number)], uids(number))
            start.wait()
            writer.flush()
            return key

        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(request, range(16)))
    finally:
        s3.set_latency(0)
    assert s3.requests.operations["PutObject"] <= 3
    assert [read(blobs, key) for key in found] == [instance(3000, number) for number in range(16)]


def test_one_flush_does_not_wait_for_the_end_of_another(blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests of both are on their way at the same time."""
    writer, put = blobs.writer(PREFIX), blob_sending.BlobBucket.put_new
    begun, both = threading.Event(), threading.Barrier(2)

    def meet(*given: Any) -> None:
        begun.set()
        both.wait(20)
        put(*given)

    def request(number: int) -> str:
        key, _ = writer.put([instance(3000, number)], uids(number))
        writer.flush()
        return key

    monkeypatch.setattr(blob_sending.BlobBucket, "put_new", meet)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(request, 1)
        assert begun.wait(60)
        found = [request(2), first.result()]
    assert [read(blobs, key) for key in found] == [instance(3000, 2), instance(3000, 1)]
    assert len(writer.close()) == 2


@pytest.mark.slow
def test_a_flush_returns_when_what_another_one_sends_is_there(blobs: RemoteBlobs, s3: S3Server) -> None:
    """Both have written to the same segment."""
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(3000, number)], uids(number))[0] for number in range(2)]
    assert len(objects_of(found)) == 1
    with s3.fail("stall", methods=["PutObject"], times=1, seconds=2) as rule, ThreadPoolExecutor(1) as threads:
        first = threads.submit(writer.flush)
        while not rule.failed:
            time.sleep(0.01)
        writer.flush()
        assert set(keys(blobs)) == objects_of(found)
        first.result()
    assert writer.close() == tuple(objects_of(found))


def test_a_flush_says_that_what_another_one_sends_is_lost(blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = blobs.writer(PREFIX)
    sent, failed = threading.Event(), threading.Event()

    def fail(*_: Any) -> None:
        sent.set()
        assert failed.wait(60)
        raise DiskAway("the bucket is away")

    monkeypatch.setattr(blob_sending.BlobBucket, "put_new", fail)
    writer.put([instance(3000)], uids(1))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(writer.flush)
        assert sent.wait(60)
        second = threads.submit(writer.flush)
        time.sleep(0.1)
        failed.set()
        for each in (first, second):
            with pytest.raises(DiskAway):
                each.result()
    writer.close()


@pytest.mark.slow
def test_no_more_than_a_few_segments_of_a_writer_are_held_in_memory(
    blobs: RemoteBlobs, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_sending, "SEGMENT_BYTES", 65_536)
    s3.set_latency(0.02)
    try:
        writer = blobs.writer(PREFIX)
        found, held = [], []
        for number in range(100):
            found.append(writer.put([instance(30_000, number)], uids(number))[0])
            held.append(sum(find_pending(key) is not None for key in objects_of(found)))
        writer.flush()
    finally:
        s3.set_latency(0)
    assert 2 < max(held) <= blob_sending.MOST_SENT + 1
    assert len(set(objects_of(found))) == 50 == s3.requests.operations["PutObject"]
    assert len(writer.close()) == 50


@pytest.mark.slow
def test_a_segment_for_which_no_thread_can_be_started_is_sent_once(
    blobs: RemoteBlobs, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool keeps what it has refused, and gives it to a thread that it has already."""
    monkeypatch.setattr(blob_sending, "SEGMENT_BYTES", 8192)
    s3.set_latency(0.3)
    try:
        writer = blobs.writer(PREFIX)
        found = [writer.put([instance(8000, number)], uids(number))[0] for number in range(2)]
        with monkeypatch.context() as short:

            def refuse(thread: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            short.setattr(threading.Thread, "start", refuse)
            found.append(writer.put([instance(8000, 2)], uids(2))[0])
        time.sleep(1)
        writer.flush()
        durable: list[str] = []
        closing = threading.Thread(target=lambda: durable.extend(writer.close()), daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
    finally:
        s3.set_latency(0)
    assert set(durable) == set(keys(blobs)) == objects_of(found)
    assert s3.requests.operations["PutObject"] == len(objects_of(found))


def test_an_instance_can_be_read_and_given_up_before_it_is_flushed(blobs: RemoteBlobs, s3: S3Server) -> None:
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(5000, number)], uids(number))[0] for number in range(3)]
    assert [read(blobs, key) for key in found] == [instance(5000, number) for number in range(3)]
    assert blobs.read_crc32cs(found[:1])[found[0]] is not None
    assert s3.requests.methods.total() == 0
    writer.discard(found[1])
    with pytest.raises(NotFound):
        blobs.open(found[1])
    writer.flush()
    (segment,) = writer.close()
    assert [entry.key for entry in blobs.entries(segment)] == [found[0], found[2]]


def test_what_a_process_that_was_killed_has_not_flushed_is_nowhere(blobs: RemoteBlobs) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    del writer
    assert keys(blobs) == []


def test_parts_that_a_killed_process_has_left_are_removed_by_their_notes(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Any
) -> None:
    blobs = RemoteBlobs(bucket.place, "p/", NAME, notes=str(tmp_path / "uploads"))
    client = bucket.client
    upload = client.provider.begin_parts(f"p/{PREFIX}x.dcm")
    assert blobs._remote.notes is not None
    blobs._remote.notes.add(f"p/{PREFIX}x.dcm", upload)
    assert "Uploads" in make_client(s3.url).list_multipart_uploads(Bucket=bucket.place.bucket)
    blobs.delete_unfinished()
    assert "Uploads" not in make_client(s3.url).list_multipart_uploads(Bucket=bucket.place.bucket)


# Reading --------------------------------------------------------------------------------------------------------------


def test_a_small_instance_is_read_by_one_request(blobs: RemoteBlobs, s3: S3Server) -> None:
    (key,) = write(blobs, [instance(500_000)])
    s3.reset_counts()
    assert read(blobs, key) == instance(500_000)
    assert s3.requests.methods == {"GET": 1}


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_part_of_a_large_instance_is_read_alone(blobs: RemoteBlobs, s3: S3Server, is_shared: bool) -> None:
    data, writer = instance(7_000_000), blobs.writer(PREFIX)
    key = writer.copy_from(Elsewhere(data), uids(1)) if is_shared else writer.put([data])[0]
    writer.flush()
    s3.reset_counts()
    with blobs.open(key) as opened:
        assert opened.read_at(0, 1000) == data[:1000]
        assert opened.read_at(5_000_000, 1000) == data[5_000_000:5_001_000]
        assert s3.requests.methods == ({"GET": 2} if is_shared else {"HEAD": 1, "GET": 2})
        assert b"".join(opened.chunks()) == data


@pytest.mark.parametrize("is_shared", [True, False])
def test_many_small_parts_are_read_by_few_requests(blobs: RemoteBlobs, s3: S3Server, is_shared: bool) -> None:
    """As the frames of an instance are looked for."""
    data, writer = instance(7_000_000), blobs.writer(PREFIX)
    key = writer.copy_from(Elsewhere(data), uids(1)) if is_shared else writer.put([data])[0]
    writer.flush()
    s3.reset_counts()
    with blobs.open(key) as opened:
        for at in range(0, len(data), 9973):
            assert opened.read_at(at, 8) == data[at : at + 8]
        assert opened.read_at(len(data) - 3, 100) == data[-3:]
        assert opened.read_at(100, 5_000_000) == data[100:5_000_100]
        assert opened.read_at(len(data), 10) == opened.read_at(len(data) + 10, 10) == b""
    assert s3.requests.operations["GetObject"] <= 10


def test_reading_goes_on_where_a_neighbour_was_freed(blobs: RemoteBlobs) -> None:
    found = write(blobs, [instance(3_000_000, 1), instance(3_000_000, 2)])
    with blobs.open(found[0]) as opened:
        blobs.delete(found[1])
        assert b"".join(opened.chunks()) == instance(3_000_000, 1)


@pytest.mark.parametrize("by", ["its key", "its segment", "its rest"])
def test_what_was_freed_while_it_was_read_is_no_zeros(blobs: RemoteBlobs, by: str) -> None:
    found = write(blobs, [instance(3_000_000, 1), instance(5000, 2)])
    with blobs.open(found[0]) as opened:
        if by == "its key":
            blobs.delete(found[0])
        elif by == "its segment":
            blobs.delete(min(objects_of(found)))
        else:
            blobs.free_rest(min(objects_of(found)), [found[1]])
        with pytest.raises(Aborted, match="was deleted while it was read"):
            opened.read_at(2_000_000, 1000)
        with pytest.raises(Aborted, match="was deleted while it was read"):
            list(opened.chunks())


def test_a_server_that_tells_no_tags_is_looked_at_again(blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write(blobs, [instance(3_000_000, 1), instance(5000, 2)])
    get = blob_reading.BlobBucket.get
    monkeypatch.setattr(blob_reading.BlobBucket, "get", lambda *given: get(*given)._replace(tag=""))
    with blobs.open(found[0]) as opened:
        assert opened.read_at(2_000_000, 1000) == instance(3_000_000, 1)[2_000_000:2_001_000]
        blobs.delete(found[0])
        with pytest.raises(Aborted):
            opened.read_at(1_000_000, 1000)


@pytest.mark.slow
def test_a_bucket_that_is_away_is_a_disk_that_is_away(blobs: RemoteBlobs, s3: S3Server) -> None:
    found = write(blobs, [instance(5000), instance(9_000_000)])
    with s3.fail("reset before"):
        for key in found:
            with pytest.raises(DiskAway, match=f"{NAME} does not answer"):
                blobs.open(key)
        with pytest.raises(DiskAway):
            list(blobs.entries(extent_of(found[0]).segment))
        with pytest.raises(DiskAway):
            list(blobs.list())
        with pytest.raises(DiskAway):
            blobs.require_mounted()
        errors = blobs.delete_all(found)
        assert set(errors) == set(found)
        assert all(isinstance(error, DiskAway) for error in errors.values())
        assert "cannot be reached" in blobs.find_absence()
    assert blobs.find_absence() == ""
    blobs.require_mounted()
    assert [len(read(blobs, key)) for key in found] == [5000, 9_000_000]


@pytest.mark.parametrize(
    "kind", ["403 AccessDenied", "403 InvalidAccessKeyId", "301 PermanentRedirect", "503 SlowDown", "500 InternalError"]
)
def test_callers_do_not_hear_how_the_server_reaches_its_bucket(
    bucket: RemoteBucket, s3: S3Server, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has it: who reads the answer to an upload, or /readyz, needs no right to the settings."""
    place = replace(bucket.place, access_key_id="ACCESSKEYOFTHESERVER", secret_access_key="secret")  # noqa: S106
    blobs = RemoteBlobs(place, "p/", NAME)
    (key,) = write(blobs, [instance(5000)])
    secrets = (place.bucket, "ACCE", "s3:PutObject", "region", "p/")
    said = []
    with s3.fail(kind):
        for act in (lambda: write(blobs, [instance(6000)]), lambda: read(blobs, key), lambda: list(blobs.list())):
            with pytest.raises(StatusError) as raised:
                act()
            said.append(raised.value.message)
        said.append(blobs.find_absence())
    assert all(NAME in each for each in said[:1]), said
    assert not [word for word in secrets for each in said if word in each], said
    assert place.bucket in caplog.text or kind[:3] == "500" or kind[:3] == "503"


def test_a_server_that_may_not_read_its_bucket_says_so(blobs: RemoteBlobs, s3: S3Server) -> None:
    found = write(blobs, [instance(5000), instance(9_000_000)])
    with s3.fail("403 AccessDenied", methods=["GetObject", "HeadObject"]):
        for key in found:
            with pytest.raises(Unavailable, match="may not read its own object") as said:
                blobs.open(key)
            assert said.value.waits_for is None
    writer = blobs.writer(PREFIX)
    writer.put([b"1"], uids(1))
    with s3.fail("403 AccessDenied", methods=["PUT"]), pytest.raises(DiskAway, match="cannot be written"):
        writer.flush()


def test_an_object_of_its_own_that_comes_spoilt_is_unreadable(blobs: RemoteBlobs, s3: S3Server) -> None:
    writer = blobs.writer(PREFIX)
    key, _ = writer.put([instance(5000)])
    writer.flush()
    with s3.fail("wrong bit", each=1):
        assert read(blobs, key) == instance(5000)
    with s3.fail("wrong bit"), pytest.raises(Unreadable):
        blobs.open(key)


@pytest.mark.parametrize("length", [5000, 2_000_000])
def test_a_range_that_comes_spoilt_once_is_not_damaged(blobs: RemoteBlobs, s3: S3Server, length: int) -> None:
    data = make_instance(*uids(1), pixel_bytes=instance(length))
    (key,) = write(blobs, [data])
    written = blobs.read_crc32cs([key])[key]
    with s3.fail("wrong bit", times=1) as rule:
        assert find_damage(blobs, key, len(data), uids(1), written) == ""
    assert rule.failed
    with s3.fail("wrong bit"):
        assert "damaged" in find_damage(blobs, key, len(data), uids(1), written)


# Freeing --------------------------------------------------------------------------------------------------------------


def test_freed_bytes_are_zeros_in_the_bucket_and_the_others_keep_their_places(
    blobs: RemoteBlobs, bucket: RemoteBucket, s3: S3Server
) -> None:
    found = write(blobs, [instance(5000, number) for number in range(6)])
    segment = extent_of(found[0]).segment
    before = look(blobs, bucket, segment)
    s3.reset_counts()
    assert blobs.delete_all(found[::2]) == {}
    assert s3.requests.operations["PutObject"] == 1
    after = look(blobs, bucket, segment)
    assert len(after) == len(before) + 1, "a byte behind the table says that something was freed"
    assert [is_blank(after, key) for key in found] == [True, False] * 3
    assert blobs.count_freed(segment) == 3
    assert len(list(read_tables(HeldObject(segment, after)))) == 1
    s3.reset_counts()
    assert blobs.delete_all(found[::2]) == {}
    assert s3.requests.operations["PutObject"] == 0


def test_two_at_once_do_not_undo_each_other(blobs: RemoteBlobs, bucket: RemoteBucket) -> None:
    found = write(blobs, [instance(5000, number) for number in range(16)])
    travelled: RemoteBlobs = pickle.loads(pickle.dumps(blobs))  # noqa: S301
    stores = (blobs, travelled)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: stores[number % 2].delete(found[number]), range(0, 16, 2)))
    data = look(blobs, bucket, extent_of(found[0]).segment)
    assert [is_blank(data, key) for key in found] == [True, False] * 8


def test_two_processes_do_not_undo_each_other(
    blobs: RemoteBlobs, bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes between the reading and the writing, and knows no lock of this one."""
    found = write(blobs, [instance(5000, number) for number in range(4)])
    real, left = blob_freeing.read_whole, [1]

    def read_then_other(*given: Any) -> Any:
        whole = real(*given)
        if left:
            left.clear()
            locks = [threading.Lock() for _ in range(64)]
            with monkeypatch.context() as other:
                other.setattr(blob_freeing, "_locks", locks)
                blobs.delete(found[2])
        return whole

    monkeypatch.setattr(blob_freeing, "read_whole", read_then_other)
    blobs.delete(found[0])
    data = look(blobs, bucket, extent_of(found[0]).segment)
    assert [is_blank(data, key) for key in found] == [True, False, True, False]


@pytest.mark.parametrize("fault", ["reset after", "reset before", "503 SlowDown"])
def test_a_rewrite_that_fails_once_is_done(blobs: RemoteBlobs, bucket: RemoteBucket, s3: S3Server, fault: str) -> None:
    found = write(blobs, [instance(5000, number) for number in range(4)])
    with s3.fail(fault, each=1, methods=["PutObject"]) as rule:
        assert blobs.delete_all(found[:2]) == {}
    assert rule.failed == 1
    data = look(blobs, bucket, extent_of(found[0]).segment)
    assert [is_blank(data, key) for key in found] == [True, True, False, False]
    assert [read(blobs, key) for key in found[2:]] == [instance(5000, 2), instance(5000, 3)]


def test_a_rewrite_that_cannot_be_done_is_told_and_loses_nothing(blobs: RemoteBlobs, s3: S3Server) -> None:
    found = write(blobs, [instance(5000, number) for number in range(4)])
    with s3.fail("500 InternalError", methods=["PUT"]):
        failed = blobs.delete_all(found[:2])
    assert set(failed) == set(found[:2])
    assert [read(blobs, key) for key in found] == [instance(5000, number) for number in range(4)]


@pytest.mark.parametrize("is_compared", [True, False])
def test_bytes_that_are_spoilt_on_their_way_are_not_written(
    blobs: RemoteBlobs, s3: S3Server, monkeypatch: pytest.MonkeyPatch, is_compared: bool
) -> None:
    """With a checksum of the provider, and with those in the table of contents alone."""
    found = write(blobs, [instance(3_000_000, number) for number in range(2)])
    if not is_compared:
        unknown = blob_reading.Comparison.UNKNOWN
        monkeypatch.setattr(blob_reading, "compare", lambda *_: unknown)
    with s3.fail("wrong bit", times=1) as rule:
        blobs.delete(found[0])
    assert rule.failed
    assert read(blobs, found[1]) == instance(3_000_000, 1)
    with s3.fail("wrong bit"), pytest.raises(Unavailable):
        blobs.delete(found[1])
    assert read(blobs, found[1]) == instance(3_000_000, 1)


def blank_next(monkeypatch: pytest.MonkeyPatch, segment: str, start: int, end: int) -> list[int]:
    """The next answer with these bytes of a segment has zeros in their place; how many are left that do."""
    get, left = blob_reading.BlobBucket.get, [1]

    def blank(bucket: Any, key: str, tag: str, offset: int, length: int) -> Any:
        got = get(bucket, key, tag, offset, length)
        if key != segment or not left or offset > start or offset + len(got.data) < end:
            return got
        left.clear()
        data = got.data[: start - offset] + bytes(end - start) + got.data[end - offset :]
        return got._replace(data=data)

    monkeypatch.setattr(blob_reading.BlobBucket, "get", blank)
    return left


@pytest.mark.parametrize("length", [5000, 2_000_000])
def test_zeros_that_came_on_the_way_are_not_freed(
    blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    (key,) = write(blobs, [instance(length)])
    extent = extent_of(key)
    left = blank_next(monkeypatch, extent.segment, extent.offset, extent.offset + 4096)
    assert read(blobs, key) == instance(length)
    assert not left


@pytest.mark.parametrize("spoilt", ["an instance", "the table"])
def test_zeros_that_came_on_the_way_are_not_written(
    blobs: RemoteBlobs, bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    """The provider has no checksum, so that the table alone says what the bytes are."""
    found = write(blobs, [instance(5000, number) for number in range(3)])
    segment = extent_of(found[0]).segment
    before = look(blobs, bucket, segment)
    monkeypatch.setattr(blob_reading, "compare", lambda *_: blob_reading.Comparison.UNKNOWN)
    extent = extent_of(found[1])
    at = (extent.offset, extent.offset + 8192) if spoilt == "an instance" else (extent_of(found[2]).end, len(before))
    left = blank_next(monkeypatch, segment, *at)
    blobs.delete(found[0])
    assert not left
    assert look(blobs, bucket, segment)[extent.offset : len(before)] == before[extent.offset :]
    assert [read(blobs, key) for key in found[1:]] == [instance(5000, 1), instance(5000, 2)]
    assert is_blank(look(blobs, bucket, segment), found[0])


def test_damage_that_the_provider_has_does_not_keep_deleted_bytes(
    blobs: RemoteBlobs, bucket: RemoteBucket, s3: S3Server
) -> None:
    found = write(blobs, [instance(5000, number) for number in range(3)])
    segment = extent_of(found[0]).segment
    data = bytearray(look(blobs, bucket, segment))
    data[extent_of(found[1]).offset + 1000] ^= 1
    s3.put(bucket.place.bucket, {f"p/{segment}": bytes(data)})
    blobs.delete(found[0])
    assert is_blank(look(blobs, bucket, segment), found[0])
    assert read(blobs, found[2]) == instance(5000, 2)


def test_a_segment_that_was_deleted_meanwhile_does_not_come_back(
    blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch, bucket: RemoteBucket
) -> None:
    found = write(blobs, [instance(5000, number) for number in range(3)])
    segment = extent_of(found[0]).segment
    real = blob_freeing.read_whole

    def read_then_delete(*given: Any) -> Any:
        whole = real(*given)
        bucket.delete(f"p/{segment}")
        return whole

    monkeypatch.setattr(blob_freeing, "read_whole", read_then_delete)
    blobs.delete(found[0])
    assert keys(blobs) == []


def test_what_may_not_be_deleted_is_told_and_waits_for_nothing(blobs: RemoteBlobs, s3: S3Server) -> None:
    """A lock of the bucket keeps it: a bucket that is away would be something else."""
    found = write(blobs, [instance(5000), instance(9_000_000)])
    with s3.fail("403 AccessDenied", methods=["PUT", "DELETE"]), s3.fail("delete locked"):
        failed = blobs.delete_all([*found, *objects_of(found[:1])])
        assert set(failed) == {*found, *objects_of(found[:1])}
        for key, error in failed.items():
            assert isinstance(error, Unavailable) and error.waits_for is None, key
            assert "cannot be deleted" in error.message
    assert [len(read(blobs, key)) for key in found] == [5000, 9_000_000]


# Tables ---------------------------------------------------------------------------------------------------------------


def test_checksums_are_read_without_the_instances(blobs: RemoteBlobs, s3: S3Server) -> None:
    found = write(blobs, [instance(900_000, number) for number in range(8)])
    s3.reset_counts()
    assert None not in blobs.read_crc32cs(found).values()
    assert s3.requests.operations == {"HeadObject": 1, "GetObject": 1}


def test_checksums_of_a_segment_that_lay_on_a_disk_are_found(
    blobs: RemoteBlobs, s3: S3Server, bucket: RemoteBucket, tmp_path: Any
) -> None:
    """Its tables stand between the instances."""
    local = LocalBlobs(str(tmp_path))
    writer = local.writer(PREFIX)
    found = []
    for number in range(3):
        found.append(writer.put([instance(900_000, number)], uids(number))[0])
        writer.flush()
    (segment,) = writer.close()
    s3.put(bucket.place.bucket, {f"p/{segment}": (tmp_path / segment).read_bytes()})
    assert blobs.read_crc32cs(found) == local.read_crc32cs(found)
    assert list(blobs.entries(segment)) == list(local.entries(segment))
    assert [read(blobs, key) for key in found] == [instance(900_000, number) for number in range(3)]


def test_a_copy_of_damaged_bytes_is_not_made(blobs: RemoteBlobs) -> None:
    writer = blobs.writer(PREFIX)
    for size in (5000, 9_000_000):
        with pytest.raises(DataLoss):
            writer.copy_from(Elsewhere(instance(size)), uids(1), 1)
    writer.flush()
    writer.close()
    assert keys(blobs) == []


@pytest.mark.slow
def test_where_the_provider_refuses_a_copy_the_bytes_are_read_and_written(
    blobs: RemoteBlobs, bucket: RemoteBucket, s3: S3Server
) -> None:
    bucket.put("in", [instance(9_000_000)])
    writer = blobs.writer(PREFIX)
    with s3.fail("403 AccessDenied", methods=["CopyObject"]) as rule, bucket.open("in") as source:
        key = writer.copy_from(source, uids(1))
        assert not source.is_copied_there
        assert bucket.copy_from(source, "out") == 9_000_000
    assert rule.failed == 2
    writer.flush()
    assert read(blobs, key) == read(bucket, "out") == instance(9_000_000)


def test_what_was_written_before_the_end_of_a_writer_is_not_flushed_after_it(blobs: RemoteBlobs) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([b"1"], uids(1))
    writer.close()
    with pytest.raises(FailedPrecondition, match="the writer is closed"):
        writer.flush()
    assert keys(blobs) == []


def _write_for_ever(blobs: RemoteBlobs) -> None:
    for number in range(1_000_000):
        writer = blobs.writer(f"main/7/op/a-{number:06d}.")
        for each in range(20):
            writer.put([instance(40_000, each)], uids(each))
        writer.put([instance(9_000_000)])
        writer.flush()


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_whole_segments_that_say_what_they_hold(
    blobs: RemoteBlobs, s3: S3Server
) -> None:
    """Between the request and the commit of the index: whoever sweeps finds them by their prefix, and nothing else."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_write_for_ever, args=(blobs,))
    process.start()
    deadline = time.monotonic() + 60
    while s3.requests.operations["PutObject"] < 2:
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    found = keys(blobs)
    segments = [key for key in found if key.endswith(".seg")]
    assert segments
    for segment in segments:
        entries = list(blobs.entries(segment))
        assert [read(blobs, entry.key) for entry in entries] == [instance(40_000, each) for each in range(20)]
        assert blobs.count_unlisted(segment, []) == 0
        blobs.free_rest(segment, [entries[0].key])
        assert [entry.key for entry in blobs.entries(segment)] == [entries[0].key]
        blobs.free_rest(segment, [])
    assert blobs.delete_prefix("main/7/op/a") == len(found) - len(segments)
    assert keys(blobs) == []


def test_a_write_that_is_answered_with_404_is_no_error_of_the_instance(bucket: RemoteBucket, s3: S3Server) -> None:
    """What stands before an object storage that is down says so of every address."""
    writer = RemoteBlobs(bucket.place, "p/", NAME).writer(PREFIX)
    with s3.fail("404 NoSuchKey", methods=["PUT", "POST"]):
        for size in (5000, 9_000_000):
            with pytest.raises(DiskAway):
                writer.put([instance(size)], uids(1))
                writer.flush()
    writer.close()
