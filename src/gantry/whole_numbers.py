"""Whole numbers as text: in parameters, fields, filters and names."""

from __future__ import annotations

MAX_NUMBER = (1 << 63) - 1
"""The largest int64, the type of numbers in the API."""


def read_number(text: str, most: int = MAX_NUMBER) -> int | None:
    """A whole number from 0 to ``most``, written in ASCII digits and nothing else; None for any other text.

    ``int()`` would also read ``1_0``, ``+1``, blanks around a number and digits of other scripts.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_NUMBER))):
        return None
    number = int(text)
    return number if number <= most else None
