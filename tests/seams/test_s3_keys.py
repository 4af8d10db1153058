"""Every key that object storage can hold: none is lost, none is changed, whichever client reads or writes it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from gantry.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from gantry.ingest import ingest_batch
from gantry.resources import Failure
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.remote import client as clients
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.names import is_nameable
from tests.seams.blob_store_suite import keys, read
from tests.support.odd_keys import ODD_KEYS
from tests.support.s3_places import KEY, REGION, SECRET, make_client
from tests.support.s3_server import S3Server

ALL = tuple(dict.fromkeys((*ODD_KEYS, *(f"a{chr(code)}b" for code in range(0x180)))))


def arrives_as(store: S3Store, client: Any, bucket: str, key: str) -> list[str]:
    """What the server has after obstore was asked to write ``key``; nothing where it refuses."""
    try:
        obstore.put(store, key, b"x", use_multipart=False)
    except (obstore.exceptions.BaseError, ValueError):
        return []
    found = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    for each in found:
        client.delete_object(Bucket=bucket, Key=each)
    return found


@pytest.mark.slow
def test_the_fast_client_is_given_exactly_the_keys_that_it_does_not_change(s3: S3Server, bucket: RemoteBucket) -> None:
    client, name = make_client(s3.url), bucket.place.bucket
    access = {"access_key_id": KEY, "secret_access_key": SECRET}
    options, retries = {"allow_http": True}, {"max_retries": 0}
    store = S3Store(name, endpoint=s3.url, region=REGION, client_options=options, retry_config=retries, **access)  # type: ignore[arg-type]
    for key in ALL:
        assert is_nameable(key) == (arrives_as(store, client, name, key) == [key]), key
    assert {is_nameable(key) for key in ALL} == {True, False}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_keeps_its_name_everywhere(s3: S3Server, bucket: RemoteBucket, key: str) -> None:
    client, store = make_client(s3.url), bucket
    assert store.put(key, [b"bytes of ", key.encode()]) == 9 + len(key.encode())
    assert [each["Key"] for each in client.list_objects_v2(Bucket=store.place.bucket)["Contents"]] == [key]
    (found,) = store.list()
    assert (found.key, found.size, found.tag) == (*store.head(key)[:2], store.head(key).tag)
    with store.open_found(found) as opened:
        assert b"".join(opened.chunks()) == b"bytes of " + key.encode()
    assert read(store, key) == b"bytes of " + key.encode()
    with store.open(key) as opened:
        store.copy_from(opened, "copy")
    store.delete(key)
    assert keys(store) == ["copy"]
    with store.open("copy") as opened:
        store.copy_from(opened, key)
    assert sorted(keys(store)) == sorted(["copy", key])
    assert store.delete_prefix("") == 2
    assert keys(store) == []


def test_all_keys_beside_each_other_are_listed_once_in_the_order_of_their_bytes(
    s3: S3Server, bucket: RemoteBucket
) -> None:
    for key in ODD_KEYS:
        bucket.put(key, [b"x"])
    expected = sorted(ODD_KEYS, key=str.encode)
    assert keys(bucket) == expected
    for start_after in ODD_KEYS:
        assert keys(bucket, "", start_after) == [key for key in expected if key.encode() > start_after.encode()]
    for depth in range(4):
        assert keys(bucket, "", "", depth) == [key for key in expected if key.count("/") <= depth]
    assert bucket.delete_prefix("") == len(ODD_KEYS)
    assert keys(bucket) == []


def test_two_spellings_of_one_name_are_two_objects(s3: S3Server, bucket: RemoteBucket) -> None:
    bucket.put("é", [b"composed"])
    bucket.put("e\u0301", [b"decomposed"])
    assert (read(bucket, "é"), read(bucket, "e\u0301")) == (b"composed", b"decomposed")


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "\ud800"])
def test_what_can_be_no_key_is_refused(s3: S3Server, bucket: RemoteBucket, key: str) -> None:
    with pytest.raises(InvalidArgument):
        bucket.put(key, [b"x"])
    with pytest.raises(NotFound):
        bucket.head(key)
    with pytest.raises(NotFound):
        bucket.open(key)
    bucket.delete(key)
    assert keys(bucket) == []


def test_the_marker_of_a_folder_is_no_object_and_one_with_bytes_is(s3: S3Server, bucket: RemoteBucket) -> None:
    bucket.put("a/", [])
    bucket.put("b/", [b"x"])
    bucket.put("b/c", [])
    assert keys(bucket) == ["b/", "b/c"]
    assert keys(bucket, "", "", 1) == ["b/", "b/c"]
    assert list(bucket.list_folders()) == ["a/", "b/"]


# Keys that are not UTF-8 ----------------------------------------------------------------------------------------------

RAW = (b"a", b"a\xef\xbf\xbd", b"b\xff", b"b\xff/c", b"c/d", b"c/\xe9", b"d")
"""The second one is what the third would be taken for, if what is no UTF-8 were replaced by U+FFFD."""


@pytest.fixture(params=[True, False], ids=["sorted", "unsorted"])
def raw(bucket: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    monkeypatch.setattr(clients, "PAGE_KEYS", 2)
    s3.put(bucket.place.bucket, dict.fromkeys(RAW, b"x"))
    return RemoteBucket(replace(bucket.place, is_sorted=request.param))


def list_raw(bucket: RemoteBucket, start_after: str = "", depth: int | None = None) -> list[tuple[bytes, bool]]:
    return [(os.fsencode(each.key), bool(each.problem)) for each in bucket.list("", start_after, depth)]


def is_odd(key: bytes) -> bool:
    return b"\xff" in key or b"\xe9" in key


def test_a_key_that_is_not_utf_8_is_an_entry_with_a_problem_in_its_place(raw: RemoteBucket) -> None:
    assert list_raw(raw) == [(key, is_odd(key)) for key in RAW]
    problems = [each.problem for each in raw.list() if each.problem]
    assert ["b%FF)" in problems[0], "b%FF/c)" in problems[1], "c/%E9)" in problems[2]] == [True] * 3
    for at, key in enumerate(RAW):
        assert list_raw(raw, os.fsdecode(key)) == [(each, is_odd(each)) for each in RAW[at + 1 :]], key


def test_folders_whose_names_are_not_utf_8_are_entries_too(bucket: RemoteBucket, s3: S3Server) -> None:
    s3.put(bucket.place.bucket, dict.fromkeys(RAW, b"x"))
    expected = [*RAW[:3], b"b\xff/", *RAW[4:]]
    assert list_raw(bucket, depth=1) == [(key, is_odd(key)) for key in expected]
    for at, key in enumerate(expected):
        assert [each for each, _ in list_raw(bucket, os.fsdecode(key), 1)] == expected[at + 1 :], key
    assert [key for key, _ in list_raw(bucket, depth=0)] == [b"a", b"a\xef\xbf\xbd", b"b\xff", b"d"]
    assert bucket.list_folders() == ["c/"]


def test_a_server_without_tokens_lists_them_too(
    raw: RemoteBucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a whole page has no name that a request for the next one could begin behind."""
    with s3.fail("token missing"), pytest.raises(FailedPrecondition, match="has no end"):
        list_raw(raw)
    monkeypatch.setattr(clients, "PAGE_KEYS", 3)
    with s3.fail("token missing"):
        assert [key for key, _ in list_raw(raw)] == list(RAW)


def test_each_is_a_failure_of_its_own(raw: RemoteBucket, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    ingested = ingest_batch(
        list(raw.list()),
        source=raw,
        source_uri="s3://b/",
        blobs=LocalBlobs(str(tmp_path / "blobs")),
        blob_prefix="main/1/2",
        storage_class="STANDARD",
    )
    outcomes = [each[0] for each in ingested]
    failures = [each for each in outcomes if isinstance(each, Failure) and "not UTF-8" in each.status.message]
    assert [each.resource for each in failures] == ["s3://b/b?", "s3://b/b?/c", "s3://b/c/?"]
    assert ["(b%FF)" in failures[0].status.message, "(c/%E9)" in failures[2].status.message] == [True, True]


def test_all_others_are_deleted_and_they_are_reported(raw: RemoteBucket) -> None:
    with pytest.raises(Unavailable, match=r"3 objects could not be deleted; the first is b\?: .*not UTF-8 \(b%FF\)"):
        raw.delete_prefix("")
    assert [key for key, _ in list_raw(raw)] == [key for key in RAW if is_odd(key)]
