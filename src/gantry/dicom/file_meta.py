"""The file meta group: read from a file, and written for one of ours (PS3.10 §7.1)."""

from __future__ import annotations

from struct import pack

from gantry import __version__
from gantry.dicom.elements import EXPLICIT_LE, DataSet
from gantry.dicom.tags import (
    IMPLEMENTATION_CLASS,
    IMPLEMENTATION_VERSION,
    MEDIA_CLASS,
    MEDIA_INSTANCE,
    META_LENGTH,
    META_VERSION,
    TRANSFER_SYNTAX,
)
from gantry.dicom.vr import LONG
from gantry.errors import InvalidArgument

IMPLEMENTATION_CLASS_UID = "2.25.219453712948820171736193825048512763204"
IMPLEMENTATION_VERSION_NAME = f"GANTRY_{__version__}"[:16]
_LONG = frozenset(LONG.values())


def explicit_head(tag: int, vr: str, length: int) -> bytes:
    """Tag, VR and length in explicit VR little endian (PS3.5 §7.1.2)."""
    head = pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (pack("<HI", 0, length) if vr in _LONG else pack("<H", length))


def implicit_head(tag: int, length: int) -> bytes:
    return pack("<HHI", tag >> 16, tag & 0xFFFF, length)


def read_meta(meta: bytes) -> dict[int, bytes]:
    """The elements of a group as bytes, by tag, up to what cannot be read; not its length."""
    found: dict[int, bytes] = {}
    try:
        for element in DataSet(meta, EXPLICIT_LE).elements():
            if element.tag != META_LENGTH and element.tag >> 16 == 2:
                found.setdefault(element.tag, meta[element.start : element.end])
    except InvalidArgument:
        pass  # what stands before is as good as it was
    return found


def write_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, old: bytes = b"") -> bytes:
    """Preamble, DICM and a group with all elements of Type 1; others stay as they are in the group ``old``."""
    ours = {
        META_VERSION: explicit_head(META_VERSION, "OB", 2) + b"\0\1",
        MEDIA_CLASS: _write_text(MEDIA_CLASS, "UI", sop_class_uid),
        MEDIA_INSTANCE: _write_text(MEDIA_INSTANCE, "UI", sop_instance_uid),
        TRANSFER_SYNTAX: _write_text(TRANSFER_SYNTAX, "UI", transfer_syntax_uid),
        IMPLEMENTATION_CLASS: _write_text(IMPLEMENTATION_CLASS, "UI", IMPLEMENTATION_CLASS_UID),
        IMPLEMENTATION_VERSION: _write_text(IMPLEMENTATION_VERSION, "SH", IMPLEMENTATION_VERSION_NAME),
    }
    elements = read_meta(old) | ours
    group = b"".join(elements[tag] for tag in sorted(elements))
    return bytes(128) + b"DICM" + explicit_head(META_LENGTH, "UL", 4) + pack("<I", len(group)) + group


def _write_text(tag: int, vr: str, text: str) -> bytes:
    value = text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
    return explicit_head(tag, vr, len(value)) + value
