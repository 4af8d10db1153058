"""Listings of servers that speak S3 in their own way: no key is lost, none comes twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.errors import BucketAway, FailedPrecondition, NoRoom, Unavailable
from gantry.resources import ObjectMeta
from gantry.seams import BlobStore
from gantry.storage.remote import client as clients
from gantry.storage.remote import listing, retrying, unsorted
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.provider import Page
from tests.seams.blob_store_suite import BlobStoreSuite, keys
from tests.support.s3_server import S3Server

NAMES = sorted([f"a/{number:02}" for number in range(6)] + [f"b/c{number}/x" for number in range(6)] + ["d", "e"])


@pytest.fixture
def store(bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> RemoteBucket:
    """Its pages have three entries. Nobody waits long between two attempts."""
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(clients, "PAGE_KEYS", 3)
    s3.put(bucket.place.bucket, dict.fromkeys(NAMES, b"x"))
    s3.reset_counts()
    return bucket


def jumbled(store: RemoteBucket) -> RemoteBucket:
    return RemoteBucket(replace(store.place, is_sorted=False))


def test_pages_are_put_together(store: RemoteBucket, s3: S3Server) -> None:
    assert keys(store) == NAMES
    assert s3.requests.operations["ListObjectsV2"] == 5


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
@pytest.mark.parametrize("kind", ["page repeated", "start-after ignored", "token missing"])
def test_a_server_that_pages_in_its_own_way_loses_and_repeats_nothing(
    store: RemoteBucket, s3: S3Server, kind: str, depth: int | None
) -> None:
    for start_after in ("", "a/02", "b/c3/x", "b/c4", "d"):
        expected = [key for key in NAMES if key > start_after and (depth is None or key.count("/") <= depth)]
        with s3.fail(kind, times=3):
            assert keys(store, "", start_after, depth) == expected, start_after


def test_a_page_that_comes_for_ever_ends_the_listing(store: RemoteBucket, s3: S3Server) -> None:
    for each in (store, jumbled(store)):
        with s3.fail("page repeated"), pytest.raises(FailedPrecondition, match="the same pages again and again"):
            keys(each)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("length", [2, 3, 7, 100])
def test_tokens_that_go_in_a_circle_end_the_listing(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, length: int, before: int
) -> None:
    """Whatever comes with them: the same keys, or none."""
    for folders in (False, True):
        for each, objects in ((jumbled(store), [ObjectMeta("a", 1)]), (store, [])):
            pages = _count_in_a_circle(each, monkeypatch, objects, before, length)
            with pytest.raises(FailedPrecondition, match="has no end"):
                each.list_folders() if folders else keys(each)
            assert len(pages) <= 4 * (before + length) + 4, "within a few rounds"


def _count_in_a_circle(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, objects: list[ObjectMeta], before: int, length: int
) -> list[int]:
    """The pages that are asked for from now on: ``before`` once, then ``length`` of them again and again."""
    asked: list[int] = []

    def list_page(prefix: str, start_after: str, token: str, *_: object) -> Page:
        number = int(token or 0)
        asked.append(number)
        return Page(objects, [], str(number + 1 if number + 1 < before + length else before or length))

    monkeypatch.setattr(store.client.provider, "list_page", list_page)
    return asked


@pytest.mark.parametrize("folders", [False, True], ids=["objects", "folders"])
@pytest.mark.parametrize("is_sorted", [False, True], ids=["jumbled", "sorted"])
@pytest.mark.parametrize("objects", [[], [ObjectMeta("a", 1)]], ids=["empty", "the same"])
def test_ever_new_tokens_without_new_keys_end_the_listing(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, objects: list[ObjectMeta], is_sorted: bool, folders: bool
) -> None:
    each = store if is_sorted else jumbled(store)
    monkeypatch.setattr(listing, "MOST_IDLE", 50)
    pages = _count_pages(each, monkeypatch, objects)
    with pytest.raises(FailedPrecondition, match="has no end: 50 pages in a row have had no new object"):
        each.list_folders() if folders else keys(each)
    assert len(pages) in (50, 51)


def _count_pages(store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, objects: list[ObjectMeta]) -> list[str]:
    """The tokens that are asked with from now on, each of them new."""
    asked: list[str] = []

    def list_page(prefix: str, start_after: str, token: str, *_: object) -> Page:
        asked.append(token)
        assert len(asked) < 1000
        return Page(objects, [], f"{len(asked)}")

    monkeypatch.setattr(store.client.provider, "list_page", list_page)
    return asked


@pytest.mark.parametrize("is_sorted", [False, True], ids=["jumbled", "sorted"])
def test_empty_pages_between_others_are_no_fault(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, is_sorted: bool
) -> None:
    """As where a server looks through thousands of deleted objects."""
    each = store if is_sorted else jumbled(store)
    monkeypatch.setattr(listing, "MOST_IDLE", 5)

    def list_page(prefix: str, start_after: str, token: str, *_: object) -> Page:
        number = int(token or 0)
        objects = [] if number % 5 else [ObjectMeta(f"{number:03}", 1)]
        return Page(objects, [], str(number + 1) if number < 100 else "")

    monkeypatch.setattr(each.client.provider, "list_page", list_page)
    assert keys(each) == [f"{number:03}" for number in range(0, 101, 5)]


def test_a_page_out_of_order_is_noticed_and_the_error_says_what_to_set(store: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("unsorted"), pytest.raises(FailedPrecondition, match=r"s3://b-.*Set is_sorted = false") as caught:
        keys(store)
    assert store.place.address in caught.value.message


@pytest.mark.parametrize("kind", ["unsorted", "page repeated", "token missing"])
def test_what_is_not_sorted_is_sorted_here(store: RemoteBucket, s3: S3Server, kind: str) -> None:
    with s3.fail(kind, times=3):
        assert keys(jumbled(store)) == NAMES
    with s3.fail(kind, times=3):
        assert keys(jumbled(store), "b/", "b/c2/x") == NAMES[9:12]
    with s3.fail(kind, times=3):
        assert keys(jumbled(store), "", "", 1) == [key for key in NAMES if key.count("/") <= 1]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_folders_of_a_server_that_does_not_sort(store: RemoteBucket, s3: S3Server, limit: int) -> None:
    expected = [f"b/c{number}/" for number in range(6)][:limit]
    with s3.fail("unsorted"):
        assert list(jumbled(store).list_folders("b/", limit)) == expected
    assert list(store.list_folders("b/", limit)) == expected


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_folders_that_come_in_no_order_are_sorted_across_pages(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    other, first = jumbled(store), Page([], ["c/", "d/"], "1")
    pages = {"": first, "1": Page([], ["a/", "c/"], "2"), "2": Page([], ["b/"])}
    monkeypatch.setattr(other.client.provider, "list_page", lambda *asked: pages[asked[2]])
    assert list(other.list_folders("", limit)) == ["a/", "b/", "c/", "d/"][:limit]


def test_a_listing_that_is_sorted_here_leaves_no_file_behind(
    store: RemoteBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = jumbled(store).list()
    assert next(found).key == NAMES[0]
    assert list(tmp_path.iterdir()) == [], "not even where the process is killed now"
    assert [each.key for each in found] == NAMES[1:]


def test_a_listing_that_the_disk_cannot_hold_waits_for_room(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsorted, "_SETTINGS", (*unsorted._SETTINGS, "PRAGMA max_page_count = 2"))
    store.put("x" * 1000, [b"x"])
    store.put("y" * 1000, [b"x"])
    store.put("z" * 1000, [b"x"])
    store.put("~" * 1000, [b"x"])
    store.put("w" * 1000, [b"x"])
    with pytest.raises(NoRoom, match="no room for the listing"):
        keys(jumbled(store))


def test_a_missing_directory_of_temporary_files_is_said(
    store: RemoteBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(Unavailable, match="temporary file") as caught:
        keys(jumbled(store))
    assert str(tmp_path) not in caught.value.message


def test_a_failed_page_is_asked_for_again_and_then_the_bucket_is_away(store: RemoteBucket, s3: S3Server) -> None:
    with s3.fail("500 InternalError", methods=["ListObjectsV2"], after=2, times=3):
        assert keys(store) == NAMES
    found = store.list()
    assert next(found).key == NAMES[0]
    with (
        s3.fail("500 InternalError", methods=["ListObjectsV2"]),
        pytest.raises(BucketAway, match=r"does not answer: .*InternalError"),
    ):
        list(found)


def test_a_listing_that_waits_can_be_ended(store: RemoteBucket, s3: S3Server) -> None:
    """The server asks for a minute: who wants to stop is heard long before."""

    class Ended(Exception):
        pass

    calls = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 4:
            raise Ended

    with s3.fail("429 TooManyRequests", methods=["ListObjectsV2"], seconds=60), pytest.raises(Ended):
        list(store.list(check=check))
    assert s3.requests.operations["ListObjectsV2"] == 1


class TestServerThatDoesNotSort(BlobStoreSuite):
    """It promises the same, at the price of a whole listing each time."""

    @pytest.fixture
    def store(self, bucket: RemoteBucket, s3: S3Server) -> Iterator[RemoteBucket]:
        with s3.fail("unsorted"):
            yield jumbled(bucket)

    @pytest.mark.slow
    def test_every_prefix_start_and_depth_gives_that_part_of_the_whole(self, store: BlobStore) -> None:
        super().test_every_prefix_start_and_depth_gives_that_part_of_the_whole(store)
