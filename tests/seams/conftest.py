"""Suites tell what they compared, though they are plain modules."""

from collections.abc import Iterator

import pytest

from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.seams.object_servers import SERVERS, Server, make_place, serve
from tests.support.s3_places import make_bucket
from tests.support.s3_server import S3Server

pytest.register_assert_rewrite("tests.seams.blob_store_suite", "tests.seams.executor_suite", "tests.seams.losses_suite")


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server) -> S3Server:
    """No requests are counted yet. What fails on request fails for as long as a ``with`` says."""
    s3_process.reset_counts()
    return s3_process


@pytest.fixture
def bucket(s3: S3Server) -> RemoteBucket:
    """A new and empty bucket."""
    return make_bucket(s3)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each of them in turn."""
    with serve(request.param) as found:
        yield found


@pytest.fixture
def place(server: Server) -> RemotePlace:
    """A new and empty bucket of it."""
    return make_place(server)
