"""A server, or only its data directory, whose stored instances lie in a bucket of the tests' S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry.config import DataDirectory, open_seams
from gantry.seams import Seams
from gantry.settings.loading import Settings, load_settings
from tests.support.databases import environ_of, query
from tests.support.directories import name_of
from tests.support.providers import Provider
from tests.support.server import GantryServer

PREFIX = "own/store"


class BlobHome:
    """``home`` has the data directory and the settings file. ``tiers`` are those of storage classes."""

    def __init__(
        self, home: Path, buckets: Provider, prefix: str = PREFIX, tiers: Mapping[str, str] | None = None
    ) -> None:
        self.home, self.buckets, self.tiers = home, buckets, tiers or {}
        home.mkdir(exist_ok=True)
        self.bucket = buckets.make_bucket()
        self.address = f"{self.bucket}/{prefix}" if prefix else self.bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.data, self.config = home / "data", home / "gantry.toml"
        self.write()

    def write(self, address: str | None = None, tiers: Mapping[str, str] | None = None, more: str = "") -> None:
        """The settings file."""
        address = self.address if address is None else address
        lines = [f'data = "{self.data}"', f'buckets = "{self.home / "buckets"}"', "workers = 2", more]
        lines += [f'blobs = "{address}"'] if address else []
        lines += [f'database = "{url}"' for url in environ_of(self.data).values()]
        chosen = self.tiers if tiers is None else tiers
        lines += ["[storage_tiers]", *(f'{each} = "{tier}"' for each, tier in chosen.items())] if chosen else []
        self.config.write_text("\n".join([*lines, self.buckets.settings]))

    def load(self) -> Settings:
        return load_settings({}, {}, str(self.config))

    @contextmanager
    def open(self, rebuilding: bool = False) -> Iterator[DataDirectory]:
        directory = DataDirectory(self.load(), rebuilding)
        try:
            yield directory
        finally:
            directory.close()

    @contextmanager
    def opened(self, rebuilding: bool = False) -> Iterator[Seams]:
        """All parts of a server, without one around them."""
        with self.open(rebuilding) as directory:
            seams = open_seams(self.load(), directory)
            try:
                yield seams
            finally:
                seams.executor.end()
                seams.pixels.end()
                seams.index.close()

    def objects(self) -> dict[str, bytes]:
        """What lies below the prefix, by the rest of the key."""
        found = self.buckets.read(self.bucket)
        assert all(key.startswith(self.prefix) for key in found), "nothing lies anywhere else"
        return {key.removeprefix(self.prefix): data for key, data in found.items()}

    def blobs(self) -> dict[str, bytes]:
        """The objects with instances."""
        return {key: data for key, data in self.objects().items() if "/" in key}

    def put(self, key: str, data: bytes) -> None:
        self.buckets.put(self.bucket, {self.prefix + key: data})

    def remove(self, *keys: str) -> None:
        client: Any = self.buckets.client  # type: ignore[attr-defined]
        for key in keys:
            client.delete_object(Bucket=name_of(self.bucket), Key=self.prefix + key)

    def files(self) -> dict[str, bytes]:
        """All files of the data directory that a start may not change."""
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in self.data.rglob("*")
            if path.is_file() and not path.name.startswith("index.sqlite-")
        }


def settle(server: GantryServer) -> None:
    """Wait until what was deleted has left the bucket. Where something may come late is searched an hour later."""
    listed = "SELECT * FROM garbage WHERE blob_key NOT LIKE 'late/%'"
    server.wait_until(lambda: query(server.data, listed) == [], 60)
    for store in query(server.data, "SELECT id FROM dicom_store WHERE deleted"):
        server.wait_until(lambda store=store: store not in query(server.data, "SELECT id FROM dicom_store"), 60)  # type: ignore[misc]
