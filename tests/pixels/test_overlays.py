"""An overlay lies in the cells only where it has no data of its own (PS3.3 §C.9.2, PS3.5 §8.1.2)."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import forms
from tests.pixels.instances import Extra, image, read, refusal, transcoded

PIXELS = np.arange(48, dtype="<u2").reshape(6, 8) * 80
BITS = (16, 12, 11)
POSITION: Extra = (0x6000, 0x102, b"US", struct.pack("<H", 12))
DATA: Extra = (0x6000, 0x3000, b"OW", bytes(6))
J2K = bytes(imagecodecs.jpeg2k_encode(PIXELS, 0, codecformat="j2k", reversible=True, bitspersample=12))


@pytest.mark.parametrize("extra", [(POSITION, DATA), (POSITION,)])
@pytest.mark.parametrize("target", [forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.RLE, forms.JPEG_LS])
def test_a_bitstream_of_the_stored_bits_has_no_room_for_an_overlay(extra: tuple[Extra, ...], target: str) -> None:
    data = image([J2K], 6, 8, syntax=forms.J2K_LOSSLESS, bits=BITS, extra=extra)
    again = transcoded(data, target)
    assert read(transcoded(again, forms.EXPLICIT_LE)).PixelData == PIXELS.tobytes()
    assert read(again)[0x6000, 0x102].value == 12


@pytest.mark.parametrize("target", [forms.J2K_LOSSLESS, forms.JPEG_LS, forms.JPEG_LOSSLESS_SV1])
@pytest.mark.parametrize("syntax", [forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.RLE, forms.DEFLATED_FRAME])
def test_an_overlay_with_data_of_its_own_does_not_hinder(target: str, syntax: str) -> None:
    native = image(PIXELS.tobytes(), 6, 8, bits=BITS, extra=(POSITION, DATA))
    stored = native if syntax == forms.EXPLICIT_LE else transcoded(native, syntax)
    again = transcoded(stored, target)
    assert read(transcoded(again, forms.EXPLICIT_LE)).PixelData == PIXELS.tobytes()
    assert read(again)[0x6000, 0x3000].value == bytes(6)


@pytest.mark.parametrize("syntax", [forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.RLE, forms.DEFLATED_FRAME])
def test_one_without_is_refused_where_cells_are_whole(syntax: str) -> None:
    native = image(PIXELS.tobytes(), 6, 8, bits=BITS, extra=(POSITION,))
    stored = native if syntax == forms.EXPLICIT_LE else transcoded(native, syntax)
    assert "overlay" in refusal(stored, forms.DICOM, forms.J2K_LOSSLESS)


def test_data_of_another_overlay_is_not_its_own() -> None:
    other: tuple[Extra, ...] = ((0x6002, 0x102, b"US", struct.pack("<H", 13)), POSITION, DATA)
    native = image(PIXELS.tobytes(), 6, 8, bits=BITS, extra=other)
    assert "overlay" in refusal(native, forms.DICOM, forms.J2K_LOSSLESS)


def test_a_bitstream_of_whole_cells_has_room() -> None:
    whole = bytes(imagecodecs.jpegls_encode(PIXELS | 0x1000))
    encoded = image([whole], 6, 8, syntax=forms.JPEG_LS, bits=BITS, extra=(POSITION,))
    assert "overlay" in refusal(encoded, forms.DICOM, forms.EXPLICIT_LE)


@pytest.mark.parametrize(("bits", "is_refused"), [(1, False), (2, True), (16, True)])
def test_at_bit_0_an_overlay_is_in_the_cells_only_if_it_has_as_many_bits(bits: int, is_refused: bool) -> None:
    """PS3.3 §C.9.2: OverlayBitsAllocated is 1 where it has data of its own, or none at all."""
    extra: tuple[Extra, ...] = (
        (0x6000, 0x100, b"US", struct.pack("<H", bits)),
        (0x6000, 0x102, b"US", struct.pack("<H", 0)),
    )
    native = image(PIXELS.tobytes(), 6, 8, bits=BITS, extra=extra)
    if is_refused:
        assert "overlay" in refusal(native, forms.DICOM, forms.J2K_LOSSLESS)
    else:
        assert read(transcoded(native, forms.J2K_LOSSLESS))[0x6000, 0x102].value == 0
