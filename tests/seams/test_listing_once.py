"""A bucket of a provider is listed once for an import: what is counted is handed on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.errors import BucketAway, FailedPrecondition
from gantry.operations import import_dicom_data as verb
from gantry.operations.import_dicom_data import Count
from gantry.operations.interruption import go_on
from gantry.storage.local import LocalBlobStore
from gantry.storage.remote import client as clients
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.uris import UriPattern
from tests.support.s3_server import S3Server

NAMES = [f"{number:02}.dcm" for number in range(10)]
ALL, ONE = UriPattern.parse("s3://b/**"), UriPattern.parse("s3://b/03.dcm")


@pytest.fixture
def source(bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> RemoteBucket:
    """Its pages have three entries."""
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(clients, "PAGE_KEYS", 3)
    s3.put(bucket.place.bucket, dict.fromkeys(NAMES, b"x"))
    s3.reset_counts()
    return bucket


def list_all(source: RemoteBucket, pattern: UriPattern, checkpoint: str = "") -> tuple[list[str], int]:
    """What is listed, and what was counted in the end."""
    with Count(source, pattern, checkpoint, 0) as count:
        found = [each.key for each in count.list(go_on)]
        count._thread.join()
        return found, count.value


@pytest.mark.parametrize("is_sorted", [False, True], ids=["jumbled", "sorted"])
def test_each_page_is_asked_for_once(source: RemoteBucket, s3: S3Server, is_sorted: bool) -> None:
    each = RemoteBucket(replace(source.place, is_sorted=is_sorted))
    assert list_all(each, ALL) == (NAMES, 10)
    assert s3.requests.operations == {"ListObjectsV2": 4}
    assert list_all(each, ALL, "06.dcm") == (NAMES[7:], 3)


def test_one_object_is_asked_for_once(source: RemoteBucket, s3: S3Server) -> None:
    assert list_all(source, ONE) == (["03.dcm"], 1)
    assert s3.requests.operations == {"HeadObject": 1}


@pytest.mark.parametrize("most", [1, 4, 9, 10, 11])
def test_what_is_too_much_to_be_held_is_listed_again_from_there(
    source: RemoteBucket, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(verb, "MOST_HELD", most)
    count = Count(source, ALL, "", 0)
    count._count()  # before anything is taken
    assert len(count._held) == min(most, 10)
    assert [each.key for each in count.list(go_on)] == NAMES and count.value == 10


def test_a_listing_that_fails_goes_on_where_it_was(source: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("500 InternalError", methods=["ListObjectsV2"], after=2, times=retrying.ATTEMPTS):
        assert list_all(source, ALL)[0] == NAMES
    with s3.fail("500 InternalError", methods=["ListObjectsV2"], after=2), pytest.raises(BucketAway):
        list_all(source, ALL)


@pytest.mark.parametrize("page", [3, 100])
def test_keys_out_of_order_are_an_error_and_not_the_end(
    source: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Whoever went on behind the last key that came would miss those that were to come later."""
    monkeypatch.setattr(clients, "PAGE_KEYS", page)
    with s3.fail("unsorted"), pytest.raises(FailedPrecondition, match="order"):
        list_all(source, ALL)


def test_who_waits_for_a_page_hears(source: RemoteBucket, s3: S3Server) -> None:
    class Ended(Exception):
        pass

    def end() -> None:
        raise Ended

    with s3.fail("stall", methods=["ListObjectsV2"], seconds=20), Count(source, ALL, "", 0) as count:
        with pytest.raises(Ended):
            list(count.list(end))
        assert s3.requests.statuses.total() == 0


def test_a_directory_is_looked_at_when_its_turn_comes(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("b")
    for name in NAMES:
        (path / name).write_bytes(b"x")
    count = Count(LocalBlobStore(str(path), ""), ALL, "", 0)
    count._count()
    (path / NAMES[0]).unlink()
    assert [each.key for each in count.list(go_on)] == NAMES[1:] and count.value == 10
