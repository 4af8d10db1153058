"""A dataset, a DICOM store and two buckets of a test's own, inside a running server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.directories import Buckets, Directories
from tests.support.server import LOCATION, PROJECT, GantryServer, Json, counts


class Gantry:
    """``bucket`` is where imports come from, ``out`` where exports go to; both are empty directories at first."""

    def __init__(self, server: GantryServer) -> None:
        self.server = server
        unique = uuid.uuid4().hex[:12]
        self.location = f"projects/{PROJECT}/locations/{LOCATION}"
        self.dataset_id, self.store_id = f"dataset-{unique}", "store"
        self.dataset = f"{self.location}/datasets/{self.dataset_id}"
        self.store = server.create_store(self.dataset_id, self.store_id)
        self.bucket, self.out = f"source-{unique}", f"target-{unique}"
        for bucket in (self.bucket, self.out):
            self.make_bucket(bucket)

    # Requests ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **kw: Any) -> httpx.Response:
        return self.server.request(method, path, **kw)

    def call(self, method: str, path: str, **kw: Any) -> Json:
        return self.server.call(method, path, **kw)

    def new_store(self, store: str) -> str:
        return self.server.create_store(self.dataset_id, store)

    def import_(self, pattern: str, *, store: str = "", version: str = "v1", **body: Any) -> Json:
        """Import what ``pattern`` names (a whole URI, or an object pattern in ``bucket``); the finished operation."""
        uri = pattern if "://" in pattern else f"gs://{self.bucket}/{pattern}"
        return self.wait(self.server.import_(store or self.store, uri, version=version, **body))

    def export(self, prefix: str = "", *, store: str = "", version: str = "v1", **body: Any) -> Json:
        """Export to ``prefix`` (a whole URI, or a directory in ``out``); the finished operation."""
        uri = prefix if "://" in prefix else f"gs://{self.out}/{prefix}"
        return self.wait(self.server.export(store or self.store, uri, version=version, **body))

    def wait(self, name: str, **kw: Any) -> Json:
        return self.server.wait(name, **kw)

    def failures(self, operation: Json) -> dict[str, Json]:
        """Object key (or instance path) → status, from the operation's error log."""
        prefix = f"gs://{self.bucket}/"
        return {resource.removeprefix(prefix): status for resource, status in self.server.failures(operation["name"])}

    def operations(self) -> list[Json]:
        """The dataset's operations but the one that created it."""
        listed = self.call("GET", f"v1/{self.dataset}/operations").get("operations", [])
        return [item for item in listed if not item["metadata"]["apiMethodName"].endswith("CreateDataset")]

    def stored(self, store: str = "", buckets: Buckets | None = None) -> dict[str, bytes]:
        """What the store holds: ``study/series/instance`` → bytes, by way of an export to a bucket of its own, a
        directory unless ``buckets`` are of another kind."""
        buckets = buckets or Directories(self.server.buckets)
        address = buckets.make_bucket()
        operation = self.export(address, store=store)
        assert "error" not in operation, operation
        found = {key.removesuffix(".dcm"): data for key, data in buckets.read(address).items()}
        assert counts(operation) == (len(found), 0)
        return found

    # Buckets ----------------------------------------------------------------------------------------------------------

    def make_bucket(self, bucket: str) -> Path:
        path = self.server.buckets / bucket
        path.mkdir()
        return path

    def put(self, bucket: str, key: str, data: bytes) -> str:
        """Write an object; its URI."""
        path = os.path.join(self.server.buckets, bucket, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return f"gs://{bucket}/{key}"

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket by key."""
        return Directories(self.server.buckets).read(f"gs://{bucket}")


@contextmanager
def without_tracebacks(server: GantryServer) -> Iterator[None]:
    """Whatever happens meanwhile, the server must not meet an error it did not expect."""
    before = server.log.stat().st_size  # it grows for as long as the run lasts: no test reads all of it
    yield
    with server.log.open("rb") as log:
        log.seek(before)
        written = log.read().decode(errors="replace")
    assert "Traceback" not in written, written
