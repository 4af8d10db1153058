"""Request bodies as real clients send them: gzip, byte order marks, single quotes, trailing commas, nothing."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pyjson5

from gantry.errors import InvalidArgument

MAX_BODY_BYTES = 10 << 20
MAX_DEPTH = 100


def decode(body: bytes, content_encoding: str = "", charset: str = "") -> dict[str, Any]:
    """The JSON object in a request body, ``{}`` for an empty one. Raises InvalidArgument."""
    if content_encoding.strip().lower() in ("gzip", "x-gzip"):
        body = _gunzip(body)
    elif content_encoding.strip().lower() not in ("", "identity"):
        raise InvalidArgument(f"Content-Encoding {content_encoding!r} is not supported; use gzip or none")
    text = _text(body, charset).strip()
    value = _parse(text) if text else {}
    if not isinstance(value, dict):
        raise InvalidArgument("the request body must be a JSON object")
    _require_shallow(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidArgument("the request body holds half of a surrogate pair, which is no character") from None
    except ValueError:
        raise InvalidArgument("the request body holds a number of too many digits") from None
    return value


def _require_shallow(value: Any) -> None:
    """What is kept must be read again wherever it is needed, however deep the stack is there."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [child for each in inner for child in each if isinstance(child, (dict, list))]
        if not level:
            return
    raise InvalidArgument(f"the request body is nested more than {MAX_DEPTH} deep")


def _gunzip(body: bytes) -> bytes:
    """One gzip member after another (RFC 1952 §2.2), never more than MAX_BODY_BYTES of plain text."""
    plain = b""
    while body:
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            plain += inflate.decompress(body, MAX_BODY_BYTES + 1 - len(plain))
        except zlib.error:
            raise InvalidArgument("the request body is declared as gzip but is not") from None
        if len(plain) > MAX_BODY_BYTES:
            raise InvalidArgument(f"the request body is larger than {MAX_BODY_BYTES} bytes")
        if not inflate.eof:
            raise InvalidArgument("the request body is declared as gzip but ends too early")
        body = inflate.unused_data
    return plain


def _text(body: bytes, charset: str) -> str:
    # A byte order mark tells more than the header: PowerShell writes it into files that it sends as they are.
    encoding: str = json.detect_encoding(body)
    if encoding == "utf-8" and charset:
        encoding = charset
    try:
        return body.decode(encoding)
    except (UnicodeError, LookupError):
        raise InvalidArgument(f"the request body is not valid {encoding} text") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return pyjson5.decode(text, MAX_DEPTH)
    except pyjson5.Json5Exception as error:
        raise InvalidArgument(f"the request body is not valid JSON: {error.args[0]}") from None
