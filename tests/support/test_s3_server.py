"""The S3 server of the tests, by way of two clients that are not ours: boto3 and obstore."""

from __future__ import annotations

import hashlib
import http.client
import io
import socket
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_from_bytes

import obstore
import pytest
from boto3.s3.transfer import TransferConfig

from tests.support.s3.bodies import decode_chunks, write_md5
from tests.support.s3.checksums import crc64nvme
from tests.support.s3.errors import S3Error
from tests.support.s3_clients import code_of, connect, keys_of, open_store, raw, refusal
from tests.support.s3_server import S3Server

MIB = 2**20
KEYS = (
    "a b",
    "a+b",
    "a%2Fb",
    "a//b",
    "./../a",
    "/a",
    "a/",
    "é",
    "e\u0301",
    "日本",
    "<&>\"'",
    "a\nb",
    "\U0001f600~*'()!",
)


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server(("in", "out")) as server:
        yield server


@pytest.fixture
def server(running: S3Server) -> Iterator[S3Server]:
    """Empty, and without counts."""
    yield running
    client = connect(running)
    for bucket in ("in", "out"):
        for entry in keys_of(client, bucket=bucket):
            client.delete_object(Bucket=bucket, Key=entry)
    running.reset_counts()


def test_a_key_keeps_every_character(server: S3Server) -> None:
    client = connect(server)
    for key in KEYS:
        client.put_object(Bucket="in", Key=key, Body=key.encode())
    assert keys_of(client) == sorted(KEYS, key=str.encode)
    for key in KEYS:
        assert client.get_object(Bucket="in", Key=key)["Body"].read() == key.encode()
        assert client.head_object(Bucket="in", Key=key)["ContentLength"] == len(key.encode())


def test_a_key_may_be_bytes_that_are_no_text(server: S3Server) -> None:
    path = "/in/" + quote_from_bytes(b"\xff\xfe\x00")
    assert raw(server, "PUT", path, b"data")[0] == 200
    assert raw(server, "GET", path)[2] == b"data"
    assert b"<Key>%FF%FE%00</Key>" in raw(server, "GET", "/in?list-type=2&encoding-type=url")[2]
    assert b"<Key>\xff\xfe&#x0;</Key>" in raw(server, "GET", "/in?list-type=2")[2]
    assert raw(server, "DELETE", path)[0] == 204


def test_obstore_stores_lists_copies_and_deletes(server: S3Server) -> None:
    store = open_store(server)
    for key in ("a/1", "a/2", "b/1"):
        obstore.put(store, key, key.encode())
    assert bytes(obstore.get(store, "a/2").bytes()) == b"a/2"
    assert bytes(obstore.get_range(store, "a/2", start=1, end=3)) == b"/2"
    assert obstore.head(store, "b/1")["size"] == 3
    assert obstore.list_with_delimiter(store, "")["common_prefixes"] == ["a", "b"]
    obstore.copy(store, "a/1", "c/1")
    obstore.delete(store, ["a/1", "a/2"])
    assert [entry["path"] for page in obstore.list(store) for entry in page] == ["b/1", "c/1"]
    assert [entry["path"] for page in obstore.list(store, offset="b/1") for entry in page] == ["c/1"]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_of_any_size_hold_every_key_once(server: S3Server, limit: int) -> None:
    names = ["a", "a-", "a/1", "a/2", "a0", "b/x/1", "b/x/2", "c"]
    server.put("in", dict.fromkeys(names, b""))
    client = connect(server)
    assert keys_of(client, PaginationConfig={"PageSize": limit}) == names
    assert keys_of(client, Prefix="a/", PaginationConfig={"PageSize": limit}) == ["a/1", "a/2"]
    assert keys_of(client, StartAfter="a/1", PaginationConfig={"PageSize": limit}) == names[3:]
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket="in", Delimiter="/", PaginationConfig={"PageSize": limit}
    )
    entries = [(entry.get("Key"), entry.get("Prefix")) for page in pages for entry in both(page)]
    assert entries == [("a", None), ("a-", None), (None, "a/"), ("a0", None), (None, "b/"), ("c", None)]


