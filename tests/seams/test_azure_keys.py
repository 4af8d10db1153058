"""Every key that a container can hold: none is lost, none is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.errors import InvalidArgument, NotFound
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.names import is_nameable
from tests.seams.blob_store_suite import keys, read
from tests.support.azure_places import ACCOUNT, AzureServer, make_container, serve_azurite
from tests.support.odd_keys import ODD_KEYS


@pytest.fixture(scope="module", params=["own", pytest.param("azurite", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, tuple[str, ...]]]:
    """An address, and the keys that this server can hold: the emulator writes control characters into XML as they are,
    where Azure escapes them, and takes ``\\`` for ``/``."""
    if request.param == "azurite":
        with serve_azurite() as url:
            yield url, tuple(key for key in ODD_KEYS if not (set(key) & AWAY))
        return
    with AzureServer() as own:
        yield own.url, ODD_KEYS


_EMULATOR = f"/{ACCOUNT}"


def make(url: str) -> RemoteBucket:
    """The emulator sorts by UTF-16, so that U+1F600 comes before U+FEFF."""
    return make_container(url, is_sorted=not url.endswith(_EMULATOR))


AWAY = {"\\", *map(chr, range(0x20)), "\x7f"}


@pytest.mark.slow
def test_a_key_keeps_its_name_everywhere(server: tuple[str, tuple[str, ...]]) -> None:
    url, odd = server
    store = make(url)
    for key in odd:
        assert store.put(key, [b"bytes of ", key.encode()]) == 9 + len(key.encode())
    expected = sorted(odd, key=str.encode)
    assert keys(store) == expected
    for found in store.list():
        assert (found.key, found.size, found.tag) == (*store.head(found.key)[:2], store.head(found.key).tag)
        with store.open_found(found) as opened:
            assert b"".join(opened.chunks()) == b"bytes of " + found.key.encode()
    for key in odd:
        if url.endswith(_EMULATOR) and not is_nameable(key):
            continue  # it resolves the dots of an address that it is to copy from
        with store.open(key) as opened:
            store.copy_from(opened, "copy")
        assert read(store, "copy") == b"bytes of " + key.encode()
        store.delete(key)
        assert key not in keys(store)
        with store.open("copy") as opened:
            store.copy_from(opened, key)
    assert store.delete_prefix("") == len(odd) + 1
    assert keys(store) == []


def test_keys_beside_each_other_are_listed_from_any_and_to_any_depth(server: tuple[str, tuple[str, ...]]) -> None:
    url, odd = server
    store = make(url)
    for key in odd:
        store.put(key, [b"x"])
    expected = sorted(odd, key=str.encode)
    for start_after in odd[::4]:
        assert keys(store, "", start_after) == [key for key in expected if key.encode() > start_after.encode()]
    for depth in range(4):
        assert keys(store, "", "", depth) == [key for key in expected if key.count("/") <= depth]


@pytest.mark.parametrize("key", ["", "x" * 1025, "\ud800"])
def test_what_can_be_no_key_is_refused(server: tuple[str, tuple[str, ...]], key: str) -> None:
    store = make_container(server[0])
    with pytest.raises(InvalidArgument):
        store.put(key, [b"x"])
    with pytest.raises(NotFound):
        store.head(key)


def test_folders_are_no_objects_and_empty_objects_are(server: tuple[str, tuple[str, ...]]) -> None:
    """A folder is a blob that ends in ``/``, or one of Hadoop's; an empty blob without a sign of that is an object."""
    store = make_container(server[0])
    store.put("a/", [])
    store.put("a/b", [])
    _put_folder(store, "hadoop", {"x-ms-meta-hdi_isfolder": "true"})
    store.put("hadoop/x", [b"x"])
    assert keys(store) == ["a/b", "hadoop/x"]
    assert list(store.list_folders()) == ["a/", "hadoop/"]
    with pytest.raises(NotFound, match="but a folder"):
        store.open("hadoop")


def _put_folder(store: RemoteBucket, key: str, metadata: dict[str, str]) -> None:
    provider = store.client.provider
    provider._requests.send("PUT", key, {}, {"x-ms-blob-type": "BlockBlob", **metadata})  # type: ignore[attr-defined]


def test_a_name_has_1024_characters_not_bytes() -> None:
    with AzureServer() as server:
        store, key = make_container(server.url), "é" * 1024
        store.put(key, [b"bytes"])
        assert keys(store) == [key] and store.head(key).size == 5
        store.delete(key)
        assert keys(store) == []
        with pytest.raises(InvalidArgument, match="a name of 1 to 1024 characters"):
            store.put(key + "é", [b"bytes"])
        with pytest.raises(NotFound, match="no name is so"):
            store.head(key + "é")
