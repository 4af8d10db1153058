"""Requests of S3 → answers."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes
from xml.sax.saxutils import escape, unescape

from tests.support.s3_server.faults import STATUS, Faults
from tests.support.s3_server.objects import Bucket, Entry, Stored, make_tag

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
_NOT_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NUMBER = re.compile(r"<PartNumber>(\d+)</PartNumber>")
_KEPT = ("content-encoding", "x-amz-storage-class", "x-amz-server-side-encryption")


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


class Server:
    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.faults = Faults()
        self.requests: dict[str, int] = {}

    def answer(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        name, _, key = path[1:].partition("/")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        raw = unquote_to_bytes(key)
        kind = _name_kind(request.method, bool(raw), asked)
        self.requests[kind] = self.requests.get(kind, 0) + 1
        fault = self.faults.find(f"{kind} {raw.decode('utf-8', 'replace')}")
        if fault in STATUS:
            return _fail(fault, request.method)
        if fault in ("reset", "stall"):
            return Answer(fault=fault)
        bucket = self.buckets.get(name)
        if request.method == "PUT" and not raw and not asked:
            self.buckets.setdefault(name, Bucket())
            return Answer()
        if bucket is None:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist", request.method)
        answer = _Handling(self, bucket, request, raw, asked, fault).run(kind)
        answer.fault = fault
        return answer


def _name_kind(method: str, has_key: bool, asked: dict[str, str]) -> str:
    if not has_key:
        return {"GET": "UPLOADS" if "uploads" in asked else "LIST", "POST": "DELETE-MANY"}.get(
            method, f"{method}-BUCKET"
        )
    if "uploadId" in asked or "uploads" in asked:
        return f"{method}-PART" if method == "PUT" else f"{method}-UPLOAD"
    return method


def _fail(fault: str, method: str) -> Answer:
    answer = _error(*STATUS[fault], method)
    if fault == "too many":
        answer.headers["retry-after"] = "1"
    elif fault == "skewed":
        answer.headers["date"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    elif fault == "elsewhere":
        answer.headers["x-amz-bucket-region"] = "eu-north-1"
    return answer


def _error(status: int, code: str, message: str, method: str = "GET") -> Answer:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Answer(status, b"" if method == "HEAD" else text.encode())


@dataclass(slots=True)
class _Handling:
    server: Server
    bucket: Bucket
    request: Request
    key: bytes
    asked: dict[str, str]
    fault: str

    def run(self, kind: str) -> Answer:
        acts = {
            "LIST": self.list,
            "UPLOADS": self.list_uploads,
            "DELETE-MANY": self.delete_many,
            "GET": self.get,
            "HEAD": self.head,
            "PUT": self.put,
            "DELETE": self.delete,
            "POST-UPLOAD": self.begin_or_end,
            "PUT-PART": self.put_part,
            "DELETE-UPLOAD": self.drop,
        }
        return acts[kind]() if kind in acts else Answer()

    # Objects ----------------------------------------------------------------------------------------------------------

    def _find(self) -> Stored | Answer:
        found = self.bucket.objects.get(self.key)
        if found is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.", self.request.method)
        if self.fault == "replaced":
            found = self.bucket.put(self.key, found.data + b"\0", found.headers)
        if self.request.headers.get("if-match", found.tag).strip('"') != found.tag.strip('"'):
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions failed", self.request.method)
        return found

    def get(self) -> Answer:
        found = self._find()
        if isinstance(found, Answer):
            return found
        headers = {"etag": found.tag, "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"} | found.headers
        match = _RANGE.fullmatch(self.request.headers.get("range", ""))
        if match is None:
            return Answer(200, found.data, headers)
        begin, end = int(match[1]), min(int(match[2] or len(found.data)), len(found.data) - 1)
        if begin >= len(found.data):
            return _error(416, "InvalidRange", "The requested range is not satisfiable")
        headers["content-range"] = f"bytes {begin}-{end}/{len(found.data)}"
        return Answer(206, found.data[begin : end + 1], headers)

    def head(self) -> Answer:
        found = self._find()
        if isinstance(found, Answer):
            return found
        headers = {"etag": found.tag, "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT", **found.headers}
        return Answer(200, b"", headers | {"content-length": str(len(found.data))})

    def put(self) -> Answer:
        headers = {name: text for name, text in self.request.headers.items() if name in _KEPT}
        source = self.request.headers.get("x-amz-copy-source")
        if source is None:
            kept = {name: text for name, text in self.request.headers.items() if name.startswith("x-amz-checksum-")}
            made = self.bucket.put(self.key, self.request.body, headers | kept)
            return Answer(200, b"", {"etag": made.tag})
        name, _, key = source.lstrip("/").partition("/")
        found = self.server.buckets[name].objects.get(unquote_to_bytes(key))
        if found is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        if self.request.headers.get("x-amz-copy-source-if-match", found.tag).strip('"') != found.tag.strip('"'):
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions failed")
        made = self.bucket.put(self.key, found.data, headers)
        return Answer(200, f"<CopyObjectResult><ETag>{escape(made.tag)}</ETag></CopyObjectResult>".encode())

    def delete(self) -> Answer:
        self.bucket.delete(self.key)
        return Answer(204)

    def delete_many(self) -> Answer:
        if unwritable := _NOT_XML.search(self.request.body):
            return _error(400, "MalformedXML", f"The XML you provided has the character {unwritable[0]!r}")
        keys = [unescape(key, {"&#xA;": "\n", "&#x9;": "\t"}) for key in _KEY.findall(self.request.body.decode())]
        code = {"partly failed": "AccessDenied", "partly slow": "SlowDown"}.get(self.fault)
        failed = keys[:2] if code else []
        for key in keys[len(failed) :]:
            self.bucket.delete(key.encode())
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>{code}</Code><Message>retained</Message></Error>" for key in failed
        )
        return Answer(200, f"<DeleteResult>{errors}</DeleteResult>".encode())

    # Parts ------------------------------------------------------------------------------------------------------------

    def begin_or_end(self) -> Answer:
        if "uploads" in self.asked:
            name = uuid.uuid4().hex
            headers = {name: text for name, text in self.request.headers.items() if name in _KEPT}
            self.bucket.uploads[name] = self.key, {}, headers
            return Answer(200, f"<R><UploadId>{name}</UploadId></R>".encode())
        key, parts, headers = self.bucket.uploads.pop(self.asked["uploadId"])
        numbers = [int(number) for number in _NUMBER.findall(self.request.body.decode())]
        data = b"".join(parts[number] for number in numbers)
        made = self.bucket.put(key, data, headers, f'{make_tag(data)[:-1]}-{len(numbers)}"')
        return Answer(200, f"<R><ETag>{escape(made.tag)}</ETag></R>".encode())

    def put_part(self) -> Answer:
        self.bucket.uploads[self.asked["uploadId"]][1][int(self.asked["partNumber"])] = self.request.body
        return Answer(200, b"", {"etag": make_tag(self.request.body)})

    def drop(self) -> Answer:
        self.bucket.uploads.pop(self.asked["uploadId"], None)
        return Answer(204)

    def list_uploads(self) -> Answer:
        prefix = self.asked.get("prefix", "").encode()
        found = [(key, name) for name, (key, *_) in self.bucket.uploads.items() if key.startswith(prefix)]
        inside = "".join(
            f"<Upload><Key>{escape(key.decode())}</Key><UploadId>{name}</UploadId></Upload>" for key, name in found
        )
        return Answer(200, f"<R><IsTruncated>false</IsTruncated>{inside}</R>".encode())

    # Listings ---------------------------------------------------------------------------------------------------------

    def list(self) -> Answer:
        prefix, token = self.asked.get("prefix", "").encode(), self.asked.get("continuation-token", "")
        after = bytes.fromhex(token) if token else self.asked.get("start-after", "").encode()
        if self.fault == "from the start":
            after = b"" if not token else after
        limit = int(self.asked.get("max-keys", 1000))
        entries, following = self.bucket.list(prefix, after, self.asked.get("delimiter", "").encode(), limit)
        if self.fault == "unsorted":
            entries.reverse()
        elif self.fault == "repeated":
            entries = [each for each in entries for _ in range(2)]
        inside = "".join(map(_write_entry, entries))
        inside += f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        if following:
            inside += f"<NextContinuationToken>{following.hex()}</NextContinuationToken>"
        return Answer(200, f"<ListBucketResult>{inside}</ListBucketResult>".encode())


def _write_entry(entry: Entry) -> str:
    key = quote(entry.key, safe="/")
    if entry.stored is None:
        return f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
    storage_class = entry.stored.headers.get("x-amz-storage-class", "STANDARD")
    return (
        f"<Contents><Key>{key}</Key><ETag>{escape(entry.stored.tag)}</ETag><Size>{len(entry.stored.data)}</Size>"
        f"<StorageClass>{storage_class}</StorageClass></Contents>"
    )
