"""Deletion of many objects from a bucket of S3, also of servers that can do less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakSet

import pytest

from gantry.errors import BucketAway, PermissionDenied, StatusError, Unavailable
from gantry.storage.remote import bucket as buckets
from gantry.storage.remote.bucket import RemoteBucket
from tests.seams.blob_store_suite import keys
from tests.support.s3_server import S3Server

NAMES = [f"{number:02}" for number in range(12)]


@pytest.fixture
def store(bucket: RemoteBucket, s3: S3Server) -> RemoteBucket:
    for key in NAMES:
        bucket.put(key, [b"x"])
    s3.reset_counts()
    return bucket


def test_many_are_deleted_by_one_request(store: RemoteBucket, s3: S3Server) -> None:
    assert store.delete_prefix("") == len(NAMES)
    assert s3.requests.operations == {"ListObjectsV2": 1, "DeleteObjects": 1}
    assert keys(store) == []


def test_keys_that_no_xml_can_hold_are_deleted_one_by_one_and_all_others_at_once(
    store: RemoteBucket, s3: S3Server
) -> None:
    for key in ("a\x01b", "a\rb", "a\nb", "a\ufffeb"):
        store.put(key, [b"x"])
    s3.reset_counts()
    assert store.delete_prefix("") == len(NAMES) + 4
    assert s3.requests.operations == {"ListObjectsV2": 1, "DeleteObjects": 1, "DeleteObject": 4}
    assert keys(store) == []


@pytest.mark.parametrize("kind", ["501 NotImplemented", "405 MethodNotAllowed", "400 MalformedXML", "403 AccessDenied"])
def test_a_server_that_refuses_to_delete_many_deletes_each(store: RemoteBucket, s3: S3Server, kind: str) -> None:
    with s3.fail(kind, methods=["DeleteObjects"]):
        assert store.delete_prefix("0") == 10
        assert store.delete_prefix("1") == 2
    assert keys(store) == []
    assert s3.requests.operations["DeleteObjects"] == 1, "it is not asked again"
    assert s3.requests.operations["DeleteObject"] == len(NAMES)


def test_what_may_not_be_deleted_at_all_stays_and_is_reported(store: RemoteBucket, s3: S3Server) -> None:
    with (
        s3.fail("501 NotImplemented", methods=["DeleteObjects"]),
        s3.fail("403 AccessDenied", methods=["DeleteObject"], keys="0[35]"),
        pytest.raises(Unavailable, match=r"2 objects could not be deleted.* 03: .*s3:DeleteObject"),
    ):
        store.delete_prefix("")
    assert keys(store) == ["03", "05"]


def test_the_setting_spares_the_request_for_many(store: RemoteBucket, s3: S3Server) -> None:
    RemoteBucket(replace(store.place, bulk_delete=False)).delete_prefix("")
    assert s3.requests.operations == {"ListObjectsV2": 1, "DeleteObject": len(NAMES)}
    assert keys(store) == []


def test_errors_in_an_answer_that_says_200_are_read(store: RemoteBucket, s3: S3Server) -> None:
    """Objects under retention: all others are deleted."""
    with (
        s3.fail("delete locked", keys="0[01]"),
        pytest.raises(Unavailable, match=r"2 objects could not be deleted.* 00: .*AccessDenied"),
    ):
        store.delete_prefix("")
    assert keys(store) == ["00", "01"]


def test_what_failed_for_a_moment_only_is_deleted_again(store: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("delete partly", times=2):
        assert store.delete_prefix("") == len(NAMES)
    assert keys(store) == []
    assert s3.requests.operations["DeleteObject"] == 2


def test_what_the_server_says_nothing_of_is_not_taken_for_deleted(store: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("delete in silence", times=3):
        assert store.delete_prefix("") == len(NAMES)
    assert keys(store) == []
    assert s3.requests.operations["DeleteObject"] == 3


def test_errors_of_many_objects_are_counted_and_not_kept(store: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = WeakSet[StatusError]()
    most = 0

    def refuse(client: object, some: Sequence[str]) -> dict[str, StatusError]:
        nonlocal most
        most = max(most, len(errors))
        failed: dict[str, StatusError] = {key: PermissionDenied(f"no right for {key}") for key in some}
        errors.update(failed.values())
        return failed

    monkeypatch.setattr(buckets, "MOST_KEYS", 2)
    monkeypatch.setattr(buckets, "delete_keys", refuse)
    with pytest.raises(Unavailable, match=r"12 objects could not be deleted; the first is 00: no right for 00"):
        store.delete_prefix("")
    assert most <= 2


def test_a_bucket_that_is_away_ends_the_deletion(store: RemoteBucket, s3: S3Server) -> None:
    with (
        s3.fail("501 NotImplemented", methods=["DeleteObjects"]),
        s3.fail("400 ExpiredToken", methods=["DeleteObject"]),
        pytest.raises(BucketAway, match="ExpiredToken"),
    ):
        store.delete_prefix("")
    assert keys(store) == NAMES
