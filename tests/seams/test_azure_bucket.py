"""Containers of Azure: the suite of every storage, and what only object storage can hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.errors import Aborted
from gantry.seams import BlobStore
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.reading import HELD_BYTES, RemoteObject
from tests.seams.blob_store_suite import BlobStoreSuite
from tests.support.azure_places import AzureServer, make_container, serve_azurite


@pytest.fixture(scope="module", params=["own", pytest.param("azurite", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "azurite":
        with serve_azurite() as address:
            yield address
        return
    with AzureServer() as server:
        yield server.url


@pytest.fixture
def store(url: str) -> RemoteBucket:
    return make_container(url)


class TestAzureBucket(BlobStoreSuite):
    """With Azure's protocol as its emulator speaks it, and as the server of the tests does."""

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

    def test_an_object_in_blocks_has_a_checksum(self, store: RemoteBucket) -> None:
        """Azure computes none: it is the one that was sent."""
        data = bytes(range(256)) * (HELD_BYTES // 128)
        store.put("a", [data])
        with store.open("a") as opened:
            assert b"".join(opened.chunks()) == data
            assert isinstance(opened, RemoteObject) and not opened.is_unchecked
