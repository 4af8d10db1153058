"""Tiny images as Part 10 files, built byte by byte, and the smallest thing that can be opened."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import pydicom

from gantry.dicom import forms
from gantry.dicom.forms import Form
from gantry.dicom.representations import Part, represent
from gantry.errors import StatusError
from gantry.seams import OpenedObject
from tests.support.dicom import element

SOP_CLASS, SOP_INSTANCE = "1.2.840.10008.5.1.4.1.1.7", "1.2.826.1.1.1"
_US = b"US"
Extra = tuple[int, int, bytes, bytes | str]


class Opened(OpenedObject):
    """Bytes as an object open for reading."""

    def __init__(self, data: bytes) -> None:
        self.key, self.size, self.data = "some/key.dcm", len(data), data

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def chunks(self) -> Iterator[bytes]:
        yield self.data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


def image(
    pixels: bytes | Sequence[bytes],
    rows: int,
    columns: int,
    *,
    syntax: str = forms.EXPLICIT_LE,
    photometric: str = "MONOCHROME2",
    bits: tuple[int, int, int] = (8, 8, 7),
    signed: bool = False,
    frames: int = 1,
    planar: int | None = None,
    extra: Sequence[Extra] = (),
    offsets: bytes = b"",
) -> bytes:
    """An instance with these pixels: native bytes, or a list of fragments. ``bits``: allocated, stored, high bit."""
    samples = 3 if photometric in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT") else 1
    numbers = {2: samples, 0x10: rows, 0x11: columns, 0x100: bits[0], 0x101: bits[1], 0x102: bits[2], 0x103: signed}
    if planar is not None:
        numbers[6] = planar
    elements: list[Extra] = [(0x28, number, _US, struct.pack("<H", value)) for number, value in numbers.items()]
    elements += [
        (0x08, 0x16, b"UI", SOP_CLASS),
        (0x08, 0x18, b"UI", SOP_INSTANCE),
        (0x20, 0x0D, b"UI", "1.2.826.1"),
        (0x20, 0x0E, b"UI", "1.2.826.1.1"),
        (0x28, 0x04, b"CS", photometric),
        *extra,
    ]
    if frames > 1:
        elements.append((0x28, 0x08, b"IS", str(frames)))
    explicit = syntax != forms.IMPLICIT_LE
    dataset = b"".join(element(*item, explicit) for item in sorted(elements, key=lambda item: item[:2]))
    if isinstance(pixels, bytes):
        dataset += element(0x7FE0, 0x10, b"OW" if bits[0] > 8 else b"OB", pixels + b"\0" * (len(pixels) % 2), explicit)
    else:
        dataset += encapsulated(pixels, offsets)
    return part10(dataset, syntax)


def encapsulated(fragments: Sequence[bytes], offsets: bytes = b"") -> bytes:
    items = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item) + len(item) % 2) + item + b"\0" * (len(item) % 2)
        for item in (offsets, *fragments)
    )
    head = struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF)
    return head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def part10(dataset: bytes, syntax: str) -> bytes:
    meta = element(2, 2, b"UI", SOP_CLASS) + element(2, 3, b"UI", SOP_INSTANCE) + element(2, 0x10, b"UI", syntax)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + dataset


def parts(data: bytes, media_type: str, syntax: str = "") -> list[Part]:
    return list(represent(Opened(data), Form(media_type, syntax), lambda: None))


def transcoded(data: bytes, syntax: str) -> bytes:
    (part,) = parts(data, forms.DICOM, syntax)
    assert (part.frame, part.extension) == (0, ".dcm")
    return part.data


def refusal(data: bytes, media_type: str, syntax: str = "") -> str:
    """The text of the refusal; anything else fails the test."""
    try:
        parts(data, media_type, syntax)
    except StatusError as error:
        assert error.message
        return error.message
    raise AssertionError("it was represented")


def read(data: bytes) -> Any:
    return pydicom.dcmread(BytesIO(data))
