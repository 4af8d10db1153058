"""Objects of a bucket of S3 are read whole, compared with what the server knows of them, and unpacked."""

from __future__ import annotations

import gzip
import io
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakSet

import pytest

from gantry.errors import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.ingest import Ingested, ingest_batch
from gantry.resources import Failure, Instance, ObjectMeta
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.remote import checking, retrying, s3_clients, unpacking, unpacking_turns
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.client import LEAST_PROGRESS
from gantry.storage.remote.provider import Got
from gantry.storage.remote.reading import HEAD_BYTES, HELD_BYTES, WINDOW_BYTES, RemoteObject
from gantry.storage.remote.unpacking_turns import Turn
from tests.seams.blob_store_suite import read
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance
from tests.support.s3.checksums import crc64nvme, write_checksum
from tests.support.s3_places import make_bucket, make_client, make_place
from tests.support.s3_server import S3Server

SMALL = b"bytes of an object"
LARGE = bytes(range(251)) * (18 << 20 >> 8)
"""Longer than what is held in memory."""
ODD = "a//b"  # a key that the fast client cannot name


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)


def open_whole(bucket: RemoteBucket, key: str) -> tuple[bytes, RemoteObject]:
    """Its bytes, and what it knows afterwards."""
    with bucket.open(key) as opened:
        assert isinstance(opened, RemoteObject)
        return b"".join(opened.chunks()), opened


# Requests -------------------------------------------------------------------------------------------------------------


def test_a_small_object_of_a_listing_costs_one_request(bucket: RemoteBucket, s3: S3Server) -> None:
    bucket.put("a", [SMALL])
    (found,) = bucket.list()
    s3.reset_counts()
    with bucket.open_found(found) as opened:
        assert opened.read_at(3, 5) == SMALL[3:8]
        assert b"".join(opened.chunks()) == SMALL
    assert s3.requests.operations == {"GetObject": 1}


def test_the_header_of_a_long_object_costs_one_request(bucket: RemoteBucket, s3: S3Server) -> None:
    bucket.put("a", [LARGE])
    (found,) = bucket.list()
    s3.reset_counts()
    with bucket.open_found(found) as opened:
        assert opened.read_at(0, 1000) == LARGE[:1000]
        assert opened.read_at(1000, 200_000) == LARGE[1000:201_000]
    assert s3.requests.operations == {"GetObject": 1}
    assert s3.requests.bytes_out < 1 << 20


@pytest.mark.parametrize("key", ["a", ODD])
@pytest.mark.parametrize("kind", ["reset in body", "closed in body", "short body"])
def test_a_read_goes_on_from_the_byte_where_it_was_cut(bucket: RemoteBucket, s3: S3Server, key: str, kind: str) -> None:
    """More often than one request is tried: each time it came further."""
    bucket.put(key, [LARGE])
    s3.reset_counts()
    with bucket.open(key) as opened, s3.fail(kind, methods=["GetObject"], times=9) as rule:
        assert b"".join(opened.chunks()) == LARGE
        assert rule.failed == 9
    assert s3.requests.bytes_out < 2.2 * len(LARGE)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("key", ["a", ODD])
@pytest.mark.parametrize("data", [SMALL * 50_000, LARGE], ids=["held", "long"])
def test_a_read_that_is_cut_after_each_byte_ends(
    bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch, key: str, data: bytes
) -> None:
    bucket.put(key, [data])
    (found,) = bucket.list()
    get, asked = bucket.client.provider.get, []

    def cut(key: str, tag: str, offset: int, length: int) -> Got:
        asked.append(offset)
        return get(key, tag, offset, 1)

    monkeypatch.setattr(bucket.client.provider, "get", cut)
    with pytest.raises(Unavailable, match=r"was cut 5 times.*; 5 of \d+ bytes came"):
        bucket.open_found(found)
    assert asked == [0, 1, 2, 3, 4]


