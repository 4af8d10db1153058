"""Deletion of many objects from a bucket of S3, also of servers that can do less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from gantry.errors import BucketAway, Unavailable
from gantry.storage.remote.bucket import RemoteBucket
from tests.seams.blob_store_suite import keys
from tests.support.s3 import REGION, make_client, make_place
from tests.support.s3_server.process import S3Server, serve

NAMES = [f"{number:02}" for number in range(12)]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serve() as server:
        yield server


@pytest.fixture
def store(s3: S3Server) -> RemoteBucket:
    s3.clear()
    name = f"b-{uuid4().hex}"
    make_client(s3.url).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    store = RemoteBucket(make_place(s3.url, name))
    for key in NAMES:
        store.put(key, [b"x"])
    s3.clear()
    return store


def test_many_are_deleted_by_one_request(store: RemoteBucket, s3: S3Server) -> None:
    assert store.delete_prefix("") == len(NAMES)
    assert s3.requests == {"LIST": 1, "DELETE-MANY": 1}
    assert keys(store) == []


@pytest.mark.parametrize("kind", ["not there", "denied"])
def test_a_server_that_refuses_to_delete_many_deletes_each(store: RemoteBucket, s3: S3Server, kind: str) -> None:
    s3.fail(kind, "DELETE-MANY")
    assert store.delete_prefix("0") == 10
    assert store.delete_prefix("1") == 2
    assert keys(store) == []
    assert s3.requests["DELETE-MANY"] == 1, "it is not asked again"
    assert s3.requests["DELETE"] == len(NAMES)


def test_what_may_not_be_deleted_at_all_stays_and_is_reported(store: RemoteBucket, s3: S3Server) -> None:
    s3.fail("not there", "DELETE-MANY")
    s3.fail("denied", "DELETE 0[35]")
    with pytest.raises(Unavailable, match=r"2 objects could not be deleted.* 03: .*s3:DeleteObject"):
        store.delete_prefix("")
    assert keys(store) == ["03", "05"]


def test_the_setting_spares_the_request_for_many(store: RemoteBucket, s3: S3Server) -> None:
    RemoteBucket(replace(store.place, bulk_delete=False)).delete_prefix("")
    assert s3.requests == {"LIST": 1, "DELETE": len(NAMES)}
    assert keys(store) == []


def test_errors_in_an_answer_that_says_200_are_read(store: RemoteBucket, s3: S3Server) -> None:
    """Objects under retention: all others are deleted."""
    s3.fail("partly failed", "DELETE-MANY")
    with pytest.raises(Unavailable, match=r"2 objects could not be deleted.* 00: .*AccessDenied: retained"):
        store.delete_prefix("")
    assert keys(store) == ["00", "01"]


def test_what_failed_for_a_moment_only_is_deleted_again(store: RemoteBucket, s3: S3Server) -> None:
    s3.fail("partly slow", "DELETE-MANY")
    assert store.delete_prefix("") == len(NAMES)
    assert keys(store) == []
    assert s3.requests["DELETE"] == 2


def test_a_bucket_that_is_away_ends_the_deletion(store: RemoteBucket, s3: S3Server) -> None:
    s3.fail("not there", "DELETE-MANY")
    s3.fail("expired", "DELETE .*")
    with pytest.raises(BucketAway, match="ExpiredToken"):
        store.delete_prefix("")
    s3.clear()
    assert keys(store) == NAMES
