"""Tags of objects of Google Cloud Storage: the generation, and the CRC32C of its bytes where it is known."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import google_crc32c

_CRC32C = re.compile(r"(?:\A|,)\s*crc32c=([A-Za-z0-9+/]{6}==)")


def make_tag(generation: str, crc32c: str) -> str:
    """A listing tells both, so that no object needs a request of its own for its checksum."""
    return f"{generation} {crc32c}".rstrip()


def read_tag(resource: Mapping[str, Any]) -> str:
    """Of an object of the JSON API."""
    return make_tag(str(resource.get("generation", "")), str(resource.get("crc32c", "")))


def read_generation(tag: str) -> str:
    return tag.partition(" ")[0]


def read_crc32c(tag: str) -> str:
    return tag.partition(" ")[2]


def read_hash(header: str) -> str:
    """The CRC32C of the header ``x-goog-hash``; "" where it has none."""
    found = _CRC32C.search(header)
    return found[1] if found else ""


def write_crc32c(value: int) -> str:
    """Base64 of the bytes in network order (RFC 4960, appendix B), as Google writes it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def compute_crc32c(data: bytes) -> str:
    return write_crc32c(google_crc32c.value(data))