def test_a_read_that_goes_on_slowly_ends_well(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut after little is forgotten once much has come."""
    data, sizes = SMALL * 50_000, [1, LEAST_PROGRESS, 1, 1, LEAST_PROGRESS, 1, 1, 1, LEAST_PROGRESS, 1]
    bucket.put("a", [data])
    get = bucket.client.provider.get

    def cut(key: str, tag: str, offset: int, length: int) -> Got:
        return get(key, tag, offset, min(length, sizes.pop(0)) if sizes else length)

    monkeypatch.setattr(bucket.client.provider, "get", cut)
    assert read(bucket, "a") == data
    assert not sizes


@pytest.mark.slow
def test_silence_is_an_error_and_not_the_time_that_a_read_takes(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_clients, "_SILENT_SECONDS", 1)
    bucket = make_bucket(s3)
    bucket.put("a", [LARGE])
    for kind in ("stall", "stall in body"):
        with s3.fail(kind, methods=["GetObject"], times=1, seconds=20) as rule:
            assert read(bucket, "a") == LARGE
            assert rule.failed == 1


@pytest.mark.parametrize("key", ["a", ODD])
def test_of_an_answer_that_is_too_long_no_more_is_read(key: str) -> None:
    """Whatever the server says before."""
    asked, sent = 2 << 20, [0]
    head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {asked << 6}\r\n"
    head += f"Content-Range: bytes 0-{asked - 1}/{asked}\r\n"
    head += 'ETag: "x"\r\nLast-Modified: Fri, 27 Nov 2026 02:00:00 GMT\r\n\r\n'
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(head.encode())
                for _ in range(64):
                    connection.sendall(bytes(asked))
                    sent[0] += asked

        thread = threading.Thread(target=serve)
        thread.start()
        place = make_place(f"http://127.0.0.1:{listening.getsockname()[1]}", "b")
        with pytest.raises(Unavailable, match=f"bytes came where {asked} were asked for"):
            RemoteBucket(place).client.provider.get(key, "", 0, asked)
        thread.join()
    assert sent[0] < 16 << 20, "what the two ends hold between them, at most"


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("key", ["a", ODD])
def test_what_was_replaced_is_not_mixed_with_what_was_there(bucket: RemoteBucket, key: str, data: bytes) -> None:
    bucket.put(key, [data])
    (found,) = bucket.list()
    bucket.put(key, [data[::-1]])
    with pytest.raises(Aborted, match="was changed since it was listed"):
        bucket.open_found(found)
    bucket.delete(key)
    with pytest.raises(NotFound):
        bucket.open_found(found)


# Checksums ------------------------------------------------------------------------------------------------------------


def put_with(bucket: RemoteBucket, algorithm: str, data: bytes, in_parts: bool = False) -> None:
    """By another program, whose objects have a checksum; ``in_parts``, so that the ETag is no MD5."""
    client, name = make_client(bucket.place.endpoint), {"Bucket": bucket.place.bucket, "Key": "a"}
    checksum = {f"Checksum{algorithm}": write_checksum(algorithm.lower(), data)}
    if not in_parts:
        client.put_object(**name, Body=data, **checksum)
        return
    kind = {"ChecksumType": "FULL_OBJECT"} if algorithm.startswith("CRC") else {}
    made = client.create_multipart_upload(**name, ChecksumAlgorithm=algorithm, **kind)
    asked = name | {"UploadId": made["UploadId"]}
    part = client.upload_part(**asked, PartNumber=1, Body=data, **checksum)
    client.complete_multipart_upload(**asked, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C"])
def test_an_object_without_an_md5_is_compared_with_its_checksum(
    bucket: RemoteBucket, s3: S3Server, algorithm: str, data: bytes
) -> None:
    put_with(bucket, algorithm, data, in_parts=True)
    assert bucket.head("a").tag.endswith('-1"')
    found, opened = open_whole(bucket, "a")
    assert found == data and not opened.is_unchecked
    with s3.fail("wrong bit", methods=["GetObject"]), pytest.raises(DataLoss, match="their checksum differs"):
        read(bucket, "a")


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "CRC32", "CRC32C"])
@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_with_a_key_of_kms_the_checksum_of_the_object_is_compared(s3: S3Server, algorithm: str, data: bytes) -> None:
    bucket = make_bucket(s3, "kms")
    put_with(bucket, algorithm, data)
    found, opened = open_whole(bucket, "a")
    assert found == data and not opened.is_unchecked
    with s3.fail("wrong bit", methods=["GetObject"]), pytest.raises(DataLoss, match="their checksum differs"):
        read(bucket, "a")


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_what_has_no_checksum_is_read_and_said_to_be_unchecked(s3: S3Server, data: bytes) -> None:
    bucket = make_bucket(s3, "kms")
    bucket.put("a", [data])
    found, opened = open_whole(bucket, "a")
    assert found == data and opened.is_unchecked


def put_parts(bucket: RemoteBucket, parts: list[bytes], algorithm: str = "") -> None:
    """By another program; its checksum is one of those of the parts."""
    client, name = make_client(bucket.place.endpoint), {"Bucket": bucket.place.bucket, "Key": "a"}
    more: dict[str, Any] = {"ChecksumAlgorithm": algorithm, "ChecksumType": "COMPOSITE"} if algorithm else {}
    made = client.create_multipart_upload(**name, **more)
    asked, tags = name | {"UploadId": made["UploadId"]}, []
    for number, data in enumerate(parts, 1):
        checksum = {f"Checksum{algorithm}": write_checksum(algorithm.lower(), data)} if algorithm else {}
        tag = client.upload_part(**asked, PartNumber=number, Body=data, **checksum)["ETag"]
        tags.append({"PartNumber": number, "ETag": tag})
    client.complete_multipart_upload(**asked, MultipartUpload={"Parts": tags})


def cut(data: bytes, *sizes: int) -> list[bytes]:
    """Parts of these megabytes, and what is left."""
    stream = io.BytesIO(data)
    return [*(stream.read(size << 20) for size in sizes), stream.read()]


HELD = LARGE[: 7 << 20]
PARTS = {
    "one": [SMALL],
    "two, held": cut(HELD, 5),
    "three": cut(LARGE, 7, 7),
    "a whole last one": cut(LARGE[: 10 << 20], 5),
    "of windows": cut(LARGE, 8, 8),
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize(
    ("prefix", "algorithm"),
    [("b", ""), ("b", "CRC32C"), ("b", "SHA256"), ("kms", "CRC32"), ("kms", "SHA1")],
    ids=["etag", "crc32c", "sha256", "kms crc32", "kms sha1"],
)
def test_a_checksum_of_the_checksums_of_parts_is_compared(
    s3: S3Server, parts: list[bytes], prefix: str, algorithm: str
) -> None:
    """With a key of KMS the ETag is none."""
    bucket = make_bucket(s3, prefix)
    put_parts(bucket, parts, algorithm)
    found, opened = open_whole(bucket, "a")
    assert found == b"".join(parts) and not opened.is_unchecked
    with s3.fail("wrong bit", methods=["GetObject"]), pytest.raises(DataLoss, match="their checksum differs"):
        read(bucket, "a")


def test_what_parts_cost_is_one_request_more(bucket: RemoteBucket, s3: S3Server) -> None:
    put_parts(bucket, PARTS["three"])
    (found,) = bucket.list()
    s3.reset_counts()
    with bucket.open_found(found) as opened:
        assert b"".join(opened.chunks()) == LARGE
    assert s3.requests.operations == {"GetObject": 4, "HeadObject": 2}


@pytest.mark.parametrize("parts", [cut(LARGE, 5, 6), cut(LARGE, 6, 5), cut(LARGE, 6, 5, 6)])
def test_parts_of_different_sizes_say_nothing_of_the_bytes(bucket: RemoteBucket, parts: list[bytes]) -> None:
    put_parts(bucket, parts)
    found, opened = open_whole(bucket, "a")
    assert found == LARGE and opened.is_unchecked


@pytest.mark.parametrize("kind", ["400 InvalidRequest", "501 NotImplemented", "none"])
def test_parts_that_a_server_does_not_tell_say_nothing_of_the_bytes(
    bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put_parts(bucket, PARTS["two, held"])
    provider: Any = bucket.client.provider
    if kind == "none":  # it does not know the parameter, and answers for the whole object
        head = provider._head
        monkeypatch.setattr(provider, "_head", lambda key, more: head(key, {}))
    with s3.fail(kind, methods=["HeadObject"], after=2) if kind != "none" else nullcontext():
        found, opened = open_whole(bucket, "a")
    assert found == HELD and opened.is_unchecked


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_an_md5_is_compared(bucket: RemoteBucket, s3: S3Server, data: bytes) -> None:
    s3.put(bucket.place.bucket, {"a": data})
    found, opened = open_whole(bucket, "a")
    assert found == data and not opened.is_unchecked
    with s3.fail("wrong bit", methods=["GetObject"]), pytest.raises(DataLoss, match="their checksum differs"):
        read(bucket, "a")


def test_a_small_object_that_came_with_a_wrong_bit_is_read_again(bucket: RemoteBucket, s3: S3Server) -> None:
    bucket.put("a", [SMALL])
    with s3.fail("wrong bit", methods=["GetObject"], times=1) as rule:
        assert read(bucket, "a") == SMALL
        assert rule.failed == 1


class _Library(ModuleType):
    """``awscrt.checksums``, as far as it is used."""

    crc64nvme: Any


def test_crc64nvme_is_compared_where_its_library_is(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = make_bucket(s3, "kms")
    put_with(bucket, "CRC64NVME", SMALL, in_parts=True)
    checking._list_algorithms.cache_clear()
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    assert open_whole(bucket, "a")[1].is_unchecked
    library = _Library("awscrt.checksums")
    library.crc64nvme = lambda data, before: crc64nvme(data) if before == 0 else pytest.fail("in one piece")
    monkeypatch.setitem(sys.modules, "awscrt.checksums", library)
    checking._list_algorithms.cache_clear()
    try:
        assert not open_whole(bucket, "a")[1].is_unchecked
        with s3.fail("wrong bit", methods=["GetObject"]), pytest.raises(DataLoss):
            read(bucket, "a")
    finally:
        checking._list_algorithms.cache_clear()
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888  # the check value of CRC-64/NVME


# Content-Encoding -----------------------------------------------------------------------------------------------------


def put_packed(bucket: RemoteBucket, s3: S3Server, data: bytes, key: str = "a") -> None:
    s3.put(bucket.place.bucket, {key: data}, {"Content-Encoding": "gzip"})


def noise(size: int) -> bytes:
    """What gzip cannot make shorter."""
    import random

    return random.Random(1).randbytes(size)


@pytest.mark.parametrize("key", ["a", ODD])
@pytest.mark.parametrize("size", [0, 1, 100_000, HELD_BYTES + 1000, 3 * HELD_BYTES])
def test_a_packed_object_is_read_unpacked(bucket: RemoteBucket, s3: S3Server, key: str, size: int) -> None:
    data = noise(size)
    put_packed(bucket, s3, gzip.compress(data, 0), key)
    found, opened = open_whole(bucket, key)
    assert found == data
    assert opened.size == size and opened.is_unpacked and not opened.is_unchecked
    with bucket.open(key) as again:
        assert again.read_at(0, 10) == data[:10]
        assert again.read_at(max(size - 5, 0), 100) == data[-5:]
        assert again.read_at(size, 10) == b""


def test_all_members_are_unpacked_and_padding_is_none(bucket: RemoteBucket, s3: S3Server) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + bytes(512)
    put_packed(bucket, s3, packed)
    assert read(bucket, "a") == b"one two"


@pytest.mark.parametrize("data", [b"", b"plain bytes", b"\x1f"])
def test_what_says_gzip_and_is_none_is_read_as_it_is(bucket: RemoteBucket, s3: S3Server, data: bytes) -> None:
    """As some programs leave the header where they have unpacked the object."""
    put_packed(bucket, s3, data)
    found, opened = open_whole(bucket, "a")
    assert found == data and not opened.is_unpacked


def test_packed_bytes_without_the_header_are_read_as_they_are(bucket: RemoteBucket, s3: S3Server) -> None:
    packed = gzip.compress(SMALL)
    bucket.put("a", [packed])
    assert read(bucket, "a") == packed


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(SMALL)[:-1],
        gzip.compress(SMALL)[:5],
        gzip.compress(SMALL)[:-5] + b"12345",
        gzip.compress(SMALL) + b"rest",
        b"\x1f\x8bnot gzip at all",
        gzip.compress(b"") * 2000,
    ],
    ids=["cut", "cut in its header", "wrong checksum", "something behind", "no gzip", "too many members"],
)
def test_what_cannot_be_unpacked_is_lost(bucket: RemoteBucket, s3: S3Server, packed: bytes) -> None:
    put_packed(bucket, s3, packed)
    with pytest.raises(DataLoss, match="cannot be unpacked"):
        read(bucket, "a")


def test_what_unpacks_to_too_much_is_refused(
    bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MOST_UNPACKED", 1 << 20)
    put_packed(bucket, s3, gzip.compress(bytes(1 << 20)))
    assert len(read(bucket, "a")) == 1 << 20
    put_packed(bucket, s3, gzip.compress(bytes((1 << 20) + 1)))
    with pytest.raises(FailedPrecondition, match="more than 1048576 bytes"):
        read(bucket, "a")


def test_pieces_that_are_unpacked_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = list(unpacking._unpack_members([gzip.compress(bytes(64 << 20))]))
    assert sum(map(len, pieces)) == 64 << 20 and max(map(len, pieces)) <= 1 << 20


def test_what_the_disk_of_temporary_files_cannot_hold_fails_alone(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for room: the next attempt would meet the same object. Room is left for others."""
    looked_at: list[bytes] = []

    class Little:
        def __init__(self, root: bytes) -> None:
            looked_at.append(root)
            self.left = 15 << 20

        def take(self, size: int) -> None:
            self.left -= size
            if self.left < 0:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking, "Room", Little)
    for number, size in enumerate((100, 10 << 20, 18 << 20, 1000)):
        data = make_instance("1.2", "1.2.3", f"1.2.3.{number}", pixel_bytes=bytes(size))
        put_packed(bucket, s3, gzip.compress(data, 1), f"{number}.dcm")
    outcomes = import_all(bucket, tmp_path)
    assert [isinstance(each, Instance) for each in outcomes] == [True, True, False, True]
    failed = outcomes[2]
    assert isinstance(failed, Failure) and failed.status.code == 8 and "no room" in failed.status.message
    assert str(tmp_path) not in failed.status.message
    assert looked_at == [tempfile.gettempdir().encode()] * 3, "what is small is held in memory; one is tried twice"


