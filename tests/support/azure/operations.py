"""The operations of Blob Storage that the product asks for."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from tests.support.azure.pages import list_blobs
from tests.support.s3.bodies import write_md5
from tests.support.s3.buckets import create_bucket
from tests.support.s3.conditions import check_read, check_write, read_range
from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request
from tests.support.s3.store import Bucket, Part, Store, StoredObject, Upload
from tests.support.s3.xml import read_texts

MD5 = "Content-MD5"
HOT, ARCHIVE = "Hot", "Archive"


@dataclass
class Blob(StoredObject):
    """``blocks`` are the committed ones, by their names."""

    blocks: dict[str, bytes] = field(default_factory=dict)


def get_blob(store: Store, request: Request) -> Answer:
    stored = _find(store, request.bucket, request.key)
    if request.method == "GET" and stored.storage_class == ARCHIVE:
        raise S3Error("BlobArchived")
    if not check_read(request.headers, stored):
        return Answer(304)
    size = len(stored.data)
    answer = Answer(200, {**stored.answer_headers, "x-ms-access-tier": stored.storage_class}, stored.data)
    answer.headers.pop("x-amz-storage-class", None)
    if wanted := read_range(request.headers.get("range"), size):
        answer.status, answer.body = 206, memoryview(stored.data)[slice(*wanted)]
        answer.headers["Content-Range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{size}"
        if md5 := answer.headers.pop(MD5, ""):
            answer.headers["x-ms-blob-content-md5"] = md5
    if request.method == "HEAD":
        answer.length, answer.body = len(answer.body), b""
    return answer


def _find(store: Store, bucket: str, key: bytes) -> StoredObject:
    return store.find(bucket).get(key)


def put_blob(store: Store, request: Request) -> Answer:
    bucket, headers = store.find(request.bucket), request.headers
    if headers.get("x-ms-blob-type") != "BlockBlob":
        raise S3Error("InvalidArgument", "An HTTP header that's mandatory for this request is not specified.")
    if headers.get("if-none-match") == "*" and request.key in bucket.objects:
        raise S3Error("BlobAlreadyExists")
    check_write(headers, bucket.objects.get(request.key))
    sent = _check_md5(request)
    md5 = {} if headers.get("x-ms-meta-nomd5") else {MD5: headers.get("x-ms-blob-content-md5", sent)}
    return _put(bucket, request, request.body, md5, {MD5: sent})


def _check_md5(request: Request) -> str:
    found = write_md5(request.body)
    if request.headers.get("content-md5", found) != found:
        raise S3Error("Md5Mismatch")
    return found


def _put(
    bucket: Bucket,
    request: Request,
    data: bytes,
    kept: dict[str, str],
    said: dict[str, str],
    blocks: dict[str, bytes] | None = None,
) -> Answer:
    """Uncommitted blocks of the blob are gone."""
    headers = {name: text for name, text in request.headers.items() if name.startswith("x-ms-meta-")}
    if encoding := request.headers.get("x-ms-blob-content-encoding"):
        headers["Content-Encoding"] = encoding
    etag, tier = f'"0x{secrets.token_hex(8).upper()}"', request.headers.get("x-ms-access-tier", HOT)
    bucket.put(request.key, Blob(data, etag, {**headers, **kept}, tier, blocks=blocks or {}))
    for name in [name for name, each in bucket.uploads.items() if each.key == request.key]:
        del bucket.uploads[name]
    return Answer(201, {"ETag": etag, **said})


def put_block(store: Store, request: Request) -> Answer:
    """One upload holds the uncommitted blocks of a blob; the name of each is its ETag here."""
    bucket, md5 = store.find(request.bucket), _check_md5(request)
    upload = bucket.uploads.setdefault(_name(request), Upload(request.key, {}, HOT, "", "", id=_name(request)))
    upload.parts[len(upload.parts)] = Part(request.body, request.query["blockid"], {})
    return Answer(201, {MD5: md5})


def _name(request: Request) -> str:
    return request.key.decode("utf-8", "replace")


def put_block_list(store: Store, request: Request) -> Answer:
    """``Latest`` finds a block among those that are not committed, then among those that are."""
    _check_md5(request)
    bucket = store.find(request.bucket)
    stored, upload = bucket.objects.get(request.key), bucket.uploads.get(_name(request))
    known = dict(stored.blocks) if isinstance(stored, Blob) else {}
    known |= {part.etag: part.data for part in upload.parts.values()} if upload is not None else {}
    names = read_texts(request.body, "BlockList")
    if any(name not in known for name in names):
        raise S3Error("InvalidBlockList")
    md5 = request.headers.get("x-ms-blob-content-md5")
    blocks = {name: known[name] for name in names}
    return _put(bucket, request, b"".join(known[name] for name in names), {MD5: md5} if md5 else {}, {}, blocks)


def copy_blob(store: Store, request: Request) -> Answer:
    bucket, key = unquote_to_bytes(urlsplit(request.headers["x-ms-copy-source"]).path[1:]).split(b"/", 1)
    stored = store.find(bucket.decode()).get(key)
    if not check_read(request.headers, stored, "x-ms-source-"):
        raise S3Error("PreconditionFailed")
    if stored.storage_class == ARCHIVE:
        raise S3Error("BlobArchived")
    kept = {name: text for name, text in stored.headers.items() if name in (MD5, "Content-Encoding")}
    answer = _put(store.find(request.bucket), request, stored.data, kept, {"x-ms-copy-status": "success"})
    answer.status = 202
    return answer


def delete_blob(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    bucket.get(request.key)
    bucket.delete(request.key)
    return Answer(202)


def create_container(store: Store, request: Request) -> Answer:
    create_bucket(store, request)
    return Answer(201)


OPERATIONS: dict[str, Callable[[Store, Request], Answer]] = {
    "CreateBucket": create_container,
    "ListObjectsV2": list_blobs,
    "GetObject": get_blob,
    "HeadObject": get_blob,
    "PutObject": put_blob,
    "CopyObject": copy_blob,
    "DeleteObject": delete_blob,
    "UploadPart": put_block,
    "CompleteMultipartUpload": put_block_list,
}
