"""DICOM JSON back to a Part 10 file (PS3.18 §F.2, §10.5.2): around one bulk value, which is streamed past."""

from __future__ import annotations

import re
import warnings
from base64 import b64decode
from collections.abc import Iterable, Iterator
from struct import pack
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gantry.dicom.forms import DEFLATED_LE, EXPLICIT_BE, FRAME_TYPES, IMPLICIT_LE, NATIVE_TARGETS
from gantry.dicom.layout import explicit_header
from gantry.dicom.rewriting import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gantry.errors import InvalidArgument

MAX_DEPTH = 100
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_UID = re.compile(r"[0-9.]{1,64}")
_REQUIRED = {
    "00080005": "SpecificCharacterSet",
    "00080016": "SOPClassUID",
    "00080018": "SOPInstanceUID",
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
}
_SYNTAX_TAGS = ("00020010", "00083002")
_BULK_VRS = ("OB", "OW", "UN")
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_MAX_DEFINED = 0xFFFFFFFE
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_TYPES = {uid: media_type for media_type, syntaxes in FRAME_TYPES for uid in syntaxes}


class Around(NamedTuple):
    """The bytes before and after the bulk value; ``bulk_uri`` is empty, and ``after`` too, where there is none."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    before: bytes
    after: bytes
    bulk_uri: str = ""
    tag: int = 0
    vr: str = ""


def around(attributes: Any) -> Around:
    """Raises InvalidArgument, which names the attribute."""
    _require_object(attributes)
    syntax = _transfer_syntax(attributes)
    bulk = _bulk(attributes)
    plain = {tag.upper(): element for tag, element in attributes.items() if not tag.startswith("0002") and tag != bulk}
    ds = _dataset(plain)
    uid = str(attributes["00080018"]["Value"][0])
    meta = _meta(str(attributes["00080016"]["Value"][0]), uid, syntax)
    implicit = syntax == IMPLICIT_LE
    if not bulk:
        return Around(uid, syntax, meta + _written(ds, implicit), b"")
    tag = int(bulk, 16)
    before, after = _written(ds[:tag], implicit), _written(ds[tag + 1 :], implicit)
    element = attributes[bulk]
    return Around(uid, syntax, meta + before, after, str(element["BulkDataURI"]), tag, str(element["vr"]))


def file_chunks(frame: Around, bulk: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The whole file; ``size`` is that of the bulk value in bytes. Compressed pixels become one fragment."""
    yield frame.before
    if frame.bulk_uri:
        padding = b"\0" * (size % 2)
        length = size + len(padding)
        if length > _MAX_DEFINED:
            raise InvalidArgument(f"bulk data of {size} bytes is longer than an element can be")
        if frame.tag == _PIXEL_DATA and frame.transfer_syntax_uid not in NATIVE_TARGETS:
            yield explicit_header(frame.tag, "OB", _UNDEFINED) + _ITEM + bytes(4) + _ITEM + pack("<I", length)
            yield from bulk
            yield padding + _SEQUENCE_END
        else:
            implicit = frame.transfer_syntax_uid == IMPLICIT_LE
            head = pack("<HHI", frame.tag >> 16, frame.tag & 0xFFFF, length)
            yield head if implicit else explicit_header(frame.tag, frame.vr, length)
            yield from bulk
            yield padding
    yield frame.after


