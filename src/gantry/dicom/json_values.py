"""Values of DICOM JSON (PS3.18 §F.2.2, §F.2.3): bytes of an element to the text of its member."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from math import isfinite
from struct import error as StructError
from struct import unpack_from
from typing import NamedTuple

from gantry.dicom.text import decoders, split_names, split_values
from gantry.errors import InvalidArgument

MAX_INLINEOCTETS, MAX_INLINE_VALUES = 2048, 512
OCTETS = {"OD": 8, "OF": 4, "OL": 4, "OV": 8}
"""VRs of words that are given in base64 where they are short, and the size of a word."""

NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q", "AT": "H"}
_SIZES = {"FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8, "AT": 4}
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))
_DECODED = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Context(NamedTuple):
    """What the text of an element depends on, besides its bytes. ``signed`` is PixelRepresentation or, unknown, -1."""

    explicit: bool
    order: str
    character_set: str
    signed: int
    bulk_uri: str
    depth: int = 0


def member(tag: int, vr: str, rest: str = "") -> str:
    return f'"{tag:08X}":{{"vr":"{vr}"{rest}}}'


def bulk(tag: int, vr: str, context: Context) -> str:
    return member(tag, vr, f',"BulkDataURI":{_dumps(f"{context.bulk_uri}/{tag:08X}")}')


def octets(value: bytes, tag: int, vr: str, context: Context) -> str:
    if len(value) > MAX_INLINEOCTETS:
        return bulk(tag, vr, context)
    if context.order == ">":
        size = OCTETS[vr]
        value = b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))
    return member(tag, vr, f',"InlineBinary":"{b64encode(value).decode()}"')


def binary_numbers(value: bytes, tag: int, vr: str, context: Context) -> str:
    size = _SIZES[vr]
    count = len(value) // size
    if len(value) % size:
        return member(tag, vr) if not count else bulk(tag, vr, context)
    if count > MAX_INLINE_VALUES:
        return bulk(tag, vr, context)
    try:
        numbers = unpack_from(f"{context.order}{count * (2 if vr == 'AT' else 1)}{NUMBERS[vr]}", value)
    except StructError:
        raise broken(tag) from None
    if vr == "AT":
        texts = [f'"{group:04X}{element:04X}"' for group, element in zip(numbers[::2], numbers[1::2], strict=True)]
    elif vr in ("FD", "FL"):
        texts = [repr(number) if isfinite(number) else _not_finite(number) for number in numbers]
    else:
        texts = [str(number) for number in numbers]
    return member(tag, vr, f',"Value":[{",".join(texts)}]')


def _not_finite(number: float) -> str:
    return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'


def text_values(value: bytes, tag: int, vr: str, context: Context) -> str:
    if vr == "PN":
        return _names(split_names(value, context.character_set), tag)
    decoded = vr in _DECODED
    if vr in _ONE_TEXT:
        text = decoders(context.character_set)[0](value) if decoded else value.decode("latin-1").strip()
        values = [text.rstrip("\0 ")]
    else:
        parts = split_values(value, context.character_set) if decoded else value.decode("latin-1").split("\\")
        strip = str.rstrip if vr == "UC" else str.strip
        values = [strip(part, "\0 ") for part in parts]
    if not any(values):
        return (
            member(tag, vr) if len(values) == 1 else member(tag, vr, f',"Value":[{",".join(["null"] * len(values))}]')
        )
    write = _number if vr in ("DS", "IS") else _dumps
    return member(tag, vr, f',"Value":[{",".join(write(part) if part else "null" for part in values)}]')


def _number(text: str) -> str:
    """As written where JSON allows it; what is no number stays text (§F.2.3)."""
    if _JSON_NUMBER.fullmatch(text):
        return text
    try:
        number = float(text)
    except ValueError:
        return _dumps(text)
    if not isfinite(number) or "_" in text or not text.isascii():
        return _dumps(text)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _names(found: list[list[str]], tag: int) -> str:
    names = []
    for part in found:
        groups = zip(_GROUPS, (group.strip("\0 ") for group in part), strict=False)
        members = ",".join(f'"{group}":{_dumps(text)}' for group, text in groups if text)
        names.append(f"{{{members}}}" if members else "null")
    if names == ["null"]:
        return member(tag, "PN")
    return member(tag, "PN", f',"Value":[{",".join(names)}]')


def broken(tag: int) -> InvalidArgument:
    return InvalidArgument(f"the header ends inside ({tag >> 16:04X},{tag & 0xFFFF:04X})")
