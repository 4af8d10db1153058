"""DICOM JSON to a Part 10 file (PS3.18 §F.2, §10.5.2): around one bulk value, which is streamed past."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gantry.dicom.file_meta import explicit_head, implicit_head, write_meta
from gantry.dicom.forms import EXPLICIT_BE, FRAME_TYPES, IMPLICIT_LE, NATIVE_TARGETS, OCTETS, video_types
from gantry.dicom.json_elements import KINDS, Attributes, ElementEncoder, by_tag, name_of, shown, to_json, write_head
from gantry.dicom.part10 import DEFLATED_UIDS
from gantry.dicom.tags import (
    AVAILABLE_TRANSFER_SYNTAX,
    CHARACTER_SET,
    IDENTITY,
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    TRANSFER_SYNTAX,
    UNDEFINED,
)
from gantry.errors import InvalidArgument
from gantry.names import is_other_uid, is_uid

UTF_8 = "ISO_IR 192"
_BULK_VRS = ("OB", "OW", "UN")
_MAX_DEFINED = UNDEFINED - 1
_TYPES = {uid: media_type for media_type, syntaxes in FRAME_TYPES for uid in syntaxes}
_TYPES |= dict.fromkeys(("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"), "image/jpx")
_DOCUMENT, _DOCUMENT_TYPE = 0x00420011, 0x00420012
_REFUSED = DEFLATED_UIDS | {EXPLICIT_BE}
"""Transfer syntaxes that cannot be written from JSON (PS3.5 §A.3, §A.5, §A.6)."""


class SplitFile(NamedTuple):
    """The bytes before and after the bulk value; ``bulk_uri`` is empty, and ``after`` too, where there is none.

    ``document_type`` is the media type that a document names.
    """

    sop_instance_uid: str
    transfer_syntax_uid: str
    before: bytes
    after: bytes
    bulk_uri: str = ""
    tag: int = 0
    vr: str = ""
    document_type: str = ""


def encode_instance(attributes: Any) -> SplitFile:
    """Raises InvalidArgument, which names the attribute."""
    every = by_tag(attributes)
    sop_class, uid, *_ = (_require_uid(every, tag) for tag in IDENTITY)
    if every.get(CHARACTER_SET, {}).get("Value") != [UTF_8]:
        raise InvalidArgument(f"{name_of(CHARACTER_SET)} is missing or not {UTF_8}: JSON is UTF-8")
    is_available = AVAILABLE_TRANSFER_SYNTAX in every and TRANSFER_SYNTAX not in every
    syntax = _require_uid(every, AVAILABLE_TRANSFER_SYNTAX if is_available else TRANSFER_SYNTAX)
    if syntax in _REFUSED:
        raise InvalidArgument(f"{name_of(TRANSFER_SYNTAX)} {syntax} cannot be stored from JSON")
    bulk = _find_bulk_tag(every)
    encoder = ElementEncoder(syntax == IMPLICIT_LE, UTF_8, known=_find_other_uids(every, attributes))
    plain = {tag: element for tag, element in every.items() if tag >> 16 != 2 and tag != bulk}
    meta = write_meta(sop_class, uid, syntax)
    if bulk is None:
        return SplitFile(uid, syntax, meta + encoder.encode(plain), b"")
    before = encoder.encode({tag: element for tag, element in plain.items() if tag < bulk})
    after = encoder.encode({tag: element for tag, element in plain.items() if tag > bulk})
    named = _find_document_type(every) if bulk == _DOCUMENT else ""
    return SplitFile(uid, syntax, meta + before, after, every[bulk]["BulkDataURI"], bulk, every[bulk]["vr"], named)


def _find_document_type(every: Attributes) -> str:
    named = every.get(_DOCUMENT_TYPE, {}).get("Value")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        return ""
    return named[0].partition(";")[0].strip().lower()  # without parameters, as the type of the part is compared


def file_chunks(file: SplitFile, bulk: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The whole file; ``size`` is that of the bulk value in bytes. Compressed pixels become one fragment."""
    yield file.before
    if file.bulk_uri:
        padding = b"\0" * (size % 2)
        length = size + len(padding)
        if length > _MAX_DEFINED:
            raise InvalidArgument(f"bulk data of {size} bytes is longer than an element can be")
        if file.tag == PIXEL_DATA and file.transfer_syntax_uid not in NATIVE_TARGETS:
            yield explicit_head(file.tag, "OB", UNDEFINED) + implicit_head(ITEM, 0) + implicit_head(ITEM, length)
            yield from bulk
            yield padding + implicit_head(SEQUENCE_END, 0)
        else:
            yield write_head(file.tag, file.vr, length, file.transfer_syntax_uid == IMPLICIT_LE)
            yield from bulk
            yield padding
    yield file.after


