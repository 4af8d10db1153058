"""Buckets of every kind, as tests see them that are the same for all; here those that are directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4


class Buckets(Protocol):
    """A bucket is named by its address. ``encoding`` is the Content-Encoding of the objects."""

    def make_bucket(self) -> str: ...
    def put(self, address: str, objects: Mapping[str, bytes], encoding: str = "") -> None: ...
    def read(self, address: str) -> dict[str, bytes]: ...


def make_name(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:20]}"


def name_of(address: str) -> str:
    """The name of a bucket, which is the same in its address."""
    return address.partition("://")[2]


@dataclass
class Directories:
    """Below ``root``. A key that ends in a slash is a directory. Settings that name buckets of a provider name none of
    them."""

    root: Path

    def make_bucket(self) -> str:
        name = make_name("directory")
        (self.root / name).mkdir()
        return f"gs://{name}"

    def put(self, address: str, objects: Mapping[str, bytes], encoding: str = "") -> None:
        assert not encoding, "files have no Content-Encoding"
        for key, data in objects.items():
            path = self.root / name_of(address) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if key.endswith("/"):
                path.mkdir()
            else:
                path.write_bytes(data)

    def read(self, address: str) -> dict[str, bytes]:
        root = self.root / name_of(address)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
