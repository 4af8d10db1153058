"""Buckets of Cloud Storage: the suite of every storage, and what only object storage can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from gantry.errors import Aborted
from gantry.seams import BlobStore
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.reading import HELD_BYTES
from tests.seams.blob_store_suite import BlobStoreSuite
from tests.support.gcs_places import make_place, serve_gcs
from tests.support.gcs_server import GcsServer


@pytest.fixture(scope="module", params=["own", pytest.param("fake-gcs-server", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with own_server() if request.param == "own" else serve_gcs() as address:
        yield address


@contextmanager
def own_server() -> Iterator[str]:
    with GcsServer() as server:
        yield server.url


@pytest.fixture
def store(url: str) -> RemoteBucket:
    """Each server has another way to make a bucket."""
    name = f"b-{uuid4().hex}"
    if httpx.post(f"{url}/storage/v1/b?project=p", json={"name": name}).status_code != 200:
        assert httpx.put(f"{url}/{name}").status_code == 200
    return RemoteBucket(make_place(url, name))


class TestGcsBucket(BlobStoreSuite):
    """With Google's JSON API as fake-gcs-server speaks it, and as the server of the tests does."""

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
