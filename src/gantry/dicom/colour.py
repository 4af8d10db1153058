"""Colour spaces to RGB (PS3.3 §C.7.6.3.1.2) and palettes (§C.7.9)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.dicom.image_source import ImagePixel
from gantry.errors import FailedPrecondition, InvalidArgument

_MAX_PALETTE_BYTES = 128 * 1024
_FULL = np.array([[1, 1, 1], [0, -0.344136286, 1.772], [1.402, -0.714136286, 0]], np.float32)
_PARTIAL = np.array([[1.1644, 1.1644, 1.1644], [0, -0.3918, 2.0172], [1.5960, -0.8130, 0]], np.float32)
_CHANNELS = ("Red", "Green", "Blue")


def to_rgb(pixels: Pixels, image: ImagePixel) -> Pixels:
    """Colour pixels as RGB of the same depth."""
    space = image.photometric_interpretation
    if space == "RGB":
        return pixels
    if space not in ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"):
        raise FailedPrecondition(f"PhotometricInterpretation {space} is not supported here")
    if image.bits_stored != 8:
        raise FailedPrecondition(f"PhotometricInterpretation {space} with {image.bits_stored} bits is not supported")
    partial = space.startswith("YBR_PARTIAL")
    offsets = np.array([16 if partial else 0, 128, 128], np.float32)
    rgb = (pixels.astype(np.float32) - offsets) @ (_PARTIAL if partial else _FULL)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def word_order(ds: Any) -> str:
    """The byte order of words that pydicom keeps as bytes."""
    return ">" if ds.original_encoding[1] is False else "<"


def _little_endian_palette(ds: Any) -> Any:
    from pydicom import Dataset

    found = Dataset()
    for element in ds.group_dataset(0x0028):
        if isinstance(element.value, bytes) and element.keyword.endswith("PaletteColorLookupTableData"):
            words = np.frombuffer(element.value[: len(element.value) // 2 * 2], ">u2")
            found.add_new(element.tag, element.VR, words.astype("<u2").tobytes())
        else:
            found.add(element)
    return found


def palette_to_rgb(pixels: Pixels, ds: Any) -> Pixels:
    """Look up 8-bit RGB in the palette of an image, segmented or not (PS3.3 §C.7.6.3.1.5, §C.7.9.2)."""
    from pydicom.pixels.processing import apply_color_lut

    for name in _CHANNELS:
        for kind in ("", "Segmented"):
            data = ds.get(f"{kind}{name}PaletteColorLookupTableData")
            if data is not None and len(data) > _MAX_PALETTE_BYTES:
                raise InvalidArgument("a palette has more entries than 16 bits can number")
    if "RedPaletteColorLookupTableDescriptor" not in ds:
        raise InvalidArgument("PALETTE COLOR without a palette")
    rgb = apply_color_lut(pixels, ds if word_order(ds) == "<" else _little_endian_palette(ds))
    if rgb.dtype == np.uint8:
        return np.asarray(rgb)
    # Entries of 16 bits that never leave the low byte are 8-bit ones in a wide cell, as older writers have it.
    return (rgb if int(rgb.max()) < 256 else rgb >> 8).astype(np.uint8)
