"""The body of an upload: decoded, and compared with the checksums that came with it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from tests.support.s3.checksums import ALGORITHMS, hash_md5, write_checksum
from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Request

CHECKSUM = "x-amz-checksum-"


@dataclass
class Body:
    """``encoding`` is Content-Encoding without ``aws-chunked``; ``checksums`` are in base64, by algorithm."""

    data: bytes
    encoding: str = ""
    checksums: dict[str, str] = field(default_factory=dict)


def read_body(request: Request) -> Body:
    """Raises IncompleteBody, BadDigest, InvalidDigest, MalformedTrailerError, XAmzContentSHA256Mismatch."""
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")
    encodings = [name.strip() for name in headers.get("content-encoding", "").split(",") if name.strip()]
    data, sent = request.body, {name: value for name, value in headers.items() if name.startswith(CHECKSUM)}
    signed = headers.get("x-amz-content-sha256", "")
    if "aws-chunked" in encodings or signed.startswith("STREAMING-"):
        data, trailers = decode_chunks(data)
        _check_chunked(headers, data, trailers)
        sent |= {name: value for name, value in trailers.items() if name.startswith(CHECKSUM)}
    elif re.fullmatch("[0-9a-f]{64}", signed) and hashlib.sha256(data).hexdigest() != signed:
        raise S3Error("XAmzContentSHA256Mismatch")
    _check_md5(headers.get("content-md5"), data)
    kept = ", ".join(name for name in encodings if name != "aws-chunked")
    return Body(data, kept, _check_checksums(sent, data))


def decode_chunks(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The data and the trailers of an ``aws-chunked`` body ("Signature calculations … trailing headers")."""
    parts: list[bytes] = []
    at = 0
    try:
        while True:
            end = body.index(b"\r\n", at)
            size = int(body[at:end].partition(b";")[0], 16)
            at = end + 2
            if size == 0:
                return b"".join(parts), _read_trailers(body[at:])
            if body[at + size : at + size + 2] != b"\r\n":
                raise S3Error("IncompleteBody")
            parts.append(body[at : at + size])
            at += size + 2
    except ValueError as error:
        raise S3Error("IncompleteBody") from error


def _read_trailers(lines: bytes) -> dict[str, str]:
    pairs = [line.decode("latin-1").partition(":") for line in lines.split(b"\r\n") if b":" in line]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _check_chunked(headers: dict[str, str], data: bytes, trailers: dict[str, str]) -> None:
    if headers.get("x-amz-decoded-content-length", "") != str(len(data)):
        raise S3Error("IncompleteBody")
    if (name := headers.get("x-amz-trailer", "").lower()) and name not in trailers:
        raise S3Error("MalformedTrailerError")


def _check_md5(sent: str | None, data: bytes) -> None:
    if sent is None:
        return
    try:
        digest = b64decode(sent, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest")
    if digest != hash_md5(data):
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")


def _check_checksums(sent: dict[str, str], data: bytes) -> dict[str, str]:
    found = {}
    for name, value in sent.items():
        algorithm = name.removeprefix(CHECKSUM)
        if algorithm in ALGORITHMS:
            if value != write_checksum(algorithm, data):
                message = f"The {algorithm.upper()} you specified did not match the calculated checksum."
                raise S3Error("BadDigest", message)
            found[algorithm] = value
    return found


def write_md5(data: bytes) -> str:
    """As Content-MD5 has it."""
    return b64encode(hash_md5(data)).decode()
