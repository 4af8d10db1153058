"""Encapsulated Uncompressed Explicit VR Little Endian: each frame is a native one in fragments (PS3.5 §A.4.11)."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.views import View, frame_bitstreams, rendered
from tests.pixels.instances import Extra, Opened, image, parts, read, refusal, transcoded

UID = forms.ENCAPSULATED_LE
RNG = np.random.default_rng(6)
KINDS = {
    "grey8": {"bits": (8, 8, 7)},
    "grey12": {"bits": (16, 12, 11)},
    "signed16": {"bits": (16, 16, 15), "signed": True},
    "grey32": {"bits": (32, 32, 31)},
    "rgb": {"photometric": "RGB", "planar": 0},
    "planes": {"photometric": "RGB", "planar": 1},
}


def drawn(kind: str, frames: int) -> tuple[list[bytes], dict[str, object]]:
    how = KINDS[kind]
    samples = 3 if "photometric" in how else 1
    width = how.get("bits", (8, 8, 7))[0] // 8  # type: ignore[index,operator]
    values = [RNG.integers(0, 256, 5 * 7 * samples * width).astype(np.uint8) for _ in range(frames)]
    if kind == "grey12":
        values = [(value.view("<u2") & 0xFFF).view(np.uint8) for value in values]
    return [value.tobytes() for value in values], dict(how)


def raw(data: bytes) -> list[bytes]:
    return [part.data for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 3])
def test_it_is_read_as_the_native_instance(kind: str, frames: int) -> None:
    values, how = drawn(kind, frames)
    wrapped = image(values, 5, 7, syntax=UID, frames=frames, **how)  # type: ignore[arg-type]
    native = image(b"".join(values), 5, 7, frames=frames, **how)  # type: ignore[arg-type]
    assert raw(wrapped) == raw(native)
    assert [p.data for p in parts(wrapped, forms.PNG)] == [p.data for p in parts(native, forms.PNG)]
    numbers = list(range(frames))
    for data in (wrapped, native):
        assert len(list(rendered(Opened(data), View("image/jpeg"), numbers, lambda: None))) == frames
    as_described = values if how.get("planar") else raw(native)
    assert list(frame_bitstreams(Opened(wrapped), forms.EXPLICIT_LE, numbers, lambda: None)) == as_described
    stored = list(frame_bitstreams(Opened(wrapped), "", numbers, lambda: None))
    assert [one[: len(value)] for one, value in zip(stored, values, strict=True)] == values
    for target in (forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.RLE, forms.DEFLATED_FRAME):
        again = transcoded(wrapped, target)
        assert raw(again) == raw(native) and "LossyImageCompression" not in read(again)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("size", [2, 10, 34, 60])
def test_a_frame_in_several_fragments(frames: int, table: bool, size: int) -> None:
    values, how = drawn("grey12", frames)
    fragments, offsets, at = [], [], 0
    for value in values:
        offsets.append(at)
        for start in range(0, len(value), size):
            fragments.append(value[start : start + size])
            at += 8 + len(fragments[-1])
    packed = struct.pack(f"<{frames}I", *offsets) if table else b""
    assert raw(image(fragments, 5, 7, syntax=UID, frames=frames, offsets=packed, **how)) == values  # type: ignore[arg-type]


def test_single_bits_of_a_frame_begin_at_a_byte() -> None:
    data = image([b"\x15\x01", b"\xea\x00"], 3, 3, syntax=UID, bits=(1, 1, 0), frames=2)
    assert raw(data) == [b"\x15\x01", b"\xea\x00"]


def test_halved_chroma_and_samples_that_are_all_there() -> None:
    halved = image([bytes([10, 20, 128, 129])], 1, 2, syntax=UID, photometric="YBR_FULL_422", planar=0)
    assert raw(halved) == [bytes([10, 128, 129, 20, 128, 129])]
    whole = image([bytes(range(48))], 4, 4, syntax=UID, photometric="YBR_FULL_422", planar=0)
    assert raw(whole) == [bytes(range(48))]


@pytest.mark.parametrize("fragments", [[b"ab"], [b"ab", b"cd", b"ef", b"gh", b"ij"]])
def test_a_frame_that_is_too_short(fragments: list[bytes]) -> None:
    told = refusal(image(fragments, 1, 4, syntax=UID, frames=len(fragments)), forms.PNG)
    assert "has 2 bytes, 4 are declared" in told


def test_an_overlay_in_unused_bits_is_kept_with_the_cells_and_else_refused() -> None:
    overlay: tuple[Extra, ...] = ((0x6000, 0x102, b"US", b"\x0c\0"),)
    data = image([b"\1\x10\2\0"], 1, 2, syntax=UID, bits=(16, 12, 11), extra=overlay)
    assert read(transcoded(data, forms.EXPLICIT_LE)).PixelData == b"\1\x10\2\0"
    assert "overlay" in refusal(data, forms.DICOM, forms.JPEG_LS)


def test_what_lies_in_overlay_data_is_not_in_the_cells() -> None:
    """Whatever its bit position says (PS3.3 §C.9.2)."""
    overlay: tuple[Extra, ...] = ((0x6000, 0x102, b"US", b"\x0c\0"), (0x6000, 0x3000, b"OW", b"\2\0"))
    made = read(transcoded(image(b"\1\0\2\0", 1, 2, bits=(16, 12, 11), extra=overlay), forms.JPEG_LS))
    assert made[0x60003000].value == b"\2\0" and made[0x60000102].value == 12
