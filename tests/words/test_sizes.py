"""Numbers for people."""

from __future__ import annotations

import pytest

from gantry.sizes import format_count


@pytest.mark.parametrize(
    ("count", "thing", "words"),
    [
        (0, "finding", "0 findings"),
        (1, "finding", "1 finding"),
        (2, "finding", "2 findings"),
        (1, "study", "1 study"),
        (1200, "study", "1,200 studies"),
    ],
)
def test_one_thing_is_not_many(count: int, thing: str, words: str) -> None:
    assert format_count(count, thing) == words
