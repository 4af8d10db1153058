"""Which operation a request of the JSON API asks for, in the names of the S3 server, so that its faults fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email.message import Message
from urllib.parse import unquote, unquote_to_bytes

from tests.support.s3.messages import Request

OBJECTS = re.compile(r"/storage/v1/b/([^/]+)/o(?:/([^/]+)(?:/rewriteTo/b/([^/]+)/o/([^/]+))?)?")
UPLOADS = re.compile(r"/upload/storage/v1/b/([^/]+)/o")


def read_request(request: Request) -> None:
    """Bucket, key, and operation; "" for one that there is not. Paths are of the JSON API."""
    for pattern, read in READERS.items():
        if found := pattern.fullmatch(request.path):
            request.bucket = unquote(found[1])
            request.operation = read(request, *found.groups()[1:])
            return
    request.operation = ""


def _read_objects(request: Request, key: str | None, bucket: str | None, target: str | None) -> str:
    if key is None:
        return "ListObjectsV2" if request.method == "GET" else ""
    request.key = unquote_to_bytes(key)
    if bucket is not None and target is not None:
        request.headers["target"] = f"{bucket}/{target}"
        return "CopyObject" if request.method == "POST" else ""
    if request.method == "GET":
        return "GetObject" if request.query.get("alt") == "media" else "HeadObject"
    return "DeleteObject" if request.method == "DELETE" else ""


def _read_upload(request: Request) -> str:
    request.key = request.read_query("name")
    if "upload_id" in request.query:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}.get(request.method, "")
    if request.query.get("uploadType") == "multipart":
        request.key = read_related(request)[0].get("name", "").encode()
    kinds = {"multipart": "PutObject", "resumable": "CreateMultipartUpload"}
    return kinds.get(request.query.get("uploadType", ""), "")


def read_related(request: Request) -> tuple[dict[str, str], bytes]:
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    mark = str(message.get_param("boundary", "")).encode()
    _, first, second = bytes(request.body).split(b"--" + mark, 3)[:3]
    about = json.loads(first.partition(b"\r\n\r\n")[2])
    return about, second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


READERS: dict[re.Pattern[str], Callable[..., str]] = {OBJECTS: _read_objects, UPLOADS: _read_upload}
