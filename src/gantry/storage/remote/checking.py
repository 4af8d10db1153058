"""Whether bytes are those that the provider has: MD5 where the ETag is one, or a checksum that the object carries.

It is one of all bytes, or of the checksums of parts ("Checking object integrity", Amazon S3 User Guide)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum, auto
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import google_crc32c

from gantry.resources import ObjectMeta
from gantry.storage.remote.provider import Checksums, Parts
from gantry.storage.remote.s3_tags import read_md5

_MOST_ASKED = 1000  # parts, each of which is a request
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


def _make_md5(data: bytes = b"") -> Digest:
    return hashlib.md5(data, usedforsecurity=False)


def _make_sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


class _Crc64:
    """CRC-64/NVME, which neither Python nor our libraries have. ``module`` is ``awscrt.checksums``."""

    def __init__(self, module: Any) -> None:
        self._update, self._value = module.crc64nvme, 0

    def update(self, data: bytes) -> None:
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8, "big")


@cache
def _list_algorithms() -> dict[str, Callable[[], Digest]]:
    """Those that can be computed here, the cheapest first."""
    known: dict[str, Callable[[], Digest]] = {"CRC32C": google_crc32c.Checksum}
    with suppress(ImportError):
        module = import_module("awscrt.checksums")
        if hasattr(module, "crc64nvme"):  # since awscrt 0.23
            known["CRC64NVME"] = partial(_Crc64, module)
    return known | {"CRC32": _Crc32, "MD5": _make_md5, "SHA256": hashlib.sha256, "SHA1": _make_sha1}


class Comparison(Enum):
    """Of bytes with the checksum of their object; UNKNOWN where there is none that can be computed."""

    EQUAL = auto()
    DIFFERENT = auto()
    UNKNOWN = auto()


def compare(data: bytes, found: ObjectMeta, ask: Ask) -> Comparison:
    """An object that is held in memory: ``ask`` is called only where its ETag is not the MD5 of its bytes."""
    if read_md5(found.tag) == _make_md5(data).digest():
        return Comparison.EQUAL
    known = _choose(found, ask(found))
    if known is None:
        return Comparison.UNKNOWN
    digest = known.make()
    digest.update(data)
    return known.compare(digest)


def compare_all(pieces: Iterable[bytes], found: ObjectMeta, ask: Ask) -> Iterator[bytes | Comparison]:
    """The pieces of a long object, and at last the outcome."""
    known = _choose(found, ask(found))
    digest = known.make() if known is not None else None
    for piece in pieces:
        if digest is not None:
            digest.update(piece)
        yield piece
    yield Comparison.UNKNOWN if known is None or digest is None else known.compare(digest)


class _Known(NamedTuple):
    """``is_certain`` says whether other bytes have been read where the digest is another one."""

    make: Callable[[], Digest]
    expected: bytes
    is_certain: Callable[[], bool] = lambda: True

    def compare(self, digest: Digest) -> Comparison:
        if digest.digest() == self.expected:
            return Comparison.EQUAL
        return Comparison.DIFFERENT if self.is_certain() else Comparison.UNKNOWN


def _choose(found: ObjectMeta, known: Checksums) -> _Known | None:
    """What makes a digest of the whole object, and the digest that it should be; None where there is none at hand."""
    md5 = read_md5(found.tag)
    if md5 is not None and known.has_md5:
        return _Known(_make_md5, md5)
    chosen = _choose_algorithm(known.whole)
    if chosen is not None or known.parts is None:
        return chosen
    return _choose_by_parts(found.size, known.parts)


def _choose_algorithm(digests: Mapping[str, str]) -> _Known | None:
    for name, make in _list_algorithms().items():
        if name in digests:
            with suppress(ValueError):  # of a text that is no checksum
                return _Known(make, base64.b64decode(digests[name], validate=True))
    return None


def _choose_by_parts(size: int, parts: Parts) -> _Known | None:
    """All parts but the last are taken to be as long as the first one, as nearly every program makes them. Where the
    digest differs, each is asked for: parts of other sizes say nothing of the bytes."""
    chosen = _choose_algorithm(parts.digests)
    if chosen is None:
        return None
    length = parts.find_size(1)
    last = size - (parts.number - 1) * length
    if not 0 < last <= length:
        return None

    def is_certain() -> bool:
        if parts.number > _MOST_ASKED:
            return False
        numbers = range(2, parts.number + 1)
        return all(parts.find_size(each) == (last if each == parts.number else length) for each in numbers)

    return _Known(partial(_OfParts, chosen.make, length), chosen.expected, is_certain)


class _OfParts:
    """The digest of the digests of parts that have ``length`` bytes."""

    def __init__(self, make: Callable[[], Digest], length: int) -> None:
        self._make, self._length, self._left = make, length, length
        self._whole, self._part = make(), make()

    def update(self, data: bytes) -> None:
        rest = memoryview(data)
        while len(rest) > self._left:
            self._part.update(bytes(rest[: self._left]))
            rest = rest[self._left :]
            self._whole.update(self._part.digest())
            self._part, self._left = self._make(), self._length
        self._part.update(bytes(rest))
        self._left -= len(rest)

    def digest(self) -> bytes:
        self._whole.update(self._part.digest())
        return self._whole.digest()
