"""Numbers as text."""

from __future__ import annotations

import pytest

from gantry.whole_numbers import MAX_NUMBER, read_number


@pytest.mark.parametrize("number", [0, 1, 10, 9223372036854775807])
def test_digits_are_a_number(number: int) -> None:
    assert read_number(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1_0",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1.0",
        "1e3",
        "0x1",
        "٣",
        "１０",
        "²",
        "9" * 20,
        str(MAX_NUMBER + 1),
        "9" * 9999,
    ],
)
def test_any_other_text_is_none(text: str) -> None:
    assert read_number(text) is None


def test_the_largest_is_in_it() -> None:
    assert (read_number("100", 100), read_number("101", 100)) == (100, None)
