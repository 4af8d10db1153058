"""Buckets of each provider, for tests that are the same for all: what the settings say of its server, and how a bucket
is made, filled and read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from gantry.storage.remote.azure_requests import Requests
from gantry.storage.remote.azure_signing import SharedKey
from gantry.storage.remote.bucket import RemoteBucket
from tests.support import azure_places, gcs_places, s3_places
from tests.support.azure_places import AzureServer
from tests.support.directories import Buckets, make_name, name_of
from tests.support.gcs_server import GcsServer
from tests.support.s3_server import S3Server


class Provider(Buckets, Protocol):
    """``settings`` make every bucket of the server one of the product, under its own name."""

    @property
    def settings(self) -> str: ...


def _write_entry(name: str, about: Mapping[str, object]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, **about}.items()]
    return "\n".join(["[[remote_buckets]]", *lines, ""])


class S3Buckets:
    """Past the product."""

    def __init__(self, url: str) -> None:
        self.settings = _write_entry("s3://*", s3_places.describe(url))
        self.client = s3_places.make_client(url)

    def make_bucket(self) -> str:
        name = make_name("b")
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3_places.REGION})
        return f"s3://{name}"

    def put(self, address: str, objects: Mapping[str, bytes], encoding: str = "") -> None:
        more = {"ContentEncoding": encoding} if encoding else {}
        for key, data in objects.items():
            self.client.put_object(Bucket=name_of(address), Key=key, Body=data, **more)

    def read(self, address: str) -> dict[str, bytes]:
        bucket = name_of(address)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        assert len(keys) == len(set(keys))
        found = {}
        for key in keys:
            with suppress(self.client.exceptions.NoSuchKey):  # a server that runs may delete it meanwhile
                found[key] = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return found


class GcsBuckets:
    """Past the product. Of the tests' own server alone: it has requests of its own to make them."""

    def __init__(self, server: GcsServer) -> None:
        self.server = server
        self.settings = _write_entry("gs://*", {"provider": "gcs", **gcs_places.describe(server.url)})

    def make_bucket(self) -> str:
        return gcs_places.make_bucket(self.server).place.address

    def put(self, address: str, objects: Mapping[str, bytes], encoding: str = "") -> None:
        headers = {"content-encoding": encoding} if encoding else {}
        self.server.put(name_of(address), dict(objects), headers)

    def read(self, address: str) -> dict[str, bytes]:
        return gcs_places.read_objects(self.server.url, name_of(address))


class AzureBuckets:
    """With the product's own requests: they are signed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = _write_entry("az://*", azure_places.describe(url))

    def make_bucket(self) -> str:
        return azure_places.make_container(self.url).place.address

    def put(self, address: str, objects: Mapping[str, bytes], encoding: str = "") -> None:
        place = azure_places.make_place(self.url, name_of(address))
        requests = Requests(place, SharedKey(azure_places.ACCOUNT, azure_places.KEY))
        headers = {"x-ms-blob-type": "BlockBlob"} | ({"x-ms-blob-content-encoding": encoding} if encoding else {})
        for key, data in objects.items():
            requests.send("PUT", key, headers=headers, body=data)

    def read(self, address: str) -> dict[str, bytes]:
        bucket = RemoteBucket(azure_places.make_place(self.url, name_of(address)))
        found = {}
        for each in bucket.list():
            with bucket.open_found(each) as opened:
                found[each.key] = b"".join(opened.chunks())
        return found


class Served(NamedTuple):
    """``server`` makes requests fail."""

    server: S3Server
    buckets: Provider


@contextmanager
def serve_provider(name: str) -> Iterator[Served]:
    """The tests' own server of ``s3``, ``gcs`` or ``azure``."""
    if name == "gcs":
        with GcsServer() as gcs:
            yield Served(gcs, GcsBuckets(gcs))
    elif name == "azure":
        with AzureServer() as azure:
            yield Served(azure, AzureBuckets(azure.url))
    else:
        with S3Server() as s3:
            yield Served(s3, S3Buckets(s3.url))
