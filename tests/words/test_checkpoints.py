"""How far a listing has come, and which directories around it were reported."""

from __future__ import annotations

from functools import reduce

import pytest

from gantry.checkpoints import advance, advance_past, list_reported
from gantry.resources import ObjectMeta


def after(*keys: str) -> str:
    """The checkpoint behind these entries; those that end in ``/`` are directories that cannot be listed."""
    return reduce(advance, entries(*keys), "")


def entries(*keys: str) -> list[ObjectMeta]:
    return [ObjectMeta(key, 0, "broken" if key.endswith("/") else "") for key in keys]


def test_it_is_the_last_key_and_never_goes_back() -> None:
    assert after("a", "b/c", "b/d") == "b/d"
    assert after("b/d", "a") == "b/d"


def test_directories_around_it_that_were_reported_are_known_until_it_leaves_them() -> None:
    half_way = after("a/b/x", "a/b/")
    assert list_reported(half_way.encode()) == [b"a/b/x", b"a/b/"]
    assert b"a/b/" in list_reported(advance(half_way, ObjectMeta("a/b/y", 1)).encode())
    assert list_reported(advance(half_way, ObjectMeta("a/c", 1)).encode()) == [b"a/c"]
    assert list_reported(after("a/b/x", "a/b/", "a/").encode()) == [b"a/b/x", b"a/b/", b"a/"]


def test_a_directory_without_any_object_is_known_too() -> None:
    assert list_reported(after("a/").encode()) == [b"a/"]
    assert b"a/" in list_reported(after("a/", "a/x").encode())


def test_nothing_lies_between_a_key_and_the_key_with_its_directories() -> None:
    for following in ("a/b/x ", "a/b/x-1", "a/b/x.dcm", "a/b/x0"):
        assert following > after("a/b/x", "a/b/") > "a/b/x"


@pytest.mark.parametrize("checkpoint", ["", "a/a", after("a/b/x", "a/b/"), after("a/")])
@pytest.mark.parametrize(
    "keys", [(), ("a/b/y", "a/c"), ("a/b/y", "a/b/", "a/c"), ("a/b/y", "a/b/"), ("a/b/\uffff", "a/b/\udcff")]
)
def test_several_entries_are_passed_as_one_after_another(checkpoint: str, keys: tuple[str, ...]) -> None:
    assert advance_past(checkpoint, entries(*keys)) == reduce(advance, entries(*keys), checkpoint)