def test_a_disk_of_temporary_files_that_is_full_is_an_error_of_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda held: Full())
    with pytest.raises(ResourceExhausted, match="no room") as caught:
        unpacking.unpack(lambda: (each for each in [gzip.compress(SMALL)]), 10)
    assert caught.value.waits_for is None


def test_two_processes_that_have_no_room_beside_each_other_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a lock of its own, as two threads have here; the disk has room for one of the two."""
    free, waits = [15 << 20], threading.Event()

    class Shared:
        def __init__(self, root: bytes) -> None:
            """All look at the same disk."""

        def take(self, size: int) -> None:
            if free[0] < size:
                raise OSError(28, "No space left on device")
            free[0] -= size

    def note(seconds: float, check: object) -> None:
        waits.set()
        time.sleep(0.01)

    monkeypatch.setattr(unpacking, "Room", Shared)
    monkeypatch.setattr(unpacking_turns, "wait", note)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    packed = gzip.compress(bytes(10 << 20), 1)
    first = unpacking.unpack(lambda: (each for each in [packed]), HELD_BYTES)
    found: list[object] = []

    def try_second() -> None:
        try:
            found.append(unpacking.unpack(lambda: (each for each in [packed]), HELD_BYTES).size)
        except StatusError as error:
            found.append(error)

    second = threading.Thread(target=try_second)
    second.start()
    assert waits.wait(30) and found == []
    free[0] = 15 << 20
    first.close()
    second.join(30)
    assert found == [10 << 20]


def test_who_waits_for_others_that_never_end_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(unpacking_turns, "WAIT_SECONDS", 0.1)
    first, second = Turn(), Turn()
    first.begin()
    second.begin()
    assert not second.wait_alone()
    second.begin()
    first.end()
    third = Turn()
    assert not third.wait_alone(), "it has not begun"
    third.begin()
    second.end()
    assert third.wait_alone() and not third.wait_alone()
    fourth = Turn()
    fourth.begin()
    for each in (third, fourth):
        each.end()


def test_of_many_packed_objects_one_at_a_time_is_unpacked(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are opened ahead, so that as many as there may be requests would lie unpacked on the disk."""
    opened, most = WeakSet[Any](), 0
    make = tempfile.SpooledTemporaryFile

    def note(held: int) -> Any:
        nonlocal most
        file = make(held)
        opened.add(file)
        most = max(most, sum(not each.closed for each in opened))
        return file

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", note)
    for number in range(8):
        data = make_instance("1.2", "1.2.3", f"1.2.3.{number}", pixel_bytes=bytes(2 << 20))
        put_packed(bucket, s3, gzip.compress(data, 1), f"{number}.dcm")
    assert all(isinstance(each, Instance) for each in import_all(bucket, tmp_path))
    assert most == 1


