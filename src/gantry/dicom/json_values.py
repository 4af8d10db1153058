"""Values of DICOM JSON (PS3.18 §F.2.2, §F.2.3): bytes of an element to the text of its member."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from math import isfinite
from struct import unpack_from
from typing import NamedTuple

from gantry.dicom.dictionary import vr_of
from gantry.dicom.elements import Encoding
from gantry.dicom.tags import CHARACTER_SET, PIXEL_REPRESENTATION
from gantry.dicom.text import decoders, split_names, split_values
from gantry.dicom.vr import NUMBERS, ONE_TEXT, TABLE, TEXT
from gantry.dicom.words import swap_words
from gantry.matching import NAME_GROUPS

MAX_INLINE_OCTETS, MAX_INLINE_VALUES = 2048, 512
BULK_MEMBER = '"BulkDataURI"'
CONTEXT_TAGS = frozenset((CHARACTER_SET, PIXEL_REPRESENTATION))
"""What the texts of later elements depend on."""

_MAX_NUMBER = 32
"""Characters: a DS has 16, an IS 12 (PS3.5 §6.2); what is longer by far is no number that somebody meant."""

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"(?:\+|(-)|)0*([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Context(NamedTuple):
    """What the text of an element depends on, besides its bytes.

    ``signed`` is PixelRepresentation or, unknown, -1. ``bulk_uri`` is the address of the data set, empty where values
    can have none: then bulk data is left out. ``depth`` is how many sequences are around. ``keeps_digits``: DS and IS
    are texts, as they are stored but for their padding.
    """

    encoding: Encoding
    character_set: str
    signed: int
    bulk_uri: str
    depth: int = 0
    keeps_digits: bool = False


def depends_on_later(tag: int, vr: str, context: Context) -> bool:
    """Whether a PixelRepresentation that may follow decides the VR: the bytes alone do not say the text."""
    return context.signed < 0 and vr in ("", "UN") and " or " in vr_of(tag)


def write_member(tag: int, vr: str, rest: str = "") -> str:
    return f'"{tag:08X}":{{"vr":"{vr}"{rest}}}'


def write_bulk(tag: int, vr: str, context: Context) -> str:
    if not context.bulk_uri:
        return ""
    return write_member(tag, vr, f",{BULK_MEMBER}:{_dumps(f'{context.bulk_uri}/{tag:08X}')}")


def write_octets(value: bytes, tag: int, vr: str, context: Context) -> str:
    """Words in base64, little endian, where they are short."""
    if len(value) > MAX_INLINE_OCTETS:
        return write_bulk(tag, vr, context)
    if context.encoding.order == ">":
        value = swap_words(value, TABLE[vr].word)
    return write_member(tag, vr, f',"InlineBinary":"{b64encode(value).decode()}"')


def write_numbers(value: bytes, tag: int, vr: str, context: Context) -> str:
    """Binary numbers. Bytes that are no whole number of them are unknown to us: UN."""
    count, rest = divmod(len(value), NUMBERS[vr].unit)
    if rest:
        return write_bulk(tag, "UN", context)
    if count > MAX_INLINE_VALUES:
        return write_bulk(tag, vr, context)
    numbers = unpack_from(f"{context.encoding.order}{count * (2 if vr == 'AT' else 1)}{NUMBERS[vr].letter}", value)
    if vr == "AT":
        texts = [f'"{group:04X}{element:04X}"' for group, element in zip(numbers[::2], numbers[1::2], strict=True)]
    elif vr in ("FD", "FL"):
        texts = [repr(number) if isfinite(number) else _name_special(number) for number in numbers]
    else:
        texts = [str(number) for number in numbers]
    return write_member(tag, vr, f',"Value":[{",".join(texts)}]')


def _name_special(number: float) -> str:
    """What is no number in JSON (§F.2.3)."""
    return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'


def write_texts(value: bytes, tag: int, vr: str, context: Context) -> str:
    if vr == "PN":
        return _write_names(split_names(value, context.character_set), tag)
    if vr in ONE_TEXT:
        text = decoders(context.character_set)[0](value) if vr in TEXT else value.decode("latin-1").strip()
        values = [text.rstrip("\0 ")]
    else:
        parts = split_values(value, context.character_set) if vr in TEXT else value.decode("latin-1").split("\\")
        strip = str.rstrip if vr == "UC" else str.strip
        values = [strip(part, "\0 ") for part in parts]
    if not any(values):
        nulls = f',"Value":[{",".join(["null"] * len(values))}]'
        return write_member(tag, vr, nulls if len(values) > 1 else "")
    write = _write_number if vr in ("DS", "IS") and not context.keeps_digits else _dumps
    return write_member(tag, vr, f',"Value":[{",".join(write(part) if part else "null" for part in values)}]')


def _write_number(text: str) -> str:
    """As written where JSON allows it; what is no finite number of a sensible length stays text (§F.2.3)."""
    if len(text) > _MAX_NUMBER or not text.isascii() or "_" in text:
        return _dumps(text)
    try:
        number = float(text)
    except ValueError:
        return _dumps(text)
    if not isfinite(number):
        return _dumps(text)
    if _JSON_NUMBER.fullmatch(text):
        return text
    if found := _NUMBER.fullmatch(text):
        sign, whole, part, exponent = (each or "" for each in found.groups())
        return f"{sign}{whole or '0'}{f'.{part}' if part else ''}{exponent}"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _write_names(found: list[list[str]], tag: int) -> str:
    names = []
    for part in found:
        groups = zip(NAME_GROUPS, (group.strip("\0 ") for group in part), strict=False)
        members = ",".join(f'"{group}":{_dumps(text)}' for group, text in groups if text)
        names.append(f"{{{members}}}" if members else "null")
    if names == ["null"]:
        return write_member(tag, "PN")
    return write_member(tag, "PN", f',"Value":[{",".join(names)}]')
