"""DICOM JSON back to a Part 10 file (PS3.18 §F.2, §10.5.2): around one bulk value, which is streamed past.

An element is written as its VR has it (PS3.5 §6.2), or refused: nothing is rounded, cut off, replaced or left out but
group lengths. A number of a DS with more digits than fit into 16 characters is the one exception.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from struct import error as StructError
from struct import pack
from typing import Any, NamedTuple

from pydicom.config import RAISE
from pydicom.valuerep import format_number_as_ds, validate_value

from gantry.dicom.dictionary import keyword_of, vr_of
from gantry.dicom.file_meta import explicit_head, write_meta
from gantry.dicom.forms import DEFLATED_LE, EXPLICIT_BE, FRAME_TYPES, IMPLICIT_LE, NATIVE_TARGETS
from gantry.dicom.tags import AVAILABLE_TRANSFER_SYNTAX, CHARACTER_SET, IDENTITY, PIXEL_DATA, TRANSFER_SYNTAX, UNDEFINED
from gantry.dicom.text import encode
from gantry.dicom.vr import NUMBERS, ONE_TEXT, SHORT, TABLE, TEXT
from gantry.errors import InvalidArgument

MAX_DEPTH = 100
UTF_8 = "ISO_IR 192"
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(?:\.[0-9]+)*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_BULK_VRS = ("OB", "OW", "UN")
_MAX_DEFINED = 0xFFFFFFFE
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_TYPES = {uid: media_type for media_type, syntaxes in FRAME_TYPES for uid in syntaxes}
_TYPES |= dict.fromkeys(("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"), "image/jpx")
_REFUSED = (EXPLICIT_BE, DEFLATED_LE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
"""Big endian, and those whose dataset is deflated (PS3.5 §A.3, §A.5, §A.6)."""

_WORDS = {vr: TABLE[vr].word for vr in ("OB", "UN", "OW", "OF", "OL", "OD", "OV")}
_INTEGERS = frozenset(("SS", "US", "SL", "UL", "SV", "UV"))
_NO_NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf", "inf": "inf", "-inf": "-inf"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
ASCII = ("", "ISO_IR 6")
_KINDS = ("Value", "InlineBinary", "BulkDataURI")
_MEMBERS = frozenset(("vr", *_KINDS))

Attributes = dict[int, dict[str, Any]]


class Around(NamedTuple):
    """The bytes before and after the bulk value; ``bulk_uri`` is empty, and ``after`` too, where there is none."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    before: bytes
    after: bytes
    bulk_uri: str = ""
    tag: int = 0
    vr: str = ""


class OldBulk(NamedTuple):
    """A bulk value of the old file, and whether its length is undefined there."""

    value: bytes
    fragments: bool


class How(NamedTuple):
    """How elements are written. ``known`` are those of the old file, which may be as wrong as they were there.

    ``old`` gives a bulk value of the old file by its address, tag and VR.
    """

    implicit: bool
    character_set: str
    known: frozenset[str] = frozenset()
    old: Callable[[Any, int, str], OldBulk] | None = None


def around(attributes: Any) -> Around:
    """Raises InvalidArgument, which names the attribute."""
    every = by_tag(attributes)
    sop_class, uid, *_ = (_required_uid(every, tag) for tag in IDENTITY)
    if every.get(CHARACTER_SET, {}).get("Value") != [UTF_8]:
        raise InvalidArgument(f"{name_of(CHARACTER_SET)} is missing or not {UTF_8}: JSON is UTF-8")
    syntax = _required_uid(
        every,
        TRANSFER_SYNTAX
        if TRANSFER_SYNTAX in every or AVAILABLE_TRANSFER_SYNTAX not in every
        else AVAILABLE_TRANSFER_SYNTAX,
    )
    if syntax in _REFUSED:
        raise InvalidArgument(f"{name_of(TRANSFER_SYNTAX)} {syntax} cannot be stored from JSON")
    bulk = _bulk_tag(every)
    how = How(syntax == IMPLICIT_LE, UTF_8)
    plain = {tag: element for tag, element in every.items() if tag >> 16 != 2 and tag != bulk}
    meta = write_meta(sop_class, uid, syntax)
    if bulk is None:
        return Around(uid, syntax, meta + written(plain, how), b"")
    before = written({tag: element for tag, element in plain.items() if tag < bulk}, how)
    after = written({tag: element for tag, element in plain.items() if tag > bulk}, how)
    return Around(uid, syntax, meta + before, after, every[bulk]["BulkDataURI"], bulk, every[bulk]["vr"])


