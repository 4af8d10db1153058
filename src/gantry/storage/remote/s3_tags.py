"""ETags of S3: which are MD5s of bytes, and of what ("Object", Amazon S3 API Reference)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_OF_PARTS = re.compile(r'"?([0-9a-f]{32})-([1-9][0-9]{0,4})"?')
_COMPOSITE = re.compile(r"([A-Za-z0-9+/]+=*)-([1-9][0-9]{0,4})")


def read_md5(tag: str) -> bytes | None:
    """The MD5 in an ETag; None where it is none: of an object that was written in parts (``…-3``)."""
    match = _MD5.fullmatch(tag)
    return bytes.fromhex(match[1]) if match else None


def read_digests_of_parts(said: Mapping[str, Any], texts: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    """How many parts an object has, and the digests of their digests by algorithm, in Base64, after an answer of
    botocore: its ETag, and the ``texts`` of its checksums (type COMPOSITE). 0 where it has none."""
    found, counts = {}, set()
    for name, text in texts.items():
        if match := _COMPOSITE.fullmatch(text):
            found[name] = match[1]
            counts.add(int(match[2]))
    if has_plain_tag(said) and (match := _OF_PARTS.fullmatch(str(said.get("ETag", "")))):
        found["MD5"] = base64.b64encode(bytes.fromhex(match[1])).decode()
        counts.add(int(match[2]))
    return (counts.pop(), found) if len(counts) == 1 else (0, {})


def make_md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def write_md5(data: bytes) -> str:
    """As Content-MD5 has it (RFC 1864): the server refuses other bytes, also where its ETags are no MD5s."""
    return base64.b64encode(make_md5(data)).decode()


def has_plain_tag(said: Mapping[str, Any]) -> bool:
    """Whether the ETag is made of MD5s, after an answer of botocore: those of bytes with a key of KMS, or of the
    customer, look the same and are none."""
    return said.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in said


def has_other_md5(tag: str, data: bytes) -> bool:
    """Whether a tag looks like an MD5, and is not that of ``data``."""
    expected = read_md5(tag)
    return expected is not None and expected != make_md5(data)


def combine_md5s(tags: Sequence[str]) -> str:
    """The ETag of an object of which these are the parts; "" where they are no MD5s."""
    known = [md5 for tag in tags if (md5 := read_md5(tag)) is not None]
    if len(known) < len(tags):
        return ""
    return f'"{hashlib.md5(b"".join(known), usedforsecurity=False).hexdigest()}-{len(known)}"'
