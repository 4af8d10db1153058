"""Colour spaces to RGB (PS3.3 §C.7.6.3.1.2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.dicom.image_source import ImagePixel
from gantry.errors import FailedPrecondition

_BLOCK = 1 << 15  # pixels: as floats they stay in the cache, and take no memory that grows with the frame


class _Space(NamedTuple):
    """Y is ``luma`` × (Y - ``black``); the others are factors of Cb - 128 and Cr - 128."""

    black: float
    luma: float
    red: float
    green: tuple[float, float]
    blue: float


_FULL = _Space(0, 1, 1.402, (-0.344136286, -0.714136286), 1.772)
_PARTIAL = _Space(16, 1.1644, 1.5960, (-0.3918, -0.8130), 2.0172)
_SPACES = {"YBR_FULL": _FULL, "YBR_FULL_422": _FULL, "YBR_PARTIAL_422": _PARTIAL}


def to_rgb(pixels: Pixels, image: ImagePixel) -> Pixels:
    """Colour pixels, rows × columns × 3, as RGB of the same depth. Raises FailedPrecondition for other spaces."""
    name = image.photometric_interpretation
    if name == "RGB":
        return pixels
    if name not in _SPACES:
        raise FailedPrecondition(f"PhotometricInterpretation {name} is not supported here")
    if image.bits_stored != 8:
        raise FailedPrecondition(f"PhotometricInterpretation {name} with {image.bits_stored} bits is not supported")
    flat = pixels.reshape(-1, 3)
    rgb = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), _BLOCK):
        _convert(flat[start : start + _BLOCK], rgb[start : start + _BLOCK], _SPACES[name])
    return rgb.reshape(pixels.shape)


def _convert(ybr: Pixels, rgb: Pixels, space: _Space) -> None:
    """Fill ``rgb``, pixels × 3."""
    luma = ybr[:, 0].astype(np.float32)
    luma -= np.float32(space.black)
    luma *= np.float32(space.luma)
    luma += np.float32(0.5)
    cb, cr = (ybr[:, channel].astype(np.float32) - np.float32(128) for channel in (1, 2))
    green_of_cb, green_of_cr = space.green
    for channel, terms in enumerate((((cr, space.red),), ((cb, green_of_cb), (cr, green_of_cr)), ((cb, space.blue),))):
        shown = luma.copy()
        for values, factor in terms:
            shown += values * np.float32(factor)
        rgb[:, channel] = np.clip(shown, 0, 255, out=shown)
