"""Uploads in parts."""

from __future__ import annotations

from itertools import pairwise

from tests.support.s3.bodies import read_body
from tests.support.s3.checksums import ALGORITHMS, combine_checksums, hash_md5, write_checksum
from tests.support.s3.conditions import check_write, read_range
from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.objects import check_key, find_source, read_class, read_kept
from tests.support.s3.store import Part, Store, StoredObject, Upload, encrypt, write_etag, write_time
from tests.support.s3.xml import (
    escape_text,
    quote_key,
    read_children,
    write_document,
    write_element,
)

MAX_PARTS = 10_000
"""Of one upload ("Amazon S3 multipart upload limits" in the S3 User Guide)."""


def create_upload(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    check_key(request.key)
    headers, algorithm = read_kept(request), request.headers.get("x-amz-checksum-algorithm", "").lower()
    if encoding := request.headers.get("content-encoding"):
        headers["Content-Encoding"] = encoding
    if algorithm and algorithm not in ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    kind = "FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE"
    kind = request.headers.get("x-amz-checksum-type", kind)
    upload = Upload(request.key, headers, read_class(request), algorithm, kind)
    bucket.uploads[upload.id] = upload
    parts = [write_element("Bucket", request.bucket), write_element("Key", escape_text(request.key))]
    answer = answer_xml(write_document("InitiateMultipartUploadResult", *parts, write_element("UploadId", upload.id)))
    if algorithm:
        answer.headers |= {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind}
    return answer


def upload_part(store: Store, request: Request) -> Answer:
    upload, number = _find_upload(store, request), _read_number(request)
    body = read_body(request)
    etag, encryption = encrypt(request.bucket, body.data)
    part = upload.parts[number] = Part(body.data, etag, body.checksums)
    sums = {f"x-amz-checksum-{name}": value for name, value in part.checksums.items()}
    return Answer(200, {"ETag": part.etag, **encryption, **sums})


def copy_part(store: Store, request: Request) -> Answer:
    upload, number, source = _find_upload(store, request), _read_number(request), find_source(store, request)
    wanted = read_range(request.headers.get("x-amz-copy-source-range"), len(source.data))
    data = source.data if wanted is None else source.data[slice(*wanted)]
    part = upload.parts[number] = Part(data, write_etag(data), {})
    parts = [write_element("LastModified", write_time(part.modified)), write_element("ETag", part.etag)]
    return answer_xml(write_document("CopyPartResult", *parts))


def complete_upload(store: Store, request: Request) -> Answer:
    """Raises NoSuchUpload, MalformedXML, InvalidPart, InvalidPartOrder, EntityTooSmall, PreconditionFailed."""
    bucket, upload = store.find(request.bucket), _find_upload(store, request)
    parts = _choose_parts(upload, request.body)
    if small := next((part for part in parts[:-1] if len(part.data) < store.min_part), None):
        raise S3Error("EntityTooSmall", ProposedSize=str(len(small.data)), MinSizeAllowed=str(store.min_part))
    check_write(request.headers, bucket.objects.get(upload.key))
    data = b"".join(part.data for part in parts)
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    etag, sums = f'"{hash_md5(digests).hex()}-{len(parts)}"', _combine(upload, parts, data)
    headers = upload.headers | encrypt(request.bucket, b"")[1]
    stored = StoredObject(data, etag, headers, upload.storage_class, sums, upload.checksum_type)
    stored.part_sizes = tuple(len(part.data) for part in parts)
    bucket.put(upload.key, stored)
    del bucket.uploads[upload.id]
    elements = [write_element("Bucket", request.bucket), write_element("Key", escape_text(upload.key))]
    elements += [write_element("ETag", etag)]
    elements += [write_element(f"Checksum{name.upper()}", value) for name, value in sums.items()]
    return answer_xml(write_document("CompleteMultipartUploadResult", *elements))


def abort_upload(store: Store, request: Request) -> Answer:
    upload = _find_upload(store, request)
    del store.find(request.bucket).uploads[upload.id]
    return Answer(204)


def list_uploads(store: Store, request: Request) -> Answer:
    """Behind the markers, ``max-uploads`` of them."""
    prefix = request.read_query("prefix")
    url = request.query.get("encoding-type") == "url"
    write = quote_key if url else escape_text
    found = [upload for upload in store.find(request.bucket).uploads.values() if upload.key.startswith(prefix)]
    found.sort(key=lambda upload: (upload.key, upload.created, upload.id))
    behind = request.read_query("upload-id-marker").decode()
    after = next((at for at, upload in enumerate(found, 1) if upload.id == behind), 0)
    most = int(request.read_query("max-uploads") or 1000)
    is_cut, found = len(found) > after + most, found[after : after + most]
    head = {"Bucket": request.bucket.encode(), "Prefix": write(prefix), "IsTruncated": str(is_cut).lower().encode()}
    head |= {"EncodingType": b"url"} if url else {}
    head |= {"NextKeyMarker": write(found[-1].key), "NextUploadIdMarker": found[-1].id.encode()} if is_cut else {}
    elements = [write_element(name, value) for name, value in head.items()]
    for upload in found:
        parts: dict[str, bytes | str] = {"Key": write(upload.key), "UploadId": upload.id}
        parts["Initiated"] = write_time(upload.created)
        parts["StorageClass"] = upload.storage_class
        elements.append(write_element("Upload", *(write_element(name, value) for name, value in parts.items())))
    return answer_xml(write_document("ListMultipartUploadsResult", *elements))


def list_parts(store: Store, request: Request) -> Answer:
    """All of them on one page."""
    upload = _find_upload(store, request)
    elements = [write_element("UploadId", upload.id), write_element("IsTruncated", "false")]
    for number, part in sorted(upload.parts.items()):
        parts = {"PartNumber": str(number), "ETag": part.etag, "Size": str(len(part.data))}
        parts["LastModified"] = write_time(part.modified)
        elements.append(write_element("Part", *(write_element(name, value) for name, value in parts.items())))
    return answer_xml(write_document("ListPartsResult", *elements))


def _find_upload(store: Store, request: Request) -> Upload:
    upload = store.find(request.bucket).uploads.get(request.query["uploadId"])
    if upload is None or upload.key != request.key:
        raise S3Error("NoSuchUpload", UploadId=request.query["uploadId"])
    return upload


def _read_number(request: Request) -> int:
    text = request.query.get("partNumber", "")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PARTS):
        raise S3Error("InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive")
    return int(text)


def _choose_parts(upload: Upload, body: bytes) -> list[Part]:
    try:
        entries = list(read_children(body, "CompleteMultipartUpload", "Part"))
        chosen = [(int(entry["PartNumber"]), entry["ETag"].strip('"')) for entry in entries]
    except (ValueError, KeyError) as error:
        raise S3Error("MalformedXML") from error
    if not chosen:
        raise S3Error("MalformedXML")
    if any(after[0] <= before[0] for before, after in pairwise(chosen)):
        raise S3Error("InvalidPartOrder")
    for number, etag in chosen:
        if number not in upload.parts or upload.parts[number].etag.strip('"') != etag:
            raise S3Error("InvalidPart", PartNumber=str(number), ETag=etag)
    return [upload.parts[number] for number, _ in chosen]


def _combine(upload: Upload, parts: list[Part], data: bytes) -> dict[str, str]:
    """The checksum of the object: of its bytes, or of those of the parts."""
    name = upload.algorithm
    if not name:
        return {}
    if upload.checksum_type == "FULL_OBJECT":
        return {name: write_checksum(name, data)}
    sums = [part.checksums.get(name) or write_checksum(name, part.data) for part in parts]
    return {name: combine_checksums(name, sums)}
