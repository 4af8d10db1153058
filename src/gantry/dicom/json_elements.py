"""DICOM JSON elements to bytes (PS3.18 §F.2), as their VR has them (PS3.5 §6.2), or refused.

Nothing is rounded, cut off, replaced or left out but group lengths. A number of a DS with more digits than fit into 16
characters is the one exception.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from math import isfinite
from struct import error as StructError
from struct import pack
from typing import Any, NamedTuple

from gantry.dicom.dictionary import keyword_of, vr_of
from gantry.dicom.elements import MAX_DEPTH
from gantry.dicom.file_meta import explicit_head, implicit_head
from gantry.dicom.tags import CHARACTER_SET, ITEM, SEQUENCE_END, UNDEFINED, is_group_length
from gantry.dicom.text import encode
from gantry.dicom.value_forms import Unwritable, require_form, shorten_decimal
from gantry.dicom.vr import NUMBERS, OCTETS, ONE_TEXT, SHORT, TABLE, TEXT
from gantry.errors import InvalidArgument
from gantry.matching import NAME_GROUPS

logger = logging.getLogger(__name__)

_SHOWN = 300
"""Characters of a place in messages: its end, as sequences may be deep."""

KINDS = ("Value", "InlineBinary", "BulkDataURI")
_MEMBERS = frozenset(("vr", *KINDS))
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_INTEGERS = frozenset(("SS", "US", "SL", "UL", "SV", "UV"))
_NO_NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf", "inf": "inf", "-inf": "-inf"}

Attributes = dict[int, dict[str, Any]]
"""Elements of the DICOM JSON model by tag."""


class BulkValue(NamedTuple):
    """A bulk value of the file that is written anew, and whether its length is undefined there."""

    value: bytes
    has_fragments: bool


def name_of(tag: int) -> str:
    return f"{keyword_of(tag)} ({tag:08X})".lstrip()


def shown(value: Any) -> str:
    """For people; what is nested may be so too deeply to be shown."""
    return type(value).__name__ if isinstance(value, (dict, list)) else repr(value)[:100]


def by_tag(attributes: Any, where: str = "") -> Attributes:
    """The attributes of a dataset, each an object with a VR and at most one kind of value (PS3.18 §F.2.2)."""
    if not isinstance(attributes, dict):
        raise InvalidArgument(f"{where[-_SHOWN:] or 'an instance '}is no JSON object of attributes")
    found: Attributes = {}
    for key, element in attributes.items():
        name = f"{where[-_SHOWN:]}{key[:100]!r}"
        if not _TAG.fullmatch(key) or not isinstance(element, dict) or not isinstance(element.get("vr"), str):
            raise InvalidArgument(f"{name} is not an attribute: 8 hexadecimal digits and an object with a vr")
        tag = int(key, 16)
        if tag in found:
            raise InvalidArgument(f"{name} is there twice, in upper and in lower case")
        if (tag < 0x00080000 and (where or tag >> 16 != 2)) or tag >> 16 in (0xFFFE, 0xFFFF):
            raise InvalidArgument(f"{name} cannot be in a dataset (PS3.5 §7.1)")
        if element["vr"] not in TABLE:
            raise InvalidArgument(f"{name} cannot be written: {element['vr'][:10]!r} is no VR")
        if unknown := element.keys() - _MEMBERS:
            raise InvalidArgument(f"{name} has {min(unknown)[:100]!r}, which is none of vr, {', '.join(KINDS)}")
        if sum(kind in element for kind in KINDS) > 1:
            raise InvalidArgument(f"{name} has more than one of {', '.join(KINDS)}")
        found[tag] = element
    return found


def to_json(element: Any) -> str:
    """Equal for what is the same JSON."""
    return json.dumps(element, sort_keys=True)


class ElementEncoder(NamedTuple):
    """How elements are written. ``known`` are those of the old file, which may be as wrong as they were there.

    ``find_bulk`` gives a bulk value of the old file by its address, tag and VR.
    """

    implicit: bool
    character_set: str
    known: frozenset[str] = frozenset()
    find_bulk: Callable[[Any, int, str], BulkValue] | None = None

    def encode(self, attributes: Attributes, where: str = "", depth: int = 0) -> bytes:
        """Elements in the order of their tags, without group lengths, which are retired (PS3.5 §7.2).

        As deep as DICOM JSON is that the server writes, so that this can be stored again, and patched at any depth.
        Raises InvalidArgument, which names the attribute.
        """
        if depth > MAX_DEPTH:
            raise InvalidArgument(f"{where[:100]}: sequences are nested deeper than {MAX_DEPTH} levels")
        encoder = self
        if depth and CHARACTER_SET in attributes:
            encoder = self._replace(character_set=character_set_of(attributes[CHARACTER_SET]))
        pieces = []  # not by a generator, which would be one call more at each level
        for tag in sorted(attributes):
            if not is_group_length(tag):
                pieces.append(encoder._encode_element(tag, attributes[tag], where + name_of(tag), depth))
        return b"".join(pieces)

    def _encode_element(self, tag: int, element: dict[str, Any], where: str, depth: int) -> bytes:
        vr = element["vr"]
        try:
            if self.implicit and vr != "UN" and (expected := vr_of(tag)) != "UN" and vr not in expected:
                raise Unwritable(f"it is {expected}, not {vr}, and in implicit VR nobody would know")
            if "BulkDataURI" in element:
                if self.find_bulk is None:
                    raise Unwritable("no BulkDataURI can be in a sequence")
                return self._encode_bulk(tag, vr, *self.find_bulk(element["BulkDataURI"], tag, vr))
            if vr == "SQ":
                value = self._encode_items(_read_values(element), where, depth)
                return write_head(tag, vr, len(value), self.implicit) + value
            value = self._encode_value(vr, element)
            value += (b"\0" if vr == "UI" or vr in OCTETS else b" ") * (len(value) % 2)
            return write_head(tag, vr, len(value), self.implicit) + value
        except Unwritable as error:
            raise InvalidArgument(f"{where[-_SHOWN:]} cannot be written: {str(error)[:300]}") from None
        except (ValueError, OverflowError) as error:
            logger.warning("%s cannot be written", where[-_SHOWN:], exc_info=error)
            raise InvalidArgument(f"{where[-_SHOWN:]} cannot be written: it is no value that {vr} can have") from None

    def _encode_bulk(self, tag: int, vr: str, value: bytes, has_fragments: bool) -> bytes:
        """As it was, also where its length is odd: with a byte more it might be another number."""
        if has_fragments:
            return write_head(tag, vr, UNDEFINED, self.implicit) + value + implicit_head(SEQUENCE_END, 0)
        return write_head(tag, vr, len(value), self.implicit) + value

    def _encode_items(self, values: list[Any], where: str, depth: int) -> bytes:
        pieces: list[bytes] = []
        for number, item in enumerate(values):
            place = f"{where}/{number}/"
            body = self.encode(by_tag(item, place), place, depth + 1)
            pieces += (implicit_head(ITEM, len(body)), body)
        return b"".join(pieces)

    def _encode_value(self, vr: str, element: dict[str, Any]) -> bytes:
        """Raises Unwritable."""
        if vr in OCTETS:
            return _encode_octets(vr, element)
        values = _read_values(element)
        if vr == "AT":
            return b"".join(map(_encode_tag, values))
        if vr in NUMBERS:
            return b"".join(_encode_number(vr, value) for value in values)
        is_strict = not self.known or to_json(element) not in self.known
        if vr in ONE_TEXT and len(values) > 1:
            raise Unwritable(f"{vr} has one value, not {len(values)}")
        return b"\\".join(_encode_text(vr, value, is_strict, self.character_set) for value in values)


def character_set_of(element: Any) -> str:
    values = element.get("Value") if isinstance(element, dict) else None
    return "\\".join(str(value or "") for value in values) if isinstance(values, list) else ""


def write_head(tag: int, vr: str, length: int, implicit: bool) -> bytes:
    """UN for what is too long for its VR, where the dictionary knows it (PS3.5 §6.2.2). Raises Unwritable."""
    if implicit:
        return implicit_head(tag, length)
    if length > 0xFFFE and vr.encode() in SHORT:
        if vr_of(tag) != vr:
            raise Unwritable(f"{length} bytes are more than a {vr} can have")
        vr = "UN"
    return explicit_head(tag, vr, length)


def _read_values(element: Mapping[str, Any]) -> list[Any]:
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise Unwritable("Value is no array")
    if "InlineBinary" in element:
        raise Unwritable(f"InlineBinary is for {', '.join(sorted(OCTETS))}, not {element['vr']}")
    return values


def _encode_octets(vr: str, element: dict[str, Any]) -> bytes:
    text = element.get("InlineBinary", "")
    if "Value" in element or not isinstance(text, str):
        raise Unwritable(f"{vr} has an InlineBinary, a string")
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise Unwritable("the InlineBinary is no Base64") from None
    if len(value) % TABLE[vr].unit:
        raise Unwritable(f"{len(value)} bytes are no whole number of {TABLE[vr].unit}-byte words")
    return value


def _encode_number(vr: str, value: Any) -> bytes:
    number = _parse_integer(vr, value) if vr in _INTEGERS else _parse_float(vr, value)
    try:
        return pack("<" + NUMBERS[vr].letter, number)
    except (StructError, OverflowError):
        raise Unwritable(f"{shown(value)} does not fit {vr}") from None


def _encode_tag(value: Any) -> bytes:
    if not isinstance(value, str) or not _TAG.fullmatch(value):
        raise Unwritable(f"{shown(value)} is not the 8 hexadecimal digits of a tag")
    return pack("<HH", int(value[:4], 16), int(value[4:], 16))


def _parse_integer(vr: str, value: Any) -> int:
    """64-bit ones may be text, as many a JSON parser has no such numbers (PS3.18 §F.2.3)."""
    if isinstance(value, str) and vr in ("SV", "UV") and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unwritable(f"{shown(value)} is no whole number")
    return value


def _parse_float(vr: str, value: Any) -> float:
    if isinstance(value, str) and value in _NO_NUMBERS:
        return float(_NO_NUMBERS[value])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise Unwritable(f"{shown(value)} is no number that {vr} can be")
    return float(value)


def _encode_text(vr: str, value: Any, strict: bool, character_set: str) -> bytes:
    if value is None:
        return b""
    if vr == "PN":
        text = _join_name(value)
    elif vr in ("DS", "IS") and not isinstance(value, str):
        text = _format_decimal(vr, value, strict)
    else:
        text = value
    if not isinstance(text, str):
        raise Unwritable(f"{shown(value)} is no string")
    if "\0" in text or ("\\" in text and vr not in ONE_TEXT):
        raise Unwritable("a value has a zero or a backslash in it, where neither can be")
    if strict:
        require_form(vr, text)
    if vr not in TEXT:
        try:
            return text.encode("ascii" if strict else "latin-1")
        except UnicodeEncodeError:
            raise Unwritable(f"{shown(value)} has characters that {vr} cannot have") from None
    return encode(text, character_set)


def _format_decimal(vr: str, value: Any, strict: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise Unwritable(f"{shown(value)} is no number that {vr} can be")
    if vr == "IS" and strict:
        return str(_parse_integer(vr, value))
    text = repr(value)
    return text if len(text) <= 16 else shorten_decimal(float(value))


def _join_name(value: Any) -> str:
    """The component groups of PS3.18 §F.2.2, joined as in PS3.5 §6.2."""
    if not isinstance(value, dict) or value.keys() - set(NAME_GROUPS):
        raise Unwritable(f"a PN is an object of {', '.join(NAME_GROUPS)}")
    groups = [value.get(group, "") for group in NAME_GROUPS]
    if not all(isinstance(group, str) and "=" not in group for group in groups):
        raise Unwritable("a component group is a string without =")
    return "=".join(groups).rstrip("=")
