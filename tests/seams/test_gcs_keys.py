"""Every key that Cloud Storage can hold is written and read under its exact name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.errors import FailedPrecondition, InvalidArgument, NotFound
from gantry.storage.remote.bucket import RemoteBucket
from tests.seams.blob_store_suite import keys, read
from tests.support.gcs_places import make_bucket, read_objects
from tests.support.gcs_server import GcsServer
from tests.support.odd_keys import ODD_KEYS

IMPOSSIBLE = (".", "..")
BROKEN = ("a\nb", "a\rb")
"""Names that Cloud Storage refuses ("Object names" in its documentation)."""
POSSIBLE = tuple(key for key in ODD_KEYS if key not in (*IMPOSSIBLE, *BROKEN))


@pytest.fixture(scope="module")
def server() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server


@pytest.fixture
def bucket(server: GcsServer) -> RemoteBucket:
    return make_bucket(server)


@pytest.mark.parametrize("key", POSSIBLE)
def test_a_key_keeps_its_name_everywhere(server: GcsServer, bucket: RemoteBucket, key: str) -> None:
    data = b"bytes of " + key.encode()
    assert bucket.put(key, [data]) == len(data)
    assert read_objects(server.url, bucket.place.bucket) == {key: data}
    (found,) = bucket.list()
    assert found == bucket.head(key) and found.size == len(data)
    assert read(bucket, key) == data
    with bucket.open_found(found) as opened:
        bucket.copy_from(opened, "copy")
    bucket.delete(key)
    assert read_objects(server.url, bucket.place.bucket) == {"copy": data}


def test_all_keys_beside_each_other_are_listed_once_in_the_order_of_their_bytes(
    server: GcsServer, bucket: RemoteBucket
) -> None:
    for key in POSSIBLE:
        bucket.put(key, [b"x"])
    expected = sorted(POSSIBLE, key=str.encode)
    assert keys(bucket) == expected
    for start_after in ODD_KEYS:
        assert keys(bucket, "", start_after) == [key for key in expected if key.encode() > start_after.encode()]
    for depth in range(4):
        assert keys(bucket, "", "", depth) == [key for key in expected if key.count("/") <= depth]
    assert bucket.delete_prefix("") == len(POSSIBLE)
    assert read_objects(server.url, bucket.place.bucket) == {}


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_a_name_that_would_be_another_address_is_never_asked_for(
    server: GcsServer, bucket: RemoteBucket, key: str
) -> None:
    for data in (b"x", bytes(9 << 20)):
        with pytest.raises(InvalidArgument, match="can be called"):
            bucket.put(key, [data])
    with pytest.raises(NotFound):
        bucket.head(key)
    bucket.delete(key)
    assert server.requests.operations.total() == 0


@pytest.mark.parametrize("key", BROKEN)
def test_a_name_that_cloud_storage_refuses_is_said_so(bucket: RemoteBucket, key: str) -> None:
    with pytest.raises(FailedPrecondition, match="Invalid object name"):
        bucket.put(key, [b"x"])
    with pytest.raises(NotFound):
        bucket.head(key)
