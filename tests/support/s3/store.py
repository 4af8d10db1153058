"""Buckets in memory: objects, and uploads in parts that are not complete."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property

from tests.support.s3.checksums import hash_md5
from tests.support.s3.errors import S3Error
from tests.support.s3.xml import write_element

MAX_KEY = 1024
"""Bytes of UTF-8 ("Object key names" in the S3 User Guide)."""
STANDARD = "STANDARD"


@dataclass
class StoredObject:
    """Never changed: a PUT makes another one. ``headers`` are those that a GET gives back. ``part_sizes``: of an upload
    in parts."""

    data: bytes
    etag: str
    headers: dict[str, str]
    storage_class: str = STANDARD
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    modified: float = field(default_factory=time.time)
    part_sizes: tuple[int, ...] = ()

    @cached_property
    def answer_headers(self) -> dict[str, str]:
        found = {"ETag": self.etag, "Last-Modified": formatdate(self.modified, usegmt=True), "Accept-Ranges": "bytes"}
        if self.storage_class != STANDARD:
            found["x-amz-storage-class"] = self.storage_class
        return found | self.headers

    @cached_property
    def entry(self) -> bytes:
        """What a listing says of it after its key."""
        parts = {"LastModified": write_time(self.modified), "ETag": self.etag, "Size": str(len(self.data))}
        parts["StorageClass"] = self.storage_class
        return b"".join(write_element(name, text) for name, text in parts.items())

    @property
    def checksum_headers(self) -> dict[str, str]:
        found = {f"x-amz-checksum-{name}": value for name, value in self.checksums.items()}
        return found | {"x-amz-checksum-type": self.checksum_type} if found else found


@dataclass
class Part:
    data: bytes
    etag: str
    checksums: dict[str, str]
    modified: float = field(default_factory=time.time)


@dataclass
class Upload:
    """An upload in parts, by number. ``headers`` and the rest become those of the object."""

    key: bytes
    headers: dict[str, str]
    storage_class: str
    algorithm: str
    checksum_type: str
    parts: dict[int, Part] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass
class Bucket:
    """``keys`` are those of ``objects``, sorted by their bytes."""

    objects: dict[bytes, StoredObject] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def put(self, key: bytes, stored: StoredObject) -> None:
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = stored

    def get(self, key: bytes) -> StoredObject:
        try:
            return self.objects[key]
        except KeyError:
            raise S3Error("NoSuchKey", Key=key.decode("utf-8", "replace")) from None

    def delete(self, key: bytes) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]


@dataclass
class Store:
    """``min_part`` is the least size of a part but the last, in bytes."""

    min_part: int
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def find(self, name: str) -> Bucket:
        try:
            return self.buckets[name]
        except KeyError:
            raise S3Error("NoSuchBucket", BucketName=name) from None


def write_etag(data: bytes) -> str:
    return f'"{hash_md5(data).hex()}"'


def encrypt(bucket: str, data: bytes) -> tuple[str, dict[str, str]]:
    """The ETag of data and the headers that tell of its encryption. Buckets named ``kms-…`` have a key of KMS, so their
    ETags are no MD5s ("Object" in the S3 API Reference)."""
    if not bucket.startswith("kms-"):
        return write_etag(data), {}
    return write_etag(b"encrypted " + data), {"x-amz-server-side-encryption": "aws:kms"}


def write_time(moment: float) -> str:
    """As in the XML of S3, which has whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))
