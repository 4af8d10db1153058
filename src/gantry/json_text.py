"""JSON from clients: its character set, numbers of any length, and a limit for what is expensive to parse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from gantry.errors import InvalidArgument

MAX_DIGITS = 32
"""Of a number: numbers of DICOM JSON are shorter (IS has 12 characters, DS 16, UV 20; PS3.5 §6.2)."""

_CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8-sig"),
    **{
        f"utf{dash}{bits}{order}": f"utf-{bits}{order}"
        for dash in ("-", "")
        for bits in (16, 32)
        for order in ("", "le", "be", "-le", "-be")
    },
    **dict.fromkeys(("us-ascii", "ascii", "ansi-x3.4-1968", "iso646-us", "us"), "ascii"),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "l1", "cp819", "ibm819"), "latin-1"),
    **dict.fromkeys(("windows-1252", "cp1252", "cp-1252"), "cp1252"),
}
"""Names of character sets (IANA's registry, with ``-`` for ``_``) → Python's names. Other codecs of Python are not
character sets, or take minutes."""

_SPACE = re.compile(r"[ \t\n\r]*")  # RFC 8259 §2


def charset_of(content_type: str) -> str:
    """The charset of a Content-Type; "" where it has none."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").strip()
    return ""


def decode_text(data: bytes, charset: str) -> str:
    """Text without a byte order mark. Raises InvalidArgument."""
    named = _CHARSETS.get(charset.lower().replace("_", "-")) if charset else "utf-8-sig"
    if named is None:
        raise InvalidArgument(f"Content-Type: the charset {charset[:100]!r} is not supported; use utf-8")
    # A byte order mark counts more than the header: PowerShell writes one into files, and clients send files unchanged.
    detected: str = json.detect_encoding(data)
    encoding = named if detected == "utf-8" else detected
    try:
        return data.decode(encoding)
    except UnicodeError:
        raise InvalidArgument(f"the JSON is not valid {encoding.removesuffix('-sig')} text") from None


class Refused(ValueError):
    """JSON that is valid for Python, but refused here. ``str()`` completes a message to the client."""


class TooManyValues(Refused):
    """JSON that would take much more memory than its text."""


class NoNumber(Refused):
    """Something else in the place of a number (RFC 8259 §6): NaN, Infinity, ``+1``, ``.5``, ``0x10``."""

    def __init__(self, text: str) -> None:
        super().__init__(f": {text[:50]} is no number of JSON (RFC 8259 §6)")


def refuse_number(text: str) -> NoReturn:
    """For ``parse_constant`` of ``json``, which otherwise reads NaN and Infinity. Raises NoNumber."""
    raise NoNumber(text)


def parse_json(text: str | bytes) -> Any:
    """Like ``json.loads``, but refuses NaN and Infinity; a whole number of more than MAX_DIGITS digits stays text.

    PS3.18 §F.2.3 allows that; Python refuses numbers of more than a few thousand digits. Raises ValueError.
    """
    return _DECODER.decode(text if isinstance(text, str) else text.decode(json.detect_encoding(text)))


def parse_items(text: str) -> Iterator[Any]:
    """The items of a JSON array one by one, as ``parse_json`` reads them; any other value is one item.

    Raises ValueError, RecursionError, after the items before the fault.
    """
    at = _skip_space(text, 0)
    if text[at : at + 1] != "[":
        yield _DECODER.decode(text)
        return
    at = _skip_space(text, at + 1)
    if text[at : at + 1] != "]":
        while True:
            value, at = _DECODER.raw_decode(text, at)
            yield value
            at = _skip_space(text, at)
            if text[at : at + 1] != ",":
                break
            at = _skip_space(text, at + 1)
    if text[at : at + 1] != "]":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    if (end := _skip_space(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def require_few_values(text: str, most: int) -> None:
    """To be called before parsing. Raises TooManyValues for JSON of more values than ``most``.

    Commas and brackets in strings count too. A value takes about 60 bytes of memory, and a million of them take a
    second, during which no other thread runs.
    """
    if len(text) > most and sum(map(text.count, ",[{")) > most:
        raise TooManyValues(f": it holds more than {most} values")


def locate_fault(error: Exception) -> str:
    """Where text stops being JSON, for a message to the client; empty where the place is not known."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return f" at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return ": its text is not valid Unicode"
    return ": it is nested too deep" if isinstance(error, RecursionError) else ""


def parse_with_digits(text: str) -> Any:
    """Like ``json.loads``, but every number stays text, so that none is rounded or rewritten."""
    return json.loads(text, parse_int=str, parse_float=str)


def _read_whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


# json.loads would make one for each call
_DECODER = json.JSONDecoder(parse_int=_read_whole_number, parse_constant=refuse_number)
