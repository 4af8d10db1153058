"""Buckets in memory whose objects have generations in place of ETags."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.support.s3.checksums import write_checksum
from tests.support.s3.store import Bucket as S3Bucket
from tests.support.s3.store import StoredObject

GENERATIONS = count(1_700_000_000_000_000)


def make_object(data: bytes, storage_class: str = "STANDARD", headers: dict[str, str] | None = None) -> StoredObject:
    sums = {"crc32c": write_checksum("crc32c", data)}
    return StoredObject(data, str(next(GENERATIONS)), headers or {}, storage_class, sums)


@dataclass
class Bucket(S3Bucket):
    """``begun`` are uploads, with what is known of their objects and their bytes; ``ended`` are what became of them."""

    begun: dict[str, tuple[dict[str, str], bytearray]] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)

    def next_generation(self) -> str:
        return str(next(GENERATIONS))