def both(page: dict[str, Any]) -> list[dict[str, str]]:
    found = page.get("Contents", []) + page.get("CommonPrefixes", [])
    return sorted(found, key=lambda entry: entry.get("Key") or entry["Prefix"])


def test_a_listing_says_what_was_asked_and_how_much_came(server: S3Server) -> None:
    server.put("in", dict.fromkeys("abc", b""))
    client = connect(server)
    page = client.list_objects_v2(Bucket="in", MaxKeys=2, StartAfter="A")
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"], page["StartAfter"]) == (2, 2, True, "A")
    page = client.list_objects_v2(Bucket="in", MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    assert refusal(client.list_objects_v2, Bucket="in", ContinuationToken="no!") == (400, "InvalidArgument")
    assert refusal(client.list_objects_v2, Bucket="gone") == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    ("asked", "status", "content", "data"),
    [
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-3", 206, "bytes 7-9/10", b"789"),
        ("bytes=-30", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=8-99", 206, "bytes 8-9/10", b"89"),
        ("bytes=0-1,4-5", 200, None, b"0123456789"),
        ("bytes=5-2", 200, None, b"0123456789"),
        ("items=1-2", 200, None, b"0123456789"),
    ],
)
def test_a_range_is_part_of_the_object(
    server: S3Server, asked: str, status: int, content: str | None, data: bytes
) -> None:
    server.put("in", {"k": b"0123456789"})
    found, headers, body = raw(server, "GET", "/in/k", Range=asked)
    assert (found, headers.get("content-range"), body) == (status, content, data)
    found, headers, body = raw(server, "HEAD", "/in/k", Range=asked)
    assert (found, headers["content-length"], body) == (status, str(len(data)), b"")


@pytest.mark.parametrize(("asked", "data"), [("bytes=10-", b"0123456789"), ("bytes=-0", b"0"), ("bytes=0-", b"")])
def test_a_range_outside_of_the_object_is_416(server: S3Server, asked: str, data: bytes) -> None:
    server.put("in", {"k": data})
    status, _, body = raw(server, "GET", "/in/k", Range=asked)
    assert (status, code_of(body)) == (416, "InvalidRange")


def test_conditions_of_reading(server: S3Server) -> None:
    client = connect(server)
    etag = client.put_object(Bucket="in", Key="k", Body=b"data")["ETag"]
    assert etag == f'"{hashlib.md5(b"data").hexdigest()}"'  # noqa: S324
    assert client.get_object(Bucket="in", Key="k", IfMatch=etag)["Body"].read() == b"data"
    assert refusal(client.get_object, Bucket="in", Key="k", IfMatch='"other"') == (412, "PreconditionFailed")
    assert refusal(client.get_object, Bucket="in", Key="k", IfNoneMatch=etag)[0] == 304
    assert refusal(client.head_object, Bucket="in", Key="k", IfMatch='"other"')[0] == 412
    modified = client.head_object(Bucket="in", Key="k")["LastModified"]
    assert refusal(client.get_object, Bucket="in", Key="k", IfModifiedSince=modified)[0] == 304
    assert client.get_object(Bucket="in", Key="k", IfUnmodifiedSince=modified)["Body"].read() == b"data"


def test_conditions_of_writing(server: S3Server) -> None:
    client = connect(server)
    etag = client.put_object(Bucket="in", Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(client.put_object, Bucket="in", Key="k", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refusal(client.put_object, Bucket="in", Key="k", Body=b"2", IfMatch='"x"') == (412, "PreconditionFailed")
    client.put_object(Bucket="in", Key="k", Body=b"2", IfMatch=etag)
    assert client.get_object(Bucket="in", Key="k")["Body"].read() == b"2"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_is_checked_stored_and_given_back(server: S3Server, algorithm: str) -> None:
    client = connect(server)
    name = f"Checksum{algorithm}"
    stored = client.put_object(Bucket="in", Key="k", Body=b"data", ChecksumAlgorithm=algorithm)[name]
    assert client.head_object(Bucket="in", Key="k", ChecksumMode="ENABLED")[name] == stored
    assert client.get_object(Bucket="in", Key="k", ChecksumMode="ENABLED")["Body"].read() == b"data"
    headers = raw(server, "GET", "/in/k")[1]
    assert not [header for header in headers if header.startswith("x-amz-checksum")]
    assert refusal(client.put_object, Bucket="in", Key="k", Body=b"other", **{name: stored}) == (400, "BadDigest")


@pytest.mark.parametrize(
    ("name", "value"), [("crc32c", "4waSgw=="), ("crc64nvme", "rosUhgp5mIg="), ("crc32", "y/Q5Jg==")]
)
def test_a_checksum_is_that_of_its_standard(server: S3Server, name: str, value: str) -> None:
    header = {f"x-amz-checksum-{name}": value}
    assert raw(server, "PUT", "/in/k", b"123456789", **header)[0] == 200
    status, _, body = raw(server, "PUT", "/in/k", b"123456780", **header)
    assert (status, code_of(body)) == (400, "BadDigest")


def test_crc64nvme_has_its_published_check_value() -> None:
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888


def test_md5_and_sha256_of_a_body_are_checked(server: S3Server) -> None:
    assert raw(server, "PUT", "/in/k", b"data", Content_MD5=write_md5(b"data"))[0] == 200
    assert code_of(raw(server, "PUT", "/in/k", b"data", Content_MD5=write_md5(b"else"))[2]) == "BadDigest"
    assert code_of(raw(server, "PUT", "/in/k", b"data", Content_MD5="x")[2]) == "InvalidDigest"
    digest = hashlib.sha256(b"else").hexdigest()
    assert code_of(raw(server, "PUT", "/in/k", b"data", x_amz_content_sha256=digest)[2]) == "XAmzContentSHA256Mismatch"


CRC32 = "x-amz-checksum-crc32"
CHUNKED = b"5;chunk-signature=0\r\nfirst\r\n6\r\nsecond\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n"


def send_chunked(
    server: S3Server, checksum: bytes, length: int = 11, trailer: str = CRC32
) -> tuple[int, dict[str, str], bytes]:
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": trailer}
    headers |= {"content-encoding": "aws-chunked,gzip", "x-amz-decoded-content-length": str(length)}
    return raw(server, "PUT", "/in/k", CHUNKED % checksum, **headers)


def test_an_aws_chunked_body_is_decoded_and_its_trailer_checked(server: S3Server) -> None:
    good = b64encode(zlib.crc32(b"firstsecond").to_bytes(4, "big"))
    assert send_chunked(server, good)[0] == 200
    status, headers, body = raw(server, "GET", "/in/k", x_amz_checksum_mode="ENABLED")
    assert (status, body, headers["content-encoding"]) == (200, b"firstsecond", "gzip")
    assert headers["x-amz-checksum-crc32"] == good.decode()
    assert code_of(send_chunked(server, b"AAAAAA==")[2]) == "BadDigest"
    assert code_of(send_chunked(server, good, length=12)[2]) == "IncompleteBody"
    assert code_of(send_chunked(server, good, trailer="x-amz-checksum-sha1")[2]) == "MalformedTrailerError"


@pytest.mark.parametrize("body", [b"", b"5\r\nfir", b"5\r\nfirst", b"x\r\n", b"5\r\nfirst\r\n"])
def test_an_aws_chunked_body_without_its_end_is_incomplete(body: bytes) -> None:
    with pytest.raises(S3Error, match="IncompleteBody"):
        decode_chunks(body)


def test_headers_and_storage_class_are_kept(server: S3Server) -> None:
    client = connect(server)
    named = {"ContentType": "application/dicom", "ContentEncoding": "gzip", "CacheControl": "no-store"}
    client.put_object(Bucket="in", Key="k", Body=b"", StorageClass="STANDARD_IA", Metadata={"a": "1"}, **named)
    for found in (client.get_object(Bucket="in", Key="k"), client.head_object(Bucket="in", Key="k")):
        assert {name: found[name] for name in named} == named
        assert (found["StorageClass"], found["Metadata"]) == ("STANDARD_IA", {"a": "1"})
    assert client.list_objects_v2(Bucket="in")["Contents"][0]["StorageClass"] == "STANDARD_IA"
    wrong = {"Bucket": "in", "Key": "k", "Body": b"", "StorageClass": "COLD"}
    assert refusal(client.put_object, **wrong) == (400, "InvalidStorageClass")


def test_an_archived_object_is_listed_but_not_read(server: S3Server) -> None:
    client = connect(server)
    client.put_object(Bucket="in", Key="k", Body=b"", StorageClass="GLACIER")
    assert client.head_object(Bucket="in", Key="k")["StorageClass"] == "GLACIER"
    assert refusal(client.get_object, Bucket="in", Key="k") == (403, "InvalidObjectState")


def test_a_copy_keeps_or_replaces_what_is_said_of_it(server: S3Server) -> None:
    client = connect(server)
    etag = client.put_object(Bucket="in", Key="a b/é", Body=b"data", ContentType="a/b", Metadata={"x": "1"})["ETag"]
    source = {"Bucket": "in", "Key": "a b/é"}
    found = client.copy_object(Bucket="out", Key="k", CopySource=source, StorageClass="ONEZONE_IA")
    assert found["CopyObjectResult"]["ETag"] == etag
    head = client.head_object(Bucket="out", Key="k")
    assert (head["ContentType"], head["Metadata"], head["StorageClass"]) == ("a/b", {"x": "1"}, "ONEZONE_IA")
    client.copy_object(Bucket="out", Key="k", CopySource=source, MetadataDirective="REPLACE", ContentType="c/d")
    head = client.head_object(Bucket="out", Key="k")
    assert (head["ContentType"], head["Metadata"]) == ("c/d", {})
    other = {"Bucket": "out", "Key": "k", "CopySource": source, "CopySourceIfMatch": '"other"'}
    assert refusal(client.copy_object, **other) == (412, "PreconditionFailed")
    assert refusal(client.copy_object, CopySource=source, **source) == (400, "InvalidRequest")


def test_deletion_of_one_and_of_many(server: S3Server) -> None:
    server.put("in", dict.fromkeys("abcd", b""))
    client = connect(server)
    client.delete_object(Bucket="in", Key="a")
    client.delete_object(Bucket="in", Key="never")
    keys = [{"Key": key} for key in ("b", "<&>", "c")]
    found = client.delete_objects(Bucket="in", Delete={"Objects": keys})
    assert [entry["Key"] for entry in found["Deleted"]] == ["b", "<&>", "c"]
    assert "Deleted" not in client.delete_objects(Bucket="in", Delete={"Objects": keys, "Quiet": True})
    assert keys_of(client) == ["d"]
    asked = b"<Delete><Object><Key>d</Key></Object></Delete>"
    assert code_of(raw(server, "POST", "/in?delete", asked)[2]) == "InvalidRequest"
    for body in (b"<Delete>", b"<Delete/>", b"<Other/>", b"<Delete><Object/></Delete>"):
        assert code_of(raw(server, "POST", "/in?delete", body, Content_MD5=write_md5(body))[2]) == "MalformedXML"
    assert keys_of(client) == ["d"]


def test_an_upload_in_parts_becomes_one_object(server: S3Server) -> None:
    client, data = connect(server), bytes(range(256)) * 4 * 4096 + b"end"
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    for size in (len(data), 12 * MIB):
        body = (data * 4)[:size]
        client.upload_fileobj(io.BytesIO(body), "in", "k", Config=parts, ExtraArgs={"StorageClass": "GLACIER_IR"})
        found = client.get_object(Bucket="in", Key="k", ChecksumMode="ENABLED")
        assert (found["Body"].read() == body, found["StorageClass"]) == (True, "GLACIER_IR")
    digests = b"".join(hashlib.md5(body[at : at + 5 * MIB]).digest() for at in range(0, size, 5 * MIB))  # noqa: S324
    assert found["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'  # noqa: S324
    assert found["ChecksumCRC32"].endswith("-3")
    assert server.requests.operations["UploadPart"] == 3


def test_obstore_uploads_in_parts(server: S3Server) -> None:
    body = b"x" * (11 * MIB)
    obstore.put(open_store(server), "k", body, chunk_size=5 * MIB)
    assert bytes(obstore.get(open_store(server), "k").bytes()) == body
    assert server.requests.operations["UploadPart"] == 3


def test_parts_are_copied_listed_and_given_up(server: S3Server) -> None:
    client = connect(server)
    client.put_object(Bucket="out", Key="source", Body=b"0123456789")
    names = {"Bucket": "in", "Key": "a <b>"}
    names["UploadId"] = client.create_multipart_upload(**names)["UploadId"]
    source = {"CopySource": {"Bucket": "out", "Key": "source"}, "CopySourceRange": "bytes=2-4"}
    etag = client.upload_part_copy(PartNumber=7, **source, **names)["CopyPartResult"]["ETag"]
    assert [(part["PartNumber"], part["Size"]) for part in client.list_parts(**names)["Parts"]] == [(7, 3)]
    assert [entry["Key"] for entry in client.list_multipart_uploads(Bucket="in")["Uploads"]] == ["a <b>"]
    assert keys_of(client) == []
    client.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 7, "ETag": etag}]}, **names)
    assert client.get_object(Bucket="in", Key="a <b>")["Body"].read() == b"234"
    assert refusal(client.abort_multipart_upload, **names) == (404, "NoSuchUpload")
    names["UploadId"] = client.create_multipart_upload(Bucket="in", Key="a <b>")["UploadId"]
    client.abort_multipart_upload(**names)
    assert "Uploads" not in client.list_multipart_uploads(Bucket="in")


