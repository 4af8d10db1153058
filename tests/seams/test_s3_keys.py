"""Every key that object storage can hold: none is lost, none is changed, whichever client reads or writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from gantry.errors import InvalidArgument, NotFound
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.names import is_nameable
from tests.seams.blob_store_suite import keys, read
from tests.support.odd_keys import ODD_KEYS
from tests.support.s3 import KEY, REGION, SECRET, make_client, make_place
from tests.support.s3_server.process import serve

ALL = tuple(dict.fromkeys((*ODD_KEYS, *(f"a{chr(code)}b" for code in range(0x180)))))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve() as server:
        yield server.url


@pytest.fixture
def name(url: str) -> str:
    made = f"b-{uuid4().hex}"
    make_client(url).create_bucket(Bucket=made, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made


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


def test_the_fast_client_is_given_exactly_the_keys_that_it_does_not_change(url: str, name: str) -> None:
    client = make_client(url)
    access = {"access_key_id": KEY, "secret_access_key": SECRET}
    options, retries = {"allow_http": True}, {"max_retries": 0}
    store = S3Store(name, endpoint=url, region=REGION, client_options=options, retry_config=retries, **access)  # type: ignore[arg-type]
    for key in ALL:
        assert is_nameable(key) == (arrives_as(store, client, name, key) == [key]), key
    assert {is_nameable(key) for key in ALL} == {True, False}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_keeps_its_name_everywhere(url: str, name: str, key: str) -> None:
    client, store = make_client(url), RemoteBucket(make_place(url, name))
    assert store.put(key, [b"bytes of ", key.encode()]) == 9 + len(key.encode())
    assert [each["Key"] for each in client.list_objects_v2(Bucket=name)["Contents"]] == [key]
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


def test_all_keys_beside_each_other_are_listed_once_in_the_order_of_their_bytes(url: str, name: str) -> None:
    store = RemoteBucket(make_place(url, name))
    for key in ODD_KEYS:
        store.put(key, [b"x"])
    expected = sorted(ODD_KEYS, key=str.encode)
    assert keys(store) == expected
    for start_after in ODD_KEYS:
        assert keys(store, "", start_after) == [key for key in expected if key.encode() > start_after.encode()]
    for depth in range(4):
        assert keys(store, "", "", depth) == [key for key in expected if key.count("/") <= depth]
    assert store.delete_prefix("") == len(ODD_KEYS)
    assert keys(store) == []


def test_two_spellings_of_one_name_are_two_objects(url: str, name: str) -> None:
    store = RemoteBucket(make_place(url, name))
    store.put("é", [b"composed"])
    store.put("e\u0301", [b"decomposed"])
    assert (read(store, "é"), read(store, "e\u0301")) == (b"composed", b"decomposed")


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "\ud800"])
def test_what_can_be_no_key_is_refused(url: str, name: str, key: str) -> None:
    store = RemoteBucket(make_place(url, name))
    with pytest.raises(InvalidArgument):
        store.put(key, [b"x"])
    with pytest.raises(NotFound):
        store.head(key)
    with pytest.raises(NotFound):
        store.open(key)
    store.delete(key)
    assert keys(store) == []


def test_the_marker_of_a_folder_is_no_object_and_one_with_bytes_is(url: str, name: str) -> None:
    store = RemoteBucket(make_place(url, name))
    store.put("a/", [])
    store.put("b/", [b"x"])
    store.put("b/c", [])
    assert keys(store) == ["b/", "b/c"]
    assert keys(store, "", "", 1) == ["b/", "b/c"]
    assert list(store.list_folders()) == ["a/", "b/"]
