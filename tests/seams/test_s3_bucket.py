"""Buckets of S3: the suite of every storage, and what only object storage can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from gantry.errors import Aborted
from gantry.seams import BlobStore
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.reading import HELD_BYTES
from tests.seams.blob_store_suite import BlobStoreSuite
from tests.support.s3_places import REGION, make_client, make_place, serve_s3
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module", params=["own", pytest.param("moto", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serve_s3() if request.param == "moto" else own_server() as address:
        yield address


@contextmanager
def own_server() -> Iterator[str]:
    with S3Server() as server:
        yield server.url


@pytest.fixture
def store(url: str) -> RemoteBucket:
    name = f"b-{uuid4().hex}"
    make_client(url).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return RemoteBucket(make_place(url, name))


class TestS3Bucket(BlobStoreSuite):
    """With Amazon's protocol as moto speaks it, and as the server of the tests does."""

    @pytest.mark.slow  # thousands of listings
    def test_every_prefix_start_and_depth_gives_that_part_of_the_whole(self, store: BlobStore) -> None:
        super().test_every_prefix_start_and_depth_gives_that_part_of_the_whole(store)

    def test_what_was_replaced_after_it_was_listed_is_not_read(self, store: RemoteBucket) -> None:
        for size in (10, HELD_BYTES + 10):
            store.put("a", [b"x" * size])
            (found,) = store.list("a")
            store.put("a", [b"y" * size])
            with pytest.raises(Aborted, match="was changed since it was listed"):
                store.open_found(found)

    def test_what_is_replaced_while_it_is_read_is_noticed(self, store: RemoteBucket) -> None:
        store.put("a", [b"x" * (HELD_BYTES + 10)])
        with store.open("a") as opened:
            store.put("a", [b"y" * (HELD_BYTES + 10)])
            with pytest.raises(Aborted, match="was changed since it was listed"):
                list(opened.chunks())