def check_bulk_type(frame: Around, content_type: str) -> None:
    """Pixels come in the media type of their transfer syntax (spec §10.2.8). Raises InvalidArgument."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower() or "application/octet-stream"
    compressed = _TYPES.get(frame.transfer_syntax_uid, "")
    if media_type != "application/octet-stream" and (frame.tag != _PIXEL_DATA or media_type != compressed):
        raise InvalidArgument(f"bulk data of type {media_type[:100]!r} does not go with {frame.transfer_syntax_uid}")
    named = re.search(r'transfer-syntax\s*=\s*"?([0-9.*]+)', parameters)
    if named and media_type != "application/octet-stream" and named[1] != frame.transfer_syntax_uid:
        raise InvalidArgument(f"bulk data in {named[1][:70]}, but the TransferSyntaxUID is {frame.transfer_syntax_uid}")


# --- checks


def _require_object(attributes: Any) -> None:
    if not isinstance(attributes, dict):
        raise InvalidArgument("an instance is a JSON object of attributes")
    for tag, element in attributes.items():
        if not _TAG.fullmatch(tag) or not isinstance(element, dict) or not isinstance(element.get("vr"), str):
            raise InvalidArgument(f"{tag[:100]!r} is not an attribute: 8 hexadecimal digits and an object with a vr")
    for tag, name in _REQUIRED.items():
        values = attributes.get(tag, {}).get("Value")
        if not isinstance(values, list) or not values or not isinstance(values[0], str):
            raise InvalidArgument(f"{name} ({tag}) is missing")
        if name.endswith("UID") and not _UID.fullmatch(values[0]):
            raise InvalidArgument(f"{name} ({tag}) is no UID: {values[0][:100]!r}")
    if attributes["00080005"]["Value"] != ["ISO_IR 192"]:
        raise InvalidArgument("SpecificCharacterSet (00080005) must be ISO_IR 192: JSON is UTF-8")


def _transfer_syntax(attributes: Any) -> str:
    for tag in _SYNTAX_TAGS:
        values = attributes.get(tag, {}).get("Value")
        if isinstance(values, list) and values and isinstance(values[0], str) and _UID.fullmatch(values[0]):
            if values[0] in (EXPLICIT_BE, DEFLATED_LE):
                raise InvalidArgument(f"TransferSyntaxUID {values[0]} cannot be stored from JSON")
            return values[0]
    raise InvalidArgument("TransferSyntaxUID (00020010) is missing")


def _bulk(attributes: Any) -> str:
    """The tag of the one element with a BulkDataURI, or ""."""
    found = [tag for tag, element in attributes.items() if "BulkDataURI" in element]
    if len(found) > 1:
        raise InvalidArgument(f"{', '.join(found[:5])} all have a BulkDataURI; one attribute can")
    _require_binary(attributes)
    for tag in found:
        element = attributes[tag]
        if element["vr"] not in _BULK_VRS or not isinstance(element["BulkDataURI"], str) or not element["BulkDataURI"]:
            raise InvalidArgument(f"{tag}: a BulkDataURI is for the VRs {', '.join(_BULK_VRS)}")
    pixels = attributes.get("7FE00010") or attributes.get("7fe00010")
    if pixels is not None and "BulkDataURI" not in pixels and (pixels.get("InlineBinary") or pixels.get("Value")):
        raise InvalidArgument("PixelData (7FE00010) must be bulk data in a part of its own")
    return found[0] if found else ""


def _require_binary(attributes: Any, depth: int = 0) -> None:
    """Base64 as RFC 4648 has it, everywhere, and addresses nowhere but at the top."""
    if depth > MAX_DEPTH:
        raise InvalidArgument(f"sequences are nested deeper than {MAX_DEPTH} levels")
    for tag, element in attributes.items():
        if not isinstance(element, dict):
            raise InvalidArgument(f"{tag[:100]!r} is not an attribute: an object with a vr")
        if depth and "BulkDataURI" in element:
            raise InvalidArgument(f"{tag[:100]}: stands in a sequence, where no BulkDataURI can be")
        try:
            b64decode(element.get("InlineBinary") or "", validate=True)
        except (ValueError, TypeError):
            raise InvalidArgument(f"{tag[:100]}: the InlineBinary is no Base64, so it cannot be read") from None
        if element.get("vr") == "SQ" and isinstance(element.get("Value"), list):
            for item in element["Value"]:
                if isinstance(item, dict):
                    _require_binary(item, depth + 1)


# --- writing


def _dataset(plain: dict[str, Any]) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what pydicom only warns of would be stored as something else
        try:
            return Dataset.from_json(plain)
        except InvalidArgument:
            raise
        except Exception as error:
            raise InvalidArgument(f"the attributes cannot be read: {str(error)[:300]}") from None


def _written(ds: Dataset, implicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = implicit, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write_dataset(out, ds)
        except Exception as error:
            raise InvalidArgument(f"the attributes cannot be written: {str(error)[:300]}") from None
    return bytes(out.getvalue())


def _meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    texts = (
        (0x00020002, "UI", sop_class_uid),
        (0x00020003, "UI", sop_instance_uid),
        (0x00020010, "UI", transfer_syntax_uid),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
    )
    group = explicit_header(0x00020001, "OB", 2) + b"\0\1"
    for tag, vr, text in texts:
        value = text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
        group += explicit_header(tag, vr, len(value)) + value
    return bytes(128) + b"DICM" + explicit_header(0x00020000, "UL", 4) + pack("<I", len(group)) + group