def test_an_upload_is_not_completed_with_wrong_parts(server: S3Server) -> None:
    client = connect(server)
    names = {"Bucket": "in", "Key": "k"}
    names["UploadId"] = client.create_multipart_upload(**names)["UploadId"]
    tags = [client.upload_part(PartNumber=number, Body=b"small", **names)["ETag"] for number in (1, 2)]
    parts: list[dict[str, Any]] = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]

    def complete(*chosen: dict[str, Any]) -> str:
        return refusal(client.complete_multipart_upload, MultipartUpload={"Parts": list(chosen)}, **names)[1]

    assert complete(*parts) == "EntityTooSmall"
    assert complete(*reversed(parts)) == "InvalidPartOrder"
    assert complete(parts[0] | {"ETag": '"other"'}) == "InvalidPart"
    assert complete({"PartNumber": 3, "ETag": tags[0]}) == "InvalidPart"
    assert complete() == "MalformedXML"
    path = f"/in/k?uploadId={names['UploadId']}"
    assert code_of(raw(server, "PUT", path, b"")[2]) == "InvalidArgument"
    assert refusal(client.upload_part, PartNumber=10_001, Body=b"", **names)[1] == "InvalidArgument"
    client.abort_multipart_upload(**names)


def test_what_is_not_there_is_404_and_what_is_not_done_501(server: S3Server) -> None:
    client = connect(server)
    assert refusal(client.get_object, Bucket="in", Key="k") == (404, "NoSuchKey")
    assert refusal(client.head_object, Bucket="in", Key="k") == (404, "404")
    assert refusal(client.get_object, Bucket="gone", Key="k") == (404, "NoSuchBucket")
    assert refusal(client.put_object, Bucket="gone", Key="k", Body=b"") == (404, "NoSuchBucket")
    assert refusal(client.head_bucket, Bucket="gone")[0] == 404
    assert refusal(client.get_object_tagging, Bucket="in", Key="k") == (501, "NotImplemented")
    assert refusal(client.list_objects, Bucket="in") == (501, "NotImplemented")
    server.put("in", {"there": b""})
    assert refusal(client.get_object, Bucket="in", Key="there", PartNumber=1) == (501, "NotImplemented")
    assert refusal(client.put_object, Bucket="in", Key="k" * 1025, Body=b"") == (400, "KeyTooLongError")
    client.head_bucket(Bucket="in")


