"""Segments and objects of their own in a bucket: the suites of every storage of instances, with each provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from gantry.seams import Blobs, BlobStore
from gantry.storage.places import PlacedBlobStore
from gantry.storage.remote.blobs import RemoteBlobs
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import BlobStoreSuite
from tests.seams.blob_writer_suite import BlobWriterSuite
from tests.support import azure_places, gcs_places, s3_places
from tests.support.azure_places import AzureServer, serve_azurite
from tests.support.gcs_server import GcsServer
from tests.support.s3_server import S3Server

OWN = ["s3", "gcs", "azure"]
OTHERS = ["moto", "fake-gcs-server", "azurite"]
SERVERS = [*OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The provider, and the address of a server that speaks its protocol."""
    with ExitStack() as stack:
        if request.param in ("s3", "gcs", "azure"):
            kind = {"s3": S3Server, "gcs": GcsServer, "azure": AzureServer}[request.param]
            yield request.param, stack.enter_context(kind()).url
        elif request.param == "moto":
            yield "s3", stack.enter_context(s3_places.serve_s3())
        elif request.param == "azurite":
            yield "azure", stack.enter_context(serve_azurite())
        else:
            yield "gcs", stack.enter_context(gcs_places.serve_gcs())


@pytest.fixture
def place(server: tuple[str, str]) -> RemotePlace:
    """A new and empty bucket."""
    provider, url = server
    name = f"b-{uuid4().hex}"
    if provider == "azure":
        return azure_places.make_container(url).place
    if provider == "gcs":
        if httpx.post(f"{url}/storage/v1/b?project=p", json={"name": name}).status_code != 200:
            assert httpx.put(f"{url}/{name}").status_code == 200
        return gcs_places.make_place(url, name)
    assert httpx.put(f"{url}/{name}").status_code == 200
    return s3_places.make_place(url, name)


@pytest.fixture
def blobs(place: RemotePlace) -> Blobs:
    return RemoteBlobs(place, "of/gantry/", "the bucket of stored instances")


class TestStore(BlobStoreSuite):
    @pytest.fixture
    def store(self, blobs: Blobs) -> Blobs:
        return blobs

    @pytest.mark.slow  # thousands of listings
    def test_every_prefix_start_and_depth_gives_that_part_of_the_whole(self, store: BlobStore) -> None:
        super().test_every_prefix_start_and_depth_gives_that_part_of_the_whole(store)


class TestWriter(BlobWriterSuite):
    pass


@pytest.mark.slow
class TestWithoutPrefix(BlobWriterSuite):
    @pytest.fixture
    def blobs(self, place: RemotePlace) -> Blobs:
        return PlacedBlobStore({"main": RemoteBlobs(place, "", "b"), "ARCHIVE": RemoteBlobs(place, "", "b")})
