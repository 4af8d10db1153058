"""Pixels in sequences of a compressed instance: a new transfer syntax of the instance is one of theirs, too."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gantry.dicom import forms
from tests.pixels.instances import image, read, refusal, transcoded
from tests.support.datasets import Made, element, fragments, number, sequence
from tests.support.plain_reader import EXPLICIT

ICON = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
COLOUR = np.dstack([ICON, ICON, ICON])
ICONS, REFERENCED, STUDIES, PRIVATE, PIXELS = 0x00880200, 0x00081140, 0x00081110, 0x00091001, 0x7FE00010
PLACES = {
    "top": (ICONS,),
    "referenced": (REFERENCED, ICONS),
    "deep": (STUDIES, REFERENCED, ICONS),
    "private": (PRIVATE,),
}
TARGETS = (forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.DEFLATED_LE, forms.JPEG_LS)


def j2k(pixels: Any) -> bytes:
    data = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, resolutions=1))
    return data + b"\0" * (len(data) % 2)


def described(pixels: Any, photometric: str, value: Made) -> list[Made]:
    samples = 3 if pixels.ndim == 3 else 1
    numbers = {2: samples, 6: 0, 0x10: 8, 0x11: 8, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
    if samples == 1:
        del numbers[6]
    found = [number(0x00280000 | tag, value, EXPLICIT) for tag, value in numbers.items()]
    return [found[0], element(0x00280004, "CS", photometric, EXPLICIT), *found[1:], value]


def with_icon(
    place: Sequence[int], item: Sequence[Made], *, defined: bool = False, pixels: bool = True, syntax: str = ""
) -> bytes:
    """An instance of JPEG 2000 with ``item`` in the innermost of the sequences ``place``."""
    for tag in reversed(place):
        made = sequence(tag, [item], EXPLICIT, defined=defined)
        item = [element(0x00080060, "CS", "OT", EXPLICIT), made] if tag != place[0] else [made]
    whole = image([j2k(ICON)], 8, 8, syntax=syntax or forms.J2K_LOSSLESS)
    at = whole.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    extra = element(0x00090010, "LO", "MAKER ", EXPLICIT)[1] if place[0] == PRIVATE else b""
    return whole[:at] + extra + item[0][1] + (whole[at:] if pixels else b"")


def inside(data: bytes, place: Sequence[int]) -> Any:
    ds = read(data)
    for tag in place:
        ds = ds[tag].value[0]
    return ds


TOLD_APART = [
    (place, defined, target)
    for place in PLACES
    for defined in (False, True)
    for target in TARGETS
    if (place, defined, target) != ("private", True, forms.IMPLICIT_LE)
]
"""Implicit VR does not say that a private value of defined length is a sequence."""


@pytest.mark.parametrize(("place", "defined", "target"), TOLD_APART)
def test_compressed_pixels_in_sequences_become_native(place: str, defined: bool, target: str) -> None:
    path = PLACES[place]
    item = described(ICON, "MONOCHROME2", fragments(PIXELS, [j2k(ICON)]))
    found = inside(transcoded(with_icon(path, item, defined=defined), target), path)
    assert (found.Rows, found.BitsAllocated, found.PhotometricInterpretation) == (8, 8, "MONOCHROME2")
    assert not found["PixelData"].is_undefined_length
    assert found.PixelData == ICON.tobytes()


@pytest.mark.parametrize("target", TARGETS)
def test_native_icons_are_written_in_the_form_of_the_rest(target: str) -> None:
    item = described(ICON, "MONOCHROME2", element(PIXELS, "OB", ICON.tobytes(), EXPLICIT))
    found = inside(transcoded(with_icon((ICONS,), item), target), (ICONS,))
    assert (found.SamplesPerPixel, found.Rows, found.PixelData) == (1, 8, ICON.tobytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_describes_the_pixels_goes_with_them(target: str) -> None:
    """And the tables of where frames begin do not, as there are none any more."""
    jpeg = bytes(imagecodecs.jpeg8_encode(COLOUR, 95, outcolorspace="YCBCR", subsampling="422"))
    item = described(COLOUR, "YBR_FULL_422", fragments(PIXELS, [jpeg + b"\0" * (len(jpeg) % 2)]))
    item.insert(-1, element(0x7FE00001, "OV", bytes(8), EXPLICIT))
    whole = with_icon((REFERENCED, ICONS), item, pixels=False, syntax=forms.JPEG_BASELINE)
    if target not in forms.NATIVE_TARGETS:
        assert "no pixel data" in refusal(whole, forms.DICOM, target)
        return
    found = inside(transcoded(whole, target), (REFERENCED, ICONS))
    assert found.PhotometricInterpretation == "RGB"
    assert (0x7FE0, 1) not in found
    assert np.abs(np.frombuffer(found.PixelData, np.uint8).astype(int) - COLOUR.reshape(-1)).max() < 8


@pytest.mark.parametrize("target", TARGETS)
def test_pixels_that_cannot_be_decoded(target: str) -> None:
    """An icon goes, with its sequence alone; anything else is not lost in silence."""
    item = described(ICON, "MONOCHROME2", fragments(PIXELS, [b"garbage!"]))
    assert ICONS not in read(transcoded(with_icon((ICONS,), item), target))
    left = inside(transcoded(with_icon((REFERENCED, ICONS), item), target), (REFERENCED,))
    assert list(left.keys()) == [0x00080060]
    assert refusal(with_icon((PRIVATE,), item), forms.DICOM, target).startswith("the pixels in (0009,1001): a frame")
