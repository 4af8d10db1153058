"""What a bitstream holds counts, also where the attributes declare less (PS3.5 §8.2, §8.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import forms
from tests.pixels.instances import image, parts, read, transcoded

WIDE = np.arange(6144, dtype="<u2").reshape(64, 96)
BITS = (16, 12, 11)
Encode = Callable[[Any], bytes]
ENCODERS: list[tuple[str, Encode]] = [
    (
        forms.J2K_LOSSLESS,
        lambda p: imagecodecs.jpeg2k_encode(p, 0, codecformat="j2k", reversible=True, bitspersample=13),
    ),
    (forms.J2K, lambda p: imagecodecs.jpeg2k_encode(p, 0, codecformat="j2k", reversible=True, bitspersample=16)),
    (forms.HTJ2K_LOSSLESS, lambda p: imagecodecs.htj2k_encode(p, reversible=True)),
    (forms.JPEG_LS, lambda p: imagecodecs.jpegls_encode(p)),
    (forms.JPEG_LOSSLESS_SV1, lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=13)),
    (forms.JXL_LOSSLESS, lambda p: imagecodecs.jpegxl_encode(p, lossless=True, usecontainer=False)),
]


def raw(data: bytes) -> list[Any]:
    return [np.frombuffer(part.data, "<u2") for part in parts(data, forms.OCTETS, forms.EXPLICIT_LE)]


@pytest.mark.parametrize(("syntax", "encode"), ENCODERS)
def test_greater_values_than_bits_stored_are_kept(syntax: str, encode: Encode) -> None:
    data = image([bytes(encode(WIDE))], 64, 96, syntax=syntax, bits=BITS)
    assert (raw(data)[0].reshape(64, 96) == WIDE).all()
    for target in {forms.EXPLICIT_LE, forms.RLE, forms.JPEG_LS, forms.J2K_LOSSLESS} - {syntax}:
        again = transcoded(data, target)
        assert (raw(again)[0].reshape(64, 96) == WIDE).all()
        assert read(again).BitsStored >= 13 and read(again).HighBit == read(again).BitsStored - 1


@pytest.mark.parametrize(("syntax", "encode"), ENCODERS)
def test_bits_stored_stays_where_the_values_fit(syntax: str, encode: Encode) -> None:
    data = image([bytes(encode(WIDE % 4096))], 64, 96, syntax=syntax, bits=BITS)
    ds = read(transcoded(data, forms.EXPLICIT_LE))
    assert (ds.BitsStored, ds.HighBit) == (12, 11)
    assert (ds.pixel_array == WIDE % 4096).all()


def test_negative_values_below_what_bits_stored_can_hold_are_kept() -> None:
    values = (WIDE.astype("<i2") - 3000).astype("<i2")
    frame = bytes(imagecodecs.jpegls_encode(values.view("<u2")))
    data = image([frame], 64, 96, syntax=forms.JPEG_LS, bits=BITS, signed=True)
    ds = read(transcoded(data, forms.EXPLICIT_LE))
    assert (ds.pixel_array == values).all() and ds.BitsStored == 16


def test_cells_without_a_repeated_sign_keep_that_of_the_stored_bits() -> None:
    """0x0FFF is -1 in 12 bits, as it is in native cells (PS3.5 §8.1.1)."""
    values = np.array([[0, 1, 0x7FF, 0x800, 0xFFF]], "<u2")
    data = image([bytes(imagecodecs.jpegls_encode(values))], 1, 5, syntax=forms.JPEG_LS, bits=BITS, signed=True)
    ds = read(transcoded(data, forms.EXPLICIT_LE))
    assert ds.pixel_array.tolist() == [[0, 1, 2047, -2048, -1]] and ds.BitsStored == 12


@pytest.mark.parametrize("wide_frame", [0, 1])
def test_one_wide_frame_widens_the_instance(wide_frame: int) -> None:
    values = [WIDE % 4096, WIDE % 4096]
    values[wide_frame] = WIDE
    frames = [bytes(imagecodecs.jpegls_encode(one)) for one in values]
    again = transcoded(image(frames, 64, 96, syntax=forms.JPEG_LS, bits=BITS, frames=2), forms.EXPLICIT_LE)
    assert (read(again).BitsStored, read(again).HighBit) == (16, 15)
    assert (read(again).pixel_array == np.stack(values)).all()


def test_a_picture_does_not_wrap() -> None:
    (part,) = parts(image([bytes(imagecodecs.jpegls_encode(WIDE))], 64, 96, syntax=forms.JPEG_LS, bits=BITS), forms.PNG)
    shown = imagecodecs.png_decode(part.data).astype(int).reshape(-1)
    assert (np.diff(shown) >= 0).all() and shown[0] == 0 and shown[-1] == 255


@pytest.mark.parametrize("label", ["YBR_FULL", "YBR_FULL_422", "RGB", "YBR_RCT"])
@pytest.mark.parametrize("syntax", [forms.J2K_LOSSLESS, forms.HTJ2K_LOSSLESS])
def test_a_component_transformation_gives_rgb_whatever_the_label(label: str, syntax: str) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    if syntax == forms.J2K_LOSSLESS:
        frame = imagecodecs.jpeg2k_encode(colours, 0, codecformat="j2k", reversible=True, mct=True)
    else:
        frame = imagecodecs.htj2k_encode(colours, reversible=True, rgb=True)
    data = image([bytes(frame)], 16, 16, syntax=syntax, photometric=label, planar=0)
    ds = read(transcoded(data, forms.EXPLICIT_LE))
    assert ds.PhotometricInterpretation == "RGB" and ds.PixelData == colours.tobytes()
    (part,) = parts(data, forms.PNG)
    assert (imagecodecs.png_decode(part.data) == colours).all()


def test_without_a_component_transformation_ybr_stays_ybr() -> None:
    colours = np.random.default_rng(2).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    frame = bytes(imagecodecs.jpeg2k_encode(colours, 0, codecformat="j2k", reversible=True, mct=False))
    data = image([frame], 16, 16, syntax=forms.J2K_LOSSLESS, photometric="YBR_FULL", planar=0)
    ds = read(transcoded(data, forms.EXPLICIT_LE))
    assert ds.PhotometricInterpretation == "YBR_FULL" and ds.PixelData == colours.tobytes()
