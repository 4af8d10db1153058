"""YBR to RGB: the equations of PS3.3 §C.7.6.3.1.2, within bounds of time and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from gantry.dicom import forms
from gantry.dicom.cells import Pixels
from gantry.dicom.colour import to_rgb
from gantry.dicom.image_source import ImagePixel
from tests.pixels.instances import image, parts, transcoded


def described(space: str, rows: int, columns: int) -> ImagePixel:
    return ImagePixel(rows, columns, 1, 3, 8, 8, 7, 0, space, 0)


def by_the_equations(pixels: Pixels, space: str) -> Pixels:
    y, cb, cr = (pixels[..., channel].astype(np.float64) for channel in range(3))
    if space == "YBR_PARTIAL_422":
        y, cb, cr = 1.1644 * (y - 16), cb - 128, cr - 128
        rgb = (y + 1.5960 * cr, y - 0.3918 * cb - 0.8130 * cr, y + 2.0172 * cb)
    else:
        cb, cr = cb - 128, cr - 128
        rgb = (y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb)
    return np.stack([np.clip(np.rint(channel), 0, 255) for channel in rgb], -1)


@pytest.mark.parametrize("space", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
def test_every_colour_by_the_equations(space: str) -> None:
    """Every fifth of the 2^24 colours, and those at the ends."""
    steps = np.unique(np.append(np.arange(0, 256, 5), [1, 16, 127, 128, 129, 254])).astype(np.uint8)
    pixels = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
    found = to_rgb(pixels, described(space, *pixels.shape[:2]))
    assert found.dtype == np.uint8 and found.shape == pixels.shape
    assert np.abs(found - by_the_equations(pixels, space)).max() <= 1


@pytest.mark.slow
def test_a_frame_of_48_megabytes_takes_little_more_than_its_result() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4000, 4000, 3)).astype(np.uint8)
    tracemalloc.start()
    begun = time.process_time()
    try:
        to_rgb(pixels, described("YBR_FULL", 4000, 4000))
        assert tracemalloc.get_traced_memory()[1] < pixels.nbytes + (8 << 20)
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 5  # the conversion that this replaced took as long without being traced


@pytest.mark.parametrize("target", ["picture", "transcoded"])
def test_the_whole_way_of_a_large_frame_takes_few_copies(target: str) -> None:
    side = 2048
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    data = image(pixels.tobytes(), side, side, photometric="YBR_FULL", planar=0)
    tracemalloc.start()
    try:
        if target == "picture":
            parts(data, forms.JPEG, forms.JPEG_BASELINE)
        else:
            transcoded(data, forms.JPEG_BASELINE)
        assert tracemalloc.get_traced_memory()[1] < 4 * pixels.nbytes
    finally:
        tracemalloc.stop()