def test_buckets_are_made_and_deleted(server: S3Server) -> None:
    client = connect(server)
    client.create_bucket(Bucket="new")
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["in", "new", "out"]
    assert refusal(client.create_bucket, Bucket="new")[1] == "BucketAlreadyOwnedByYou"
    server.put("new", {"k": b""})
    assert refusal(client.delete_bucket, Bucket="new") == (409, "BucketNotEmpty")
    client.delete_object(Bucket="new", Key="k")
    client.delete_bucket(Bucket="new")
    assert refusal(client.head_bucket, Bucket="new")[0] == 404


def test_only_the_access_key_may_ask() -> None:
    with S3Server(access_key="right") as server:
        connect(server, "right").head_bucket(Bucket="in")
        assert refusal(connect(server, "wrong").list_objects_v2, Bucket="in") == (403, "InvalidAccessKeyId")
        assert code_of(raw(server, "GET", "/in/k")[2]) == "AccessDenied"
        other = connect(server, "wrong", signature_version="s3v4")
        signed = other.generate_presigned_url("get_object", {"Bucket": "in", "Key": "k"})
        assert code_of(raw(server, "GET", signed.removeprefix(server.url))[2]) == "InvalidAccessKeyId"


def test_requests_and_the_bytes_of_bodies_are_counted(server: S3Server) -> None:
    server.reset_counts()
    server.put("in", {"k": b"12345"})
    raw(server, "GET", "/in/k", Range="bytes=0-2")
    raw(server, "HEAD", "/in/k")
    found = server.requests
    assert found.operations == {"PutObject": 1, "GetObject": 1, "HeadObject": 1}
    assert found.methods == {"PUT": 1, "GET": 1, "HEAD": 1}
    assert found.statuses == {200: 2, 206: 1}
    assert (found.bytes_in, found.bytes_out, found.connections) == (5, 3, 3)


def test_requests_on_one_connection_are_answered_in_their_order(server: S3Server) -> None:
    server.put("in", {str(number): bytes([48 + number]) for number in range(5)})
    asked = b"".join(b"GET /in/%d HTTP/1.1\r\nHost: s3\r\n\r\n" % number for number in range(5))
    with server.fail("stall", keys="^1$", seconds=0.2), socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(asked + b"GET /in/none HTTP/1.0\r\n\r\n")
        found = b"".join(iter(lambda: sock.recv(65536), b""))
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in found.split(b"HTTP/1.1 ")[1:]]
    assert bodies[:5] == [b"0", b"1", b"2", b"3", b"4"]
    assert code_of(bodies[5]) == "NoSuchKey"


def test_what_is_no_http_is_400(server: S3Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"no http\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_body_of_http_chunks_is_read(server: S3Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PUT", "/in/" + quote("k"), iter([b"12", b"345"]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert raw(server, "GET", "/in/k")[2] == b"12345"


def test_the_process_ends_with_the_block() -> None:
    with S3Server() as server:
        assert server.process.poll() is None
    assert server.process.poll() is not None


def test_the_process_ends_with_the_one_that_started_it() -> None:
    with S3Server() as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(60) == 0
