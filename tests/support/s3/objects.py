"""The operations on one object, and DeleteObjects."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from tests.support.s3.bodies import read_body
from tests.support.s3.conditions import check_read, check_write, read_range
from tests.support.s3.errors import STATUS, S3Error
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.store import MAX_KEY, STANDARD, Bucket, Store, StoredObject, encrypt, write_etag, write_time
from tests.support.s3.xml import MalformedXML, read_children, read_text, write_document, write_element

ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
STORAGE_CLASSES = (
    *(STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"),
    *ARCHIVED,
)
KEPT = ("content-type", "content-disposition", "content-language", "cache-control", "expires")
MAX_DELETED = 1000
"""Keys in one request ("DeleteObjects" in the S3 API Reference)."""


def get_object(store: Store, request: Request) -> Answer:
    """GetObject and HeadObject; of a part only its size. Raises NoSuchKey, InvalidObjectState, InvalidRange,
    PreconditionFailed."""
    stored = store.find(request.bucket).get(request.key)
    if "partNumber" in request.query and request.method == "GET":
        raise S3Error("NotImplemented")
    if request.method == "GET":
        check_active(stored)
    if not check_read(request.headers, stored):
        return Answer(304, {"ETag": stored.etag, "Last-Modified": stored.answer_headers["Last-Modified"]})
    size = len(stored.data)
    wanted = read_range(request.headers.get("range"), size)
    answer = Answer(200, dict(stored.answer_headers), stored.data)
    if wanted is not None:
        start, end = wanted
        answer.status, answer.body = 206, memoryview(stored.data)[start:end]
        answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    elif request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        answer.headers |= stored.checksum_headers
    if request.method == "HEAD":
        answer.length, answer.body = len(answer.body), b""
    if "partNumber" in request.query:
        _tell_part(stored, int(request.query["partNumber"]), answer)
    return answer


def _tell_part(stored: StoredObject, number: int, answer: Answer) -> None:
    """Raises InvalidRange. What was not written in parts is one part, and no count is said ("HeadObject" in the S3 API
    Reference)."""
    sizes = stored.part_sizes or (len(stored.data),)
    if not 1 <= number <= len(sizes):
        raise S3Error("InvalidRange")
    answer.status, answer.length = 206, sizes[number - 1]
    answer.headers |= {"x-amz-mp-parts-count": str(len(sizes))} if stored.part_sizes else {}


def put_object(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    check_key(request.key)
    body = read_body(request)
    check_write(request.headers, bucket.objects.get(request.key))
    headers = read_kept(request) | ({"Content-Encoding": body.encoding} if body.encoding else {})
    etag, encryption = encrypt(request.bucket, body.data)
    stored = StoredObject(body.data, etag, headers | encryption, read_class(request), body.checksums)
    bucket.put(request.key, stored)
    return Answer(200, {"ETag": stored.etag, **encryption, **stored.checksum_headers})


def copy_object(store: Store, request: Request) -> Answer:
    bucket, source = store.find(request.bucket), find_source(store, request)
    check_key(request.key)
    replaced = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    storage_class = read_class(request)
    same = bucket.objects.get(request.key) is source
    if same and not replaced and storage_class == source.storage_class:
        raise S3Error("InvalidRequest", "The object would be copied to itself, without a change.")
    check_write(request.headers, bucket.objects.get(request.key))
    headers = read_kept(request) if replaced else source.headers
    etag = write_etag(source.data)
    stored = StoredObject(source.data, etag, headers, storage_class, source.checksums, source.checksum_type)
    bucket.put(request.key, stored)
    parts = [write_element("LastModified", write_time(stored.modified)), write_element("ETag", etag)]
    return answer_xml(write_document("CopyObjectResult", *parts))


def delete_object(store: Store, request: Request) -> Answer:
    store.find(request.bucket).delete(request.key)
    return Answer(204)


def delete_objects(store: Store, request: Request) -> Answer:
    """Raises MalformedXML, InvalidRequest. A key that is not there counts as deleted."""
    bucket, body = store.find(request.bucket), read_body(request)
    if "content-md5" not in request.headers and not body.checksums:
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5")
    try:
        keys = [entry["Key"].encode() for entry in read_children(body.data, "Delete", "Object")]
        quiet = read_text(body.data, "Delete", "Quiet") == "true"
    except (MalformedXML, KeyError) as error:
        raise S3Error("MalformedXML") from error
    if not 0 < len(keys) <= MAX_DELETED:
        raise S3Error("MalformedXML")
    return answer_xml(write_document("DeleteResult", *(_delete(bucket, key, request, quiet) for key in keys)))


def _delete(bucket: Bucket, key: bytes, request: Request, quiet: bool) -> bytes:
    text = key.decode()
    if request.fault is not None and (code := request.fault.spares(key)) is not None:
        if not code:
            return b""
        parts = {"Key": text, "Code": code, "Message": STATUS[code][1]}
        return write_element("Error", *(write_element(name, value) for name, value in parts.items()))
    bucket.delete(key)
    return b"" if quiet else write_element("Deleted", write_element("Key", text))


def check_key(key: bytes) -> None:
    if len(key) > MAX_KEY:
        raise S3Error("KeyTooLongError", Size=str(len(key)), MaxSizeAllowed=str(MAX_KEY))


def check_active(stored: StoredObject) -> None:
    if stored.storage_class in ARCHIVED:
        raise S3Error("InvalidObjectState", StorageClass=stored.storage_class)


def read_class(request: Request) -> str:
    found = request.headers.get("x-amz-storage-class", STANDARD)
    if found not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", StorageClassRequested=found)
    return found


def read_kept(request: Request) -> dict[str, str]:
    """The headers that a GET gives back, but Content-Encoding."""
    found = {"Content-Type": "binary/octet-stream"}
    for name, value in request.headers.items():
        if name in KEPT:
            found[name.title()] = value
        elif name.startswith("x-amz-meta-"):
            found[name] = value
    return found


def find_source(store: Store, request: Request) -> StoredObject:
    """What ``x-amz-copy-source`` names. Raises NoSuchBucket, NoSuchKey, InvalidObjectState, PreconditionFailed."""
    path = request.headers["x-amz-copy-source"].partition("?")[0].removeprefix("/")
    bucket, _, key = unquote_to_bytes(path.encode("latin-1")).partition(b"/")
    stored = store.find(bucket.decode("latin-1")).get(key)
    check_active(stored)
    if not check_read(request.headers, stored, "x-amz-copy-source-"):
        raise S3Error("PreconditionFailed")
    return stored