def check_bulk_type(file: SplitFile, content_type: str) -> None:
    """Pixels come in a media type of their transfer syntax, a document in the one that it names, anything as octets
    (PS3.18 §10.5.1.4). Raises InvalidArgument."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower() or OCTETS
    fitting = {OCTETS, file.document_type}
    if file.tag == PIXEL_DATA:
        fitting |= {_TYPES.get(file.transfer_syntax_uid, ""), *video_types(file.transfer_syntax_uid)}
    if media_type not in fitting:
        raise InvalidArgument(
            f"bulk data of type {media_type[:100]!r} does not go with {file.transfer_syntax_uid}; "
            f"send {' or '.join(each[:100] for each in sorted(filter(None, fitting)))}"
        )
    named = re.search(r'transfer-syntax\s*=\s*"?([0-9.*]+)', parameters, re.IGNORECASE)
    if named and named[1] not in ("*", file.transfer_syntax_uid):
        raise InvalidArgument(f"bulk data in {named[1][:70]}, but the TransferSyntaxUID is {file.transfer_syntax_uid}")


def _require_uid(every: Attributes, tag: int) -> str:
    values = every.get(tag, {}).get("Value")
    if not isinstance(values, list) or not values or not values[0]:
        raise InvalidArgument(f"{name_of(tag)} is missing")
    is_right = is_other_uid if tag in IDENTITY[1:] else is_uid
    if every[tag]["vr"] != "UI" or len(values) > 1 or not isinstance(values[0], str) or not is_right(values[0]):
        raise InvalidArgument(f"{name_of(tag)} is not one UID: {shown(values[0])}")
    return values[0]


def _find_other_uids(every: Attributes, attributes: Any) -> frozenset[str]:
    """Elements with UIDs that only some stores accept, for an instance that has such UIDs itself: references at any
    depth have them, too. No others are found."""
    if all(is_uid(every[tag]["Value"][0]) for tag in IDENTITY):
        return frozenset()
    found, waiting = set[str](), [attributes]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.get("vr") == "UI":
            uids = value.get("Value")
            if isinstance(uids, list) and all(isinstance(uid, str) and is_other_uid(uid) for uid in uids):
                found.add(to_json(value))
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return frozenset(found)


def _find_bulk_tag(every: Attributes) -> int | None:
    """The element with a BulkDataURI, where there is one (spec §10.2.8)."""
    found = [tag for tag, element in every.items() if "BulkDataURI" in element]
    if len(found) > 1:
        raise InvalidArgument(f"{', '.join(map(name_of, found[:5]))} all have a BulkDataURI; one attribute can")
    for tag in found:
        uri = every[tag]["BulkDataURI"]
        if every[tag]["vr"] not in _BULK_VRS or not isinstance(uri, str) or not uri or tag >> 16 == 2:
            raise InvalidArgument(f"{name_of(tag)}: a BulkDataURI is a string, for the VRs {', '.join(_BULK_VRS)}")
    if PIXEL_DATA in every and PIXEL_DATA not in found and any(map(every[PIXEL_DATA].get, KINDS)):
        raise InvalidArgument(f"{name_of(PIXEL_DATA)} must be bulk data in a part of its own")
    if found == [PIXEL_DATA] and every[PIXEL_DATA]["vr"] == "UN":
        raise InvalidArgument(f"{name_of(PIXEL_DATA)} is OB or OW, not UN")
    return found[0] if found else None