@pytest.mark.parametrize("where", ["magic", "first window", "last window"])
def test_a_long_packed_object_that_came_with_a_wrong_bit_is_read_a_second_time(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    data = make_instance(pixel_bytes=noise(18 << 20))
    put_packed(bucket, s3, gzip.compress(data, 0))
    spoil_once(bucket, monkeypatch, *{"magic": (0, 0), "first window": (1, 1000), "last window": (3, 1000)}[where])
    (outcome,) = import_all(bucket, tmp_path)
    assert isinstance(outcome, Instance), outcome
    assert outcome.size == len(data)


def spoil_once(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, number: int, at: int) -> None:
    """One byte of the answer to one request (0: the header; then the windows, in their order)."""
    get, left = bucket.client.provider.get, [(0, HEAD_BYTES) if not number else ((number - 1) * WINDOW_BYTES, 0)]

    def spoil(key: str, tag: str, offset: int, length: int) -> Got:
        got: Got = get(key, tag, offset, length)
        if left and offset == left[0][0] and (length == HEAD_BYTES) == (number == 0):
            left.clear()
            got = got._replace(data=got.data[:at] + bytes([got.data[at] ^ 1]) + got.data[at + 1 :])
        return got

    monkeypatch.setattr(bucket.client.provider, "get", spoil)


def test_nothing_of_an_unpacked_object_is_left(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put_packed(bucket, s3, gzip.compress(noise(HELD_BYTES + 1), 0))
    read(bucket, "a")
    assert list(tmp_path.iterdir()) == []


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", ODD])
@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("403 AccessDenied", 7, "does not have s3:GetObject on bucket s3://"),
        ("403 InvalidObjectState", 9, "is archived"),
        ("404 NoSuchKey", 5, "no object of this name"),
        ("500 InternalError", 14, "InternalError: We encountered"),
        ("503 SlowDown", 14, "SlowDown: Please reduce"),
        ("404 NoSuchBucket", 14, "is not there any more"),
        ("403 InvalidAccessKeyId", 14, "credentials (key AKIA…0000) are refused"),
        ("400 ExpiredToken", 14, "are refused: ExpiredToken"),
    ],
)
def test_errors_are_the_same_from_both_clients(
    bucket: RemoteBucket, s3: S3Server, key: str, kind: str, code: int, words: str
) -> None:
    bucket.put(key, [SMALL])
    (found,) = bucket.list()
    with s3.fail(kind, methods=["GetObject"]), pytest.raises(StatusError) as caught:
        bucket.open_found(found)
    assert caught.value.code == code and words in caught.value.message, caught.value.message
    for secret in ("http", "127.0.0.1", "Signature", "a-secret", bucket.place.access_key_id):
        assert secret not in caught.value.message


