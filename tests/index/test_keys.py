"""Keys of service accounts as rows of an index."""

from __future__ import annotations

from gantry.iam.account_keys import AccountKey, KeyRing
from gantry.index.sql import SqlIndex


def a_key(letter: str) -> AccountKey:
    return AccountKey(letter * 40, f"{letter}@p.iam.gantry", f"PEM of {letter}", 1_700_000_000)


A, B = a_key("a"), a_key("b")


def test_what_was_added_is_there_until_it_is_removed(index: SqlIndex) -> None:
    assert index.keys.read() == KeyRing({}, ())
    index.keys.add_key(A)
    index.keys.add_key(B)
    assert index.keys.read().keys == {A.id: A, B.id: B}
    assert index.keys.remove_key(A.id)
    assert not index.keys.remove_key(A.id)
    assert index.keys.read().keys == {B.id: B}


def test_the_first_secret_stays(index: SqlIndex) -> None:
    index.keys.keep_secret(b"one")
    index.keys.keep_secret(b"two")
    assert index.keys.read().secrets == (b"one",)


def test_what_is_adopted_comes_beside_what_is_there(index: SqlIndex) -> None:
    index.keys.keep_secret(b"ours")
    index.keys.add_key(A)
    index.keys.adopt(KeyRing({A.id: A, B.id: B}, (b"theirs", b"older")))
    assert index.keys.read() == KeyRing({A.id: A, B.id: B}, (b"ours", b"theirs", b"older"))


def test_a_key_that_was_deleted_is_not_adopted_again(index: SqlIndex) -> None:
    ring = KeyRing({A.id: A, B.id: B}, (b"theirs",))
    index.keys.adopt(ring)
    index.keys.remove_key(A.id)
    index.keys.adopt(ring)
    assert index.keys.read() == KeyRing({B.id: B}, (b"theirs",))
