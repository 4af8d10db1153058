"""Buckets of S3: the suite of every storage, and what only object storage can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from gantry.storage.remote.bucket import RemoteBucket
from tests.seams.blob_store_suite import BlobStoreSuite
from tests.support.s3 import REGION, make_client, make_place, serve_s3
from tests.support.s3_server.process import serve


@pytest.fixture(scope="module", params=["moto", "own"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serve_s3() if request.param == "moto" else own_server() as address:
        yield address


@contextmanager
def own_server() -> Iterator[str]:
    with serve() as server:
        yield server.url


@pytest.fixture
def store(url: str) -> RemoteBucket:
    name = f"b-{uuid4().hex}"
    make_client(url).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return RemoteBucket(make_place(url, name))


class TestS3Bucket(BlobStoreSuite):
    """With Amazon's protocol as moto speaks it, and as the server of the tests does."""
