"""What every storage of objects promises. A test class inherits the suite and brings its ``store`` fixture."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import product

import pytest

from gantry.errors import NotFound, Unavailable
from gantry.seams import BlobStore

# In the order of their UTF-8 bytes: "-" and "." sort before "/", and "é" after every ASCII letter.
KEYS = [
    "B.dcm",
    "a-/x",
    "a.dcm",
    "a/b",
    "a/b.dcm",
    "a/c/d",
    "a/c/e/f",
    "a0",
    "d e/[1] {2} %3A *?.dcm",
    "e\u0301",
    "z",
    "é",
    "éa/x",
    "日本",
]


def fill(store: BlobStore, keys: list[str] = KEYS) -> None:
    for number, key in enumerate(keys):
        store.put(key, [b"x" * number])


def keys(store: BlobStore, prefix: str = "", start_after: str = "", depth: int | None = None) -> list[str]:
    return [found.key for found in store.list(prefix, start_after, depth)]


def read(store: BlobStore, key: str) -> bytes:
    with store.open(key) as opened:
        return b"".join(opened.chunks())


def failing(error: Exception) -> Iterator[bytes]:
    yield b"half of "
    raise error


class BlobStoreSuite:
    """``store`` is an empty bucket."""

    def test_the_bucket_is_there(self, store: BlobStore) -> None:
        assert store.exists()

    def test_an_empty_bucket_lists_nothing(self, store: BlobStore) -> None:
        assert keys(store) == []

    # Listing ----------------------------------------------------------------------------------------------------------

    def test_keys_come_in_the_order_of_their_utf_8_bytes(self, store: BlobStore) -> None:
        assert sorted(KEYS, key=str.encode) == KEYS
        fill(store, KEYS[::-1])
        assert keys(store) == KEYS

    def test_a_listing_tells_sizes_and_no_problems(self, store: BlobStore) -> None:
        fill(store)
        assert [(found.size, found.problem) for found in store.list()] == [(number, "") for number in range(len(KEYS))]

    def test_every_prefix_start_and_depth_gives_that_part_of_the_whole(self, store: BlobStore) -> None:
        fill(store)
        texts = ["", *KEYS, *(key[:-1] for key in KEYS), "a/", "a/c/", "a/c/e/", "éa/", "b", "a/b/c", "~", "/", "//"]
        for prefix, start_after, depth in product(set(texts), set(texts), (None, 0, 1, 2)):
            if depth is not None and depth < prefix.count("/"):
                continue
            expected = [
                key
                for key in KEYS
                if key.startswith(prefix)
                and key.encode() > start_after.encode()
                and (depth is None or key.count("/") <= depth)
            ]
            assert keys(store, prefix, start_after, depth) == expected, (prefix, start_after, depth)

    def test_a_prefix_with_more_separators_than_the_depth_lists_nothing(self, store: BlobStore) -> None:
        fill(store)
        assert keys(store, "a/", "", 0) == []
        assert keys(store, "a/c/", "", 1) == []

    def test_prefixes_that_no_key_can_have_list_nothing(self, store: BlobStore) -> None:
        fill(store)
        for prefix in ("../", "..", "./a", "a/../a", "a//", "/a", "a\0", "\ud800", "n" * 2000, "n" * 300 + "/"):
            assert keys(store, prefix) == [], prefix

    # Reading ----------------------------------------------------------------------------------------------------------

    def test_bytes_are_read_from_any_place(self, store: BlobStore) -> None:
        data = bytes(range(256)) * 10
        store.put("a/b", [data])
        with store.open("a/b") as opened:
            assert opened.size == len(data)
            assert opened.read_at(0, 10) == data[:10]
            assert opened.read_at(1000, 300) == data[1000:1300]
            assert opened.read_at(len(data) - 5, 100) == data[-5:]
            assert opened.read_at(len(data), 1) == b""
            assert b"".join(opened.chunks()) == data

    def test_an_object_may_be_empty(self, store: BlobStore) -> None:
        assert store.put("empty", []) == 0
        assert read(store, "empty") == b""
        assert store.head("empty").size == 0

    def test_head_tells_key_and_size(self, store: BlobStore) -> None:
        store.put("a/b", [b"123"])
        assert store.head("a/b")[:3] == ("a/b", 3, "")

    @pytest.mark.parametrize("key", ["none", "a", "a/", "a/b/c", "a/none", "none/a", "A/B"])
    def test_what_is_not_there_is_not_found(self, store: BlobStore, key: str) -> None:
        store.put("a/b", [b"123"])
        with pytest.raises(NotFound):
            store.open(key)
        with pytest.raises(NotFound):
            store.head(key)

    # Writing ----------------------------------------------------------------------------------------------------------

    def test_an_object_is_the_sum_of_its_chunks(self, store: BlobStore) -> None:
        assert store.put("a", [b"1", b"", b"23", bytes(3_000_000)]) == 3_000_003
        assert read(store, "a") == b"123" + bytes(3_000_000)

    def test_a_shorter_object_replaces_a_longer_one_whole(self, store: BlobStore) -> None:
        store.put("a", [b"a long object"])
        store.put("a", [b"short"])
        store.flush()
        assert read(store, "a") == b"short"

    def test_a_copy_has_the_same_bytes(self, store: BlobStore) -> None:
        data = bytes(range(251)) * 9000
        store.put("a", [data])
        with store.open("a") as opened:
            assert store.copy_from(opened, "c/d") == len(data)
        assert read(store, "c/d") == data

    def test_an_empty_object_can_be_copied(self, store: BlobStore) -> None:
        store.put("a", [])
        with store.open("a") as opened:
            assert store.copy_from(opened, "b") == 0
        assert read(store, "b") == b""

    def test_an_open_object_survives_its_replacement(self, store: BlobStore) -> None:
        store.put("a", [b"old"])
        with store.open("a") as opened:
            store.put("a", [b"newer"])
            assert opened.read_at(0, 10) == b"old"

    @pytest.mark.parametrize("error", [Unavailable("gone"), OSError(5, "gone"), ValueError("gone")])
    def test_a_write_that_fails_leaves_the_old_object_and_nothing_else(
        self, store: BlobStore, error: Exception
    ) -> None:
        store.put("a/b", [b"old"])
        for key in ("a/b", "a/new"):
            with pytest.raises((type(error), Unavailable)):
                store.put(key, failing(error))
        assert keys(store) == ["a/b"]
        assert read(store, "a/b") == b"old"

    def test_an_object_is_not_listed_before_it_is_whole(self, store: BlobStore) -> None:
        seen = []

        def chunks() -> Iterator[bytes]:
            yield b"1"
            seen.append(keys(store))
            yield b"2"

        store.put("a/b", chunks())
        assert (seen, keys(store)) == ([[]], ["a/b"])

    def test_flush_returns(self, store: BlobStore) -> None:
        store.put("a", [b"1"])
        store.flush()
        assert read(store, "a") == b"1"

    # Deleting ---------------------------------------------------------------------------------------------------------

    def test_a_deleted_object_is_gone_and_the_others_stay(self, store: BlobStore) -> None:
        fill(store)
        store.delete("a/b")
        assert keys(store) == [key for key in KEYS if key != "a/b"]

    def test_deleting_what_is_not_there_is_no_error(self, store: BlobStore) -> None:
        fill(store)
        for key in ("none", "a/none", "none/none", "a0/none"):
            store.delete(key)
        assert keys(store) == KEYS

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/c", "é", "none"])
    @pytest.mark.parametrize("start_after", ["", "a.dcm", "a/b.dcm", "~"])
    def test_a_prefix_is_deleted_after_its_start(self, store: BlobStore, prefix: str, start_after: str) -> None:
        fill(store)
        victims = [key for key in KEYS if key.startswith(prefix) and key.encode() > start_after.encode()]
        assert store.delete_prefix(prefix, start_after) == len(victims)
        assert keys(store) == [key for key in KEYS if key not in victims]

    @pytest.mark.parametrize("before", ["a/", "a/b", "a/b.dcm", "a0", "é", "~"])
    def test_a_prefix_is_deleted_up_to_a_key(self, store: BlobStore, before: str) -> None:
        fill(store)
        victims = [key for key in KEYS if b"a" < key.encode() < before.encode()]
        assert store.delete_prefix("", "a", before=before) == len(victims)
        assert keys(store) == [key for key in KEYS if key not in victims]

    # Travelling -------------------------------------------------------------------------------------------------------

    def test_a_store_can_be_sent_to_a_worker(self, store: BlobStore) -> None:
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301
        copy.put("a/b", [b"123"])
        assert read(store, "a/b") == b"123"
        assert keys(copy) == ["a/b"]
