"""JSON that may hold numbers of any length, as text of headers does."""

from __future__ import annotations

import json
from typing import Any

MAX_DIGITS = 32
"""Of a number: what can stand as one in DICOM JSON is no longer (IS has 12 characters, DS 16, UV 20; PS3.5 §6.2)."""


def parse_json(text: str | bytes) -> Any:
    """As ``json.loads``; a whole number of more than MAX_DIGITS digits stays text (PS3.18 §F.2.3 allows it).

    Python itself refuses to read numbers of more than some thousand digits. Raises ValueError.
    """
    return _decode(text if isinstance(text, str) else text.decode(json.detect_encoding(text)))


def locate_fault(error: Exception) -> str:
    """Where text stops being JSON, in words, for whoever wrote it; empty where only the whole is wrong."""
    if isinstance(error, json.JSONDecodeError):
        return f" at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return ": its text is not UTF-8"
    return " that can be read: it is nested too deep" if isinstance(error, RecursionError) else ""


def parse_with_digits(text: str) -> Any:
    """As ``json.loads``; every number is the text that stands there, so that nothing of it is rounded or rewritten."""
    return json.loads(text, parse_int=str, parse_float=str)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


_decode = json.JSONDecoder(parse_int=_whole).decode  # json.loads would make one for each call