def file_chunks(frame: Around, bulk: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The whole file; ``size`` is that of the bulk value in bytes. Compressed pixels become one fragment."""
    yield frame.before
    if frame.bulk_uri:
        padding = b"\0" * (size % 2)
        length = size + len(padding)
        if length > _MAX_DEFINED:
            raise InvalidArgument(f"bulk data of {size} bytes is longer than an element can be")
        if frame.tag == PIXEL_DATA and frame.transfer_syntax_uid not in NATIVE_TARGETS:
            yield explicit_head(frame.tag, "OB", UNDEFINED) + _ITEM + bytes(4) + _ITEM + pack("<I", length)
            yield from bulk
            yield padding + _SEQUENCE_END
        else:
            yield _header(frame.tag, frame.vr, length, frame.transfer_syntax_uid == IMPLICIT_LE)
            yield from bulk
            yield padding
    yield frame.after


def check_bulk_type(frame: Around, content_type: str) -> None:
    """Pixels come in the media type of their transfer syntax (spec §10.2.8). Raises InvalidArgument."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower() or "application/octet-stream"
    compressed = _TYPES.get(frame.transfer_syntax_uid, "")
    if media_type != "application/octet-stream" and (frame.tag != PIXEL_DATA or media_type != compressed):
        raise InvalidArgument(f"bulk data of type {media_type[:100]!r} does not go with {frame.transfer_syntax_uid}")
    named = re.search(r'transfer-syntax\s*=\s*"?([0-9.*]+)', parameters, re.IGNORECASE)
    if named and named[1] not in ("*", frame.transfer_syntax_uid):
        raise InvalidArgument(f"bulk data in {named[1][:70]}, but the TransferSyntaxUID is {frame.transfer_syntax_uid}")


# --- checks


def name_of(tag: int) -> str:
    return f"{keyword_of(tag)} ({tag:08X})".lstrip()


def _shown(value: Any) -> str:
    """For people; what is nested may be so too deeply to be shown."""
    return type(value).__name__ if isinstance(value, (dict, list)) else repr(value)[:100]


def by_tag(attributes: Any, where: str = "") -> Attributes:
    """The attributes of a dataset, each an object with a VR and at most one kind of value (PS3.18 §F.2.2)."""
    if not isinstance(attributes, dict):
        raise InvalidArgument(f"{where or 'an instance '}is no JSON object of attributes")
    found: Attributes = {}
    for key, element in attributes.items():
        name = f"{where}{key[:100]!r}"
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
            raise InvalidArgument(f"{name} has {min(unknown)[:100]!r}, which is none of vr, {', '.join(_KINDS)}")
        if sum(kind in element for kind in _KINDS) > 1:
            raise InvalidArgument(f"{name} has more than one of {', '.join(_KINDS)}")
        found[tag] = element
    return found


def _required_uid(every: Attributes, tag: int) -> str:
    values = every.get(tag, {}).get("Value")
    if not isinstance(values, list) or not values or not values[0]:
        raise InvalidArgument(f"{name_of(tag)} is missing")
    if every[tag]["vr"] != "UI" or len(values) > 1 or not isinstance(values[0], str) or not _UID.fullmatch(values[0]):
        raise InvalidArgument(f"{name_of(tag)} is not one UID: {_shown(values[0])}")
    return values[0]


def _bulk_tag(every: Attributes) -> int | None:
    """The element with a BulkDataURI, where there is one (spec §10.2.8)."""
    found = [tag for tag, element in every.items() if "BulkDataURI" in element]
    if len(found) > 1:
        raise InvalidArgument(f"{', '.join(map(name_of, found[:5]))} all have a BulkDataURI; one attribute can")
    for tag in found:
        uri = every[tag]["BulkDataURI"]
        if every[tag]["vr"] not in _BULK_VRS or not isinstance(uri, str) or not uri or tag >> 16 == 2:
            raise InvalidArgument(f"{name_of(tag)}: a BulkDataURI is a string, for the VRs {', '.join(_BULK_VRS)}")
    if PIXEL_DATA in every and PIXEL_DATA not in found and any(map(every[PIXEL_DATA].get, _KINDS)):
        raise InvalidArgument(f"{name_of(PIXEL_DATA)} must be bulk data in a part of its own")
    if found == [PIXEL_DATA] and every[PIXEL_DATA]["vr"] == "UN":
        raise InvalidArgument(f"{name_of(PIXEL_DATA)} is OB or OW, not UN")
    return found[0] if found else None


# --- writing


def json_of(element: Any) -> str:
    """Equal for what is the same JSON."""
    return json.dumps(element, sort_keys=True)


def written(attributes: Attributes, how: How, where: str = "", depth: int = 0) -> bytes:
    """Elements in the order of their tags, without group lengths, which are retired (PS3.5 §7.2)."""
    if depth > MAX_DEPTH:
        raise InvalidArgument(f"{where[:100]}: sequences are nested deeper than {MAX_DEPTH} levels")
    if depth and CHARACTER_SET in attributes:
        how = how._replace(character_set=character_set_of(attributes[CHARACTER_SET]))
    pieces = []
    for tag in sorted(attributes):
        if tag & 0xFFFF:
            pieces.append(_element(tag, attributes[tag], how, where + name_of(tag), depth))
    return b"".join(pieces)


def character_set_of(element: Any) -> str:
    values = element.get("Value") if isinstance(element, dict) else None
    return "\\".join(str(value or "") for value in values) if isinstance(values, list) else ""


def _element(tag: int, element: dict[str, Any], how: How, where: str, depth: int) -> bytes:
    vr = element["vr"]
    try:
        if how.implicit and vr != "UN" and (expected := vr_of(tag)) != "UN" and vr not in expected:
            raise ValueError(f"it is {expected}, not {vr}, and in implicit VR nobody would know")
        if "BulkDataURI" in element:
            if how.old is None:
                raise ValueError("no BulkDataURI can be in a sequence")
            value, fragments = how.old(element["BulkDataURI"], tag, vr)
            if fragments:
                return _header(tag, vr, UNDEFINED, how.implicit) + value + _SEQUENCE_END
        elif vr == "SQ":
            value = _items(_values(element), how, where, depth)
        else:
            value = _value(vr, element, how)
        value += (b"\0" if vr == "UI" or vr in _WORDS else b" ") * (len(value) % 2)
        return _header(tag, vr, len(value), how.implicit) + value
    except (ValueError, OverflowError, StructError) as error:
        reason = str(error).partition(" Please see")[0][:300]
        raise InvalidArgument(f"{where} cannot be written: {reason}") from None


def _header(tag: int, vr: str, length: int, implicit: bool) -> bytes:
    """UN for what is too long for its VR, where the dictionary knows it (PS3.5 §6.2.2). Raises ValueError."""
    if implicit:
        return pack("<HHI", tag >> 16, tag & 0xFFFF, length)
    if length > 0xFFFE and vr.encode() in SHORT:
        if vr_of(tag) != vr:
            raise ValueError(f"{length} bytes are more than a {vr} can have")
        vr = "UN"
    return explicit_head(tag, vr, length)


def _values(element: Mapping[str, Any]) -> list[Any]:
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise ValueError("Value is no array")
    if "InlineBinary" in element:
        raise ValueError(f"InlineBinary is for {', '.join(_WORDS)}, not {element['vr']}")
    return values


def _items(values: list[Any], how: How, where: str, depth: int) -> bytes:
    pieces: list[bytes] = []
    for number, item in enumerate(values):
        place = f"{where}/{number}/"
        body = written(by_tag(item, place), how, place, depth + 1)
        pieces += (_ITEM, pack("<I", len(body)), body)
    return b"".join(pieces)


def _value(vr: str, element: dict[str, Any], how: How) -> bytes:
    """Raises ValueError, OverflowError or struct.error."""
    if vr in _WORDS:
        return _octets(vr, element)
    values = _values(element)
    if vr == "AT":
        return b"".join(map(_tag, values))
    if vr in NUMBERS:
        write = _integer if vr in _INTEGERS else _float
        return b"".join(pack("<" + NUMBERS[vr].letter, write(vr, value)) for value in values)
    strict = not how.known or json_of(element) not in how.known
    if vr in ONE_TEXT and len(values) > 1:
        raise ValueError(f"{vr} has one value, not {len(values)}")
    return b"\\".join(_text(vr, value, strict, how.character_set) for value in values)


def _octets(vr: str, element: dict[str, Any]) -> bytes:
    text = element.get("InlineBinary", "")
    if "Value" in element or not isinstance(text, str):
        raise ValueError(f"{vr} has an InlineBinary, a string")
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise ValueError("the InlineBinary is no Base64") from None
    if len(value) % _WORDS[vr]:
        raise ValueError(f"{len(value)} bytes are no whole number of {_WORDS[vr]}-byte words")
    return value


def _tag(value: Any) -> bytes:
    if not isinstance(value, str) or not _TAG.fullmatch(value):
        raise ValueError(f"{_shown(value)} is not the 8 hexadecimal digits of a tag")
    return pack("<HH", int(value[:4], 16), int(value[4:], 16))


def _integer(vr: str, value: Any) -> int:
    """64-bit ones may be text, as many a JSON parser has no such numbers (PS3.18 §F.2.3)."""
    if isinstance(value, str) and vr in ("SV", "UV") and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_shown(value)} is no whole number")
    return value


