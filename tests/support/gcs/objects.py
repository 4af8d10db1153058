"""The operations on objects, by the names of the S3 server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from tests.support.gcs.requests import read_related
from tests.support.gcs.store import Bucket, make_object
from tests.support.s3.checksums import write_checksum
from tests.support.s3.conditions import read_range
from tests.support.s3.errors import S3Error
from tests.support.s3.listing import make_page
from tests.support.s3.messages import Answer, Request
from tests.support.s3.store import Store, StoredObject

JSON = {"Content-Type": "application/json; charset=UTF-8"}
CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")


def answer_json(said: Any, status: int = 200) -> Answer:
    return Answer(status, dict(JSON), json.dumps(said).encode())


def describe(key: bytes, stored: StoredObject) -> dict[str, str]:
    found = {"kind": "storage#object", "name": key.decode(), "size": str(len(stored.data)), "generation": stored.etag}
    found |= {"crc32c": stored.checksums["crc32c"]} if "crc32c" in stored.checksums else {}
    return found | {"storageClass": stored.storage_class}


def list_objects(store: Store, request: Request) -> Answer:
    bucket, query = store.find(request.bucket), dict(request.query)
    query["max-keys"] = query.pop("maxResults", "1000")
    if token := query.pop("pageToken", ""):
        query["continuation-token"] = token
    if offset := request.read_query("startOffset"):
        query["start-after"] = step_back(offset).decode("utf-8", "surrogateescape")
    asked = replace(request, query=query)
    page = make_page(bucket, asked)
    if request.fault is not None:
        page = request.fault.distort_page(page, asked, lambda changed: make_page(bucket, changed))
    said: dict[str, Any] = {"kind": "storage#objects"}
    if page.contents:
        said["items"] = [describe(key, stored) for key, stored in page.contents]
    if page.prefixes:
        said["prefixes"] = [each.decode() for each in page.prefixes]
    if page.token is not None and page.has_token:
        said["nextPageToken"] = page.token
    return answer_json(said)


def step_back(key: bytes) -> bytes:
    """What sorts before the key and behind every other key before it: ``startOffset`` is inclusive."""
    return key[:-1] + (bytes([key[-1] - 1]) + b"\xff" * 8 if key[-1] else b"")


def head_object(store: Store, request: Request) -> Answer:
    return answer_json(describe(request.key, find_version(store, request)))


def get_object(store: Store, request: Request) -> Answer:
    stored = find_version(store, request)
    wanted = read_range(request.headers.get("range"), len(stored.data))
    headers = {**stored.headers, "x-goog-generation": stored.etag}
    headers["x-goog-hash"] = ",".join(f"{name}={value}" for name, value in stored.checksums.items())
    headers["x-goog-stored-content-encoding"] = stored.headers.get("Content-Encoding", "identity")
    if wanted is None:
        return Answer(200, headers, stored.data)
    start, end = wanted
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(stored.data)}"
    return Answer(206, headers, memoryview(stored.data)[start:end])


def find_version(store: Store, request: Request, name: str = "ifGenerationMatch") -> StoredObject:
    stored = store.find(request.bucket).get(request.key)
    if request.query.get(name, stored.etag) != stored.etag:
        raise S3Error("PreconditionFailed")
    return stored


def put_object(store: Store, request: Request) -> Answer:
    """Raises BadDigest for other bytes than their checksum says."""
    about, data = read_related(request)
    return write_object(store, request, about, data)


def write_object(store: Store, request: Request, about: dict[str, str], data: bytes) -> Answer:
    key = require_name(about.get("name", "").encode())
    if about.get("crc32c") not in (None, write_checksum("crc32c", data)):
        raise S3Error("BadDigest")
    if about.get("storageClass", "STANDARD") not in CLASSES:
        raise S3Error("InvalidStorageClass")
    _check_generation(store, request, key)
    encoding = {"Content-Encoding": about["contentEncoding"]} if "contentEncoding" in about else {}
    stored = make_object(data, about.get("storageClass", "STANDARD"), encoding)
    store.find(request.bucket).put(key, stored)
    if request.fault is not None and request.fault.kind == "200 BadDigest":
        stored.checksums["crc32c"] = "AAAAAA=="
    return answer_json(describe(key, stored))


def _check_generation(store: Store, request: Request, key: bytes) -> None:
    """0 is that of what is not there ("Request preconditions", Cloud Storage documentation). Raises
    PreconditionFailed."""
    wanted = request.query.get("ifGenerationMatch")
    stored = store.find(request.bucket).objects.get(key)
    if wanted is not None and wanted != (stored.etag if stored is not None else "0"):
        raise S3Error("PreconditionFailed")


def require_name(key: bytes) -> bytes:
    """ "Object names", Cloud Storage documentation."""
    if not 0 < len(key) <= 1024 or key in (b".", b"..") or b"\r" in key or b"\n" in key:
        raise S3Error("InvalidArgument", "Invalid object name")
    return key


def copy_object(store: Store, request: Request) -> Answer:
    """A rewrite, of which a large object needs several."""
    source = find_version(store, request, "ifSourceGenerationMatch")
    if len(source.data) > 1 << 20 and "rewriteToken" not in request.query:
        return answer_json({"kind": "storage#rewriteResponse", "done": False, "rewriteToken": "more"})
    bucket, _, key = request.headers["target"].partition("/")
    about = {"storageClass": source.storage_class} | json.loads(request.body or b"{}")
    about["name"] = unquote_to_bytes(key).decode()
    answer = write_object(store, replace(request, bucket=unquote(bucket)), about, source.data)
    return answer_json({"kind": "storage#rewriteResponse", "done": True, "resource": json.loads(answer.body)})


def delete_object(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    find_version(store, request)
    bucket.delete(request.key)
    return Answer(204)


def begin_upload(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    assert isinstance(bucket, Bucket)
    about = json.loads(request.body or b"{}")
    require_name(about.get("name", "").encode())
    name = f"u{len(bucket.begun) + 1}-{bucket.next_generation()}"
    bucket.begun[name] = about, bytearray()
    query = f"uploadType=resumable&name={quote(request.key, safe='')}&upload_id={name}"
    return Answer(200, {"Location": f"http://elsewhere.invalid{request.path}?{query}"})


def put_part(store: Store, request: Request) -> Answer:
    bucket, name = store.find(request.bucket), request.query["upload_id"]
    assert isinstance(bucket, Bucket)
    if name in bucket.ended:
        return answer_json(bucket.ended[name])
    if name not in bucket.begun:
        raise S3Error("NoSuchUpload")
    about, taken = bucket.begun[name]
    span, _, total = request.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    if span != "*":
        start = int(span.partition("-")[0])
        if start > len(taken):
            raise S3Error("InvalidRequest")
        taken += request.body[len(taken) - start :]
    if total == "*":
        if len(request.body) % (256 << 10):
            raise S3Error("InvalidRequest", "All parts but the last are multiples of 256 KiB")
        return Answer(308, {"Range": f"bytes=0-{len(taken) - 1}"} if taken else {})
    if int(total) != len(taken):
        raise S3Error("InvalidRequest")
    answer = write_object(store, request, about, bytes(taken))
    del bucket.begun[name]
    bucket.ended[name] = json.loads(answer.body)
    return answer


def drop_upload(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    assert isinstance(bucket, Bucket)
    return Answer(404 if bucket.begun.pop(request.query["upload_id"], None) is None else 499)


OPERATIONS: dict[str, Callable[[Store, Request], Answer]] = {
    "ListObjectsV2": list_objects,
    "HeadObject": head_object,
    "GetObject": get_object,
    "PutObject": put_object,
    "CopyObject": copy_object,
    "DeleteObject": delete_object,
    "CreateMultipartUpload": begin_upload,
    "UploadPart": put_part,
    "AbortMultipartUpload": drop_upload,
}
