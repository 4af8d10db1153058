"""The window that the page of an instance begins with, whatever numbers the file has (PS3.3 §C.11.2)."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.console.formats import decimal
from gantry.console.rows import Row
from gantry.console.studies import _window

CENTRE, WIDTH, SLOPE, INTERCEPT = "00281050", "00281051", "00281053", "00281052"


def window(**numbers: Any) -> tuple[float, float] | None:
    members = {tag[1:]: {"vr": "DS", "Value": [value]} for tag, value in numbers.items()}
    return _window(Row({"00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}} | members))


BITS = {"_00280101": 12}


def test_that_of_the_instance_or_the_whole_range() -> None:
    assert window(_00281050=40, _00281051=400) == (40, 400)
    assert window(**BITS) == (2048, 4096)
    assert window(**BITS, _00281053=2, _00281052=-1024) == (3072, 8192)


@pytest.mark.parametrize("number", ["1e308", "-1e308", "9" * 32, "nan", "inf", "9" * 5000, "abc", ""])
@pytest.mark.parametrize("tag", [CENTRE, WIDTH, SLOPE, INTERCEPT])
def test_numbers_that_no_picture_has(tag: str, number: str) -> None:
    """There is a window that can be written on the page, or none."""
    plain = {f"_{each}": value for each, value in ((CENTRE, 40), (WIDTH, 400), (SLOPE, 1), (INTERCEPT, 0))}
    both = plain | {f"_{tag}": number} | BITS
    without = {key: value for key, value in both.items() if tag in (CENTRE, WIDTH) or key[1:] not in (CENTRE, WIDTH)}
    found = window(**without)
    for value in found or ():
        assert decimal(value)
