"""Whether bytes are those that the provider has: MD5 where the ETag is one, or a checksum that the object carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import google_crc32c

from gantry.errors import DataLoss
from gantry.resources import ObjectMeta
from gantry.storage.remote.provider import Checksums
from gantry.storage.remote.s3_tags import read_md5

Ask = Callable[[ObjectMeta], Checksums]
"""A request for what the provider knows of the bytes of an object."""


class Digest(Protocol):
    def update(self, data: bytes) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = binascii.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _make_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _make_sha1() -> Any:
    return hashlib.sha1(usedforsecurity=False)


_ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "CRC32C": google_crc32c.Checksum,
    "CRC32": _Crc32,
    "SHA256": hashlib.sha256,
    "SHA1": _make_sha1,
}
"""Those that the libraries at hand can compute, the cheapest first. CRC64NVME is not among them."""


def check_all(data: Iterable[bytes], found: ObjectMeta, ask: Ask) -> Iterable[bytes]:
    """The pieces of an object, and DataLoss at the end where they are not its bytes.

    Without a checksum that can be computed they go unchecked. An ETag that looks like an MD5 may be none (keys of KMS
    or of the customer), which only a request tells: it is made when the ETag differs.
    """
    expected = read_md5(found.tag)
    other = None if expected is not None else _choose(ask(found))
    digest = _make_md5() if expected is not None else _ALGORITHMS[other[0]]() if other is not None else None
    for piece in data:
        if digest is not None:
            digest.update(piece)
        yield piece
    if digest is None:
        return
    if digest.digest() != (expected if other is None else other[1]) and (other is not None or ask(found).has_md5):
        raise DataLoss("the bytes that came are not those of the object: their checksum differs", advice="try again")


def is_whole(data: bytes, found: ObjectMeta, ask: Ask) -> bool:
    """Whether ``data`` are the bytes of an object, as far as there is a checksum."""
    expected = read_md5(found.tag)
    if expected is not None and hashlib.md5(data, usedforsecurity=False).digest() == expected:
        return True
    known = ask(found)
    if expected is not None and known.has_md5:
        return False
    other = _choose(known)
    if other is None:
        return True
    digest = _ALGORITHMS[other[0]]()
    digest.update(data)
    return digest.digest() == other[1]


def _choose(known: Checksums) -> tuple[str, bytes] | None:
    """An algorithm and the digest of the whole object; None where there is none at hand."""
    for name in _ALGORITHMS:
        if name in known.whole:
            return name, base64.b64decode(known.whole[name])
    return None