@pytest.fixture
def closed() -> Iterator[RemoteBucket]:
    """At an address where nobody listens."""
    with S3Server() as server:
        bucket = make_bucket(server)
    yield bucket


@pytest.mark.parametrize("key", ["a", ODD])
def test_an_address_where_nobody_listens(closed: RemoteBucket, key: str) -> None:
    with pytest.raises(Unavailable, match="could not do it: no answer came") as caught:
        closed.open_found(ObjectMeta(key, 10))
    assert "127.0.0.1" not in caught.value.message


def test_a_server_that_ignores_where_to_begin_gives_no_bytes_of_another_place(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(ODD, [LARGE])
    provider: Any = bucket.client.provider
    get = provider._client.get_object

    def ignore(**asked: Any) -> Any:
        found = get(**{key: value for key, value in asked.items() if key != "Range"})
        found["Body"] = _Cut(found["Body"].read()[:100])
        return found

    monkeypatch.setattr(provider._client, "get_object", ignore)
    with pytest.raises(Unavailable, match="other bytes"):
        bucket.open(ODD)


class _Cut(io.BytesIO):
    """A body that ends too early."""

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield self.read(size)


# An import of what is longer than what is held ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "times", "requests"),
    [(0, 1, "the header"), (1, 1, "a window"), (0, 2, "both")],
    ids=["header", "window", "header and window"],
)
def test_a_long_object_that_came_with_a_wrong_bit_is_read_a_second_time(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path, after: int, times: int, requests: str
) -> None:
    data = make_instance(pixel_bytes=LARGE)
    s3.put(bucket.place.bucket, {"a": data})
    (tmp_path / "blobs").mkdir()
    blobs = LocalBlobs(str(tmp_path / "blobs"))
    (found,) = bucket.list()
    with s3.fail("wrong bit", methods=["GetObject"], after=after, times=times) as rule:
        ((outcome, size, is_unchecked),) = import_batch(bucket, blobs, found)
        assert rule.failed == times, requests
    assert isinstance(outcome, Instance), outcome
    assert (size, is_unchecked) == (len(data), False), "once, though it came twice"
    with blobs.open(outcome.blob_key) as opened:
        assert b"".join(opened.chunks()) == data
    assert len(find_blobs(tmp_path / "blobs")) == 1


