"""Cells of less than a word in big endian: OW swaps words, OB swaps nothing (PS3.5 §7.3)."""

from __future__ import annotations

import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.views import frame_bitstreams
from tests.pixels.instances import Opened, image, parts, read, transcoded
from tests.pixels.test_decoding import transcoded_to_big_endian
from tests.support.datasets import BIG_UID, dataset, element, head, number, part10
from tests.support.plain_reader import BIG, PIXEL_DATA, read_file

BITS = (1, 1, 0)


def big_endian(value: bytes, vr: bytes, rows: int, columns: int, bits: tuple[int, int, int], frames: int = 1) -> bytes:
    data = image(value, rows, columns, bits=bits, frames=frames)
    data = data.replace(b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x10\x00" + vr)
    return transcoded_to_big_endian(data)


@pytest.mark.parametrize("vr", [b"OW", b"OB"])
@pytest.mark.parametrize(("rows", "columns", "frames"), [(8, 8, 1), (3, 5, 4), (5, 3, 3), (1, 8, 3), (7, 9, 2)])
def test_single_bits_are_those_of_the_little_endian_instance(vr: bytes, rows: int, columns: int, frames: int) -> None:
    """Frames may begin in the middle of a byte, and of a word."""
    size = (rows * columns * frames + 15) // 16 * 2
    value = bytes(np.random.default_rng(columns).integers(0, 256, size).astype(np.uint8))
    little = image(value, rows, columns, bits=BITS, frames=frames)
    big = big_endian(value, vr, rows, columns, BITS, frames)
    for form in ((forms.OCTETS, forms.EXPLICIT_LE), (forms.PNG, "")):
        assert [part.data for part in parts(big, *form)] == [part.data for part in parts(little, *form)]
    numbers = list(range(frames))
    expected = list(frame_bitstreams(Opened(little), forms.EXPLICIT_LE, numbers, lambda: None))
    assert list(frame_bitstreams(Opened(big), forms.EXPLICIT_LE, numbers, lambda: None)) == expected


@pytest.mark.parametrize("bits", [BITS, (8, 8, 7)])
def test_frames_and_the_transcoded_instance_agree(bits: tuple[int, int, int]) -> None:
    value = bytes(range(64, 72)) if bits == BITS else bytes(range(64))
    big = big_endian(value, b"OW", 8, 8, bits)
    (frame,) = parts(big, forms.OCTETS, forms.EXPLICIT_LE)
    assert frame.data == value
    assert read(transcoded(big, forms.EXPLICIT_LE)).PixelData == value


@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "OL"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_that_of_the_transcoded_instance(vr: str, bits: int, planar: int) -> None:
    """Planes too, as PlanarConfiguration says, whatever VR the pixels have."""
    value = bytes(range(2 * 4 * 3 * bits // 8))
    described = {0x02: 3, 0x06: planar, 0x10: 2, 0x11: 4, 0x100: bits, 0x101: bits, 0x102: bits - 1, 0x103: 0}
    more = [number(0x00280000 | tag, each, BIG) for tag, each in described.items()]
    more.append(element(0x00280004, "CS", "RGB ", BIG))
    big = part10(dataset(more, BIG, pixels=(PIXEL_DATA, head(PIXEL_DATA, vr, len(value), BIG) + value)), BIG_UID)
    (expected,) = (each.value for each in read_file(transcoded(big, forms.EXPLICIT_LE)).elements[-1:])
    assert sorted(expected) == sorted(value)
    assert list(frame_bitstreams(Opened(big), forms.EXPLICIT_LE, [0], lambda: None)) == [expected]
    (stored,) = parts(big, forms.OCTETS, forms.AS_STORED)
    assert stored.data == expected
