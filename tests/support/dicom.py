"""Small valid DICOM Part 10 files, built byte by byte: tests must not judge a reader with another reader."""

from __future__ import annotations

import struct
import uuid

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def new_uid() -> str:
    """A UID that nobody has used before (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def make_instance(
    study: str | None = "1.2.826.1",
    series: str | None = "1.2.826.1.1",
    sop: str | None = "",
    pixel_bytes: bytes | int = 8,
    transfer_syntax: str | None = EXPLICIT_LITTLE_ENDIAN,
    *,
    sop_class: str | None = SECONDARY_CAPTURE,
    patient_id: str = "P1",
) -> bytes:
    """A Part 10 file of a few hundred bytes and its pixels; the same arguments give the same bytes.

    ``sop`` is a new UID unless given. ``pixel_bytes`` are the pixels themselves or how many zeros. None leaves an
    attribute out. Pixels are native in the two uncompressed syntaxes, one fragment in every other.
    """
    sop = new_uid() if sop == "" else sop
    pixels = bytes(pixel_bytes) if isinstance(pixel_bytes, int) else pixel_bytes
    pixels += b"\0" * (len(pixels) % 2)
    explicit = transfer_syntax != IMPLICIT_LITTLE_ENDIAN
    native = transfer_syntax in (None, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    meta = b"".join(
        element(0x0002, number, vr, value)
        for number, vr, value in (
            (0x0001, b"OB", b"\0\1"),
            (0x0002, b"UI", sop_class),
            (0x0003, b"UI", sop),
            (0x0010, b"UI", transfer_syntax),
            (0x0012, b"UI", "1.2.826.0.1.3680043.10.1"),
        )
        if value is not None
    )
    dataset = b"".join(
        element(group, number, vr, value, explicit)
        for group, number, vr, value in (
            (0x0008, 0x0016, b"UI", sop_class),
            (0x0008, 0x0018, b"UI", sop),
            (0x0008, 0x0060, b"CS", "OT"),
            (0x0010, 0x0020, b"LO", patient_id),
            (0x0020, 0x000D, b"UI", study),
            (0x0020, 0x000E, b"UI", series),
            (0x0028, 0x0010, b"US", struct.pack("<H", 1)),
            (0x0028, 0x0011, b"US", struct.pack("<H", min(len(pixels), 0xFFFF))),
            (0x0028, 0x0100, b"US", struct.pack("<H", 8)),
        )
        if value is not None
    )
    dataset += element(0x7FE0, 0x0010, b"OW", pixels, explicit) if native else _encapsulated(pixels)
    length = element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta)))
    return b"\0" * 128 + b"DICM" + length + meta + dataset


def element(group: int, number: int, vr: bytes, value: bytes | str, explicit: bool = True) -> bytes:
    """One data element, little endian; text is padded to even length (PS3.5 §7.1)."""
    if isinstance(value, str):
        value = value.encode()
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    tag = struct.pack("<HH", group, number)
    if not explicit:
        return tag + struct.pack("<I", len(value)) + value
    if vr in _LONG:
        return tag + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return tag + vr + struct.pack("<H", len(value)) + value


def _encapsulated(fragment: bytes) -> bytes:
    """Pixel Data with an empty offset table and one fragment (PS3.5 §A.4)."""
    head = struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF)
    item, end = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return head + item + struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) + fragment + end