def test_a_long_object_that_comes_with_a_wrong_bit_each_time_is_a_failure(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path
) -> None:
    s3.put(bucket.place.bucket, {"a": make_instance(pixel_bytes=LARGE)})
    (tmp_path / "blobs").mkdir()
    (found,) = bucket.list()
    with s3.fail("wrong bit", methods=["GetObject"], after=1):
        ((outcome, size, _),) = import_batch(bucket, LocalBlobs(str(tmp_path / "blobs")), found)
    assert size == 0 and isinstance(outcome, Failure) and "checksum differs" in outcome.status.message
    assert find_blobs(tmp_path / "blobs") == {}


@pytest.mark.parametrize("at", [128, 132, 140, 400], ids=["DICM", "tag", "length", "element"])
def test_a_long_object_whose_header_was_spoilt_on_its_way_is_read_a_second_time(
    bucket: RemoteBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """It may look as if it were no DICOM at all."""
    data = make_instance(pixel_bytes=LARGE)
    bucket.put("a", [data])
    spoil_once(bucket, monkeypatch, 0, at)
    (outcome,) = import_all(bucket, tmp_path)
    assert isinstance(outcome, Instance), outcome
    with LocalBlobs(str(tmp_path / "blobs")).open(outcome.blob_key) as opened:
        assert b"".join(opened.chunks()) == data


def test_a_long_object_that_is_no_dicom_is_a_failure_and_its_header_is_read_twice(
    bucket: RemoteBucket, s3: S3Server, tmp_path: Path
) -> None:
    bucket.put("a", [LARGE])
    s3.reset_counts()
    (outcome,) = import_all(bucket, tmp_path)
    assert isinstance(outcome, Failure) and outcome.status.code == 3, outcome
    assert s3.requests.bytes_out < 1 << 20


def import_all(bucket: RemoteBucket, tmp_path: Path) -> list[Instance | Failure]:
    (tmp_path / "blobs").mkdir()
    blobs = LocalBlobs(str(tmp_path / "blobs"))
    found = ingest_batch(
        list(bucket.list()),
        source=bucket,
        source_uri="s3://b/",
        blobs=blobs,
        blob_prefix="main/1/2",
        storage_class="STANDARD",
    )
    return [each[0] for each in found]


def import_batch(bucket: RemoteBucket, blobs: LocalBlobs, found: ObjectMeta) -> list[Ingested]:
    return ingest_batch(
        [found], source=bucket, source_uri="s3://b/", blobs=blobs, blob_prefix="main/1/2", storage_class="STANDARD"
    )