def _float(vr: str, value: Any) -> float:
    if isinstance(value, str) and value in _NO_NUMBERS:
        return float(_NO_NUMBERS[value])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError(f"{_shown(value)} is no number that {vr} can be")
    return float(value)


def _text(vr: str, value: Any, strict: bool, character_set: str) -> bytes:
    if value is None:
        return b""
    if vr == "PN":
        text = _name_text(value)
    elif vr in ("DS", "IS") and not isinstance(value, str):
        text = _decimal(vr, value, strict)
    else:
        text = value
    if not isinstance(text, str):
        raise ValueError(f"{_shown(value)} is no string")
    if "\0" in text or ("\\" in text and vr not in ONE_TEXT):
        raise ValueError("a value has a zero or a backslash in it, where neither can be")
    if strict:
        _require_form(vr, text)
    if vr not in TEXT:
        return text.encode("ascii" if strict else "latin-1")
    return encode(text, character_set)


def _require_form(vr: str, text: str) -> None:
    """Characters and lengths as PS3.5 §6.2 has them. Raises ValueError."""
    if vr == "UI":
        if text and not _UID.fullmatch(text):
            raise ValueError(f"{text[:100]!r} is no UID")
        return
    validate_value(vr, text, RAISE)
    if vr == "IS" and text.strip() and not -(2**31) <= int(text) < 2**31:
        raise ValueError(f"{text[:100]!r} does not fit IS")


def _decimal(vr: str, value: Any, strict: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError(f"{_shown(value)} is no number that {vr} can be")
    if vr == "IS" and strict:
        return str(_integer(vr, value))
    text = repr(value)
    return text if len(text) <= 16 else format_number_as_ds(float(value)).strip()


def _name_text(value: Any) -> str:
    """The component groups of PS3.18 §F.2.2, joined as in PS3.5 §6.2."""
    if not isinstance(value, dict) or value.keys() - set(_GROUPS):
        raise ValueError(f"a PN is an object of {', '.join(_GROUPS)}")
    groups = [value.get(group, "") for group in _GROUPS]
    if not all(isinstance(group, str) and "=" not in group for group in groups):
        raise ValueError("a component group is a string without =")
    return "=".join(groups).rstrip("=")
