"""Native pixel cells to arrays and back (PS3.5 §8.1, §8.2, §D)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantry.dicom.buffers import Buffer, Sliceable
from gantry.dicom.image_source import ImagePixel

Pixels = NDArray[Any]
"""One frame: rows × columns, or rows × columns × samples."""


def cell_type(image: ImagePixel) -> np.dtype[Any]:
    """The type of one cell; single bits become bytes."""
    kind = "f" if image.is_float else "i" if image.pixel_representation else "u"
    return np.dtype(f"<{kind}{max(1, image.bits_allocated // 8)}")


def shape_of(image: ImagePixel) -> tuple[int, ...]:
    shape = (image.rows, image.columns)
    return shape if image.samples_per_pixel == 1 else (*shape, image.samples_per_pixel)


def read_native_frame(value: Sliceable, number: int, image: ImagePixel) -> Pixels:
    """Frame ``number`` from 0, as stored: colour by pixel, whatever lies above the high bit kept."""
    if image.bits_allocated == 1:
        return _read_single_bits(value, number, image)
    size = image.frame_bits // 8
    data = value[number * size : (number + 1) * size]
    cells = np.frombuffer(data, cell_type(image))
    if image.photometric_interpretation.endswith("_422"):
        return _expand_422(cells, image)
    if image.samples_per_pixel > 1 and image.planar_configuration:
        planes = cells.reshape(image.samples_per_pixel, image.rows, image.columns)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
    return cells.reshape(shape_of(image))


def _read_single_bits(value: Sliceable, number: int, image: ImagePixel) -> Pixels:
    """Bits follow each other from the lowest of each byte; a frame may begin inside a byte."""
    first = image.frame_bits * number
    start, end = first // 8, (first + image.frame_bits + 7) // 8
    part = np.frombuffer(value[start:end], np.uint8)
    bits = np.unpackbits(part, bitorder="little")[first % 8 : first % 8 + image.frame_bits]
    return bits.reshape(shape_of(image))


def _expand_422(cells: Pixels, image: ImagePixel) -> Pixels:
    """Two luminance samples, then the two chroma samples that both share (PS3.3 §C.7.6.3.1.2)."""
    if image.columns % 2:
        cells = np.resize(cells, -(-cells.size // 4) * 4)
    groups = cells.reshape(-1, 4)
    full = np.empty((groups.shape[0], 2, 3), cells.dtype)
    full[:, :, 0] = groups[:, :2]
    full[:, :, 1] = groups[:, 2:3]
    full[:, :, 2] = groups[:, 3:4]
    return full.reshape(-1, 3)[: image.rows * image.columns].reshape(image.rows, image.columns, 3)


def extract_values(cells: Pixels, image: ImagePixel) -> Pixels:
    """The values of the stored bits alone, with their sign (PS3.5 §8.1.1)."""
    if image.is_float or image.bits_stored == image.bits_allocated or image.bits_allocated == 1:
        return cells
    return extend_sign(cells, image.bits_stored, image.high_bit + 1 - image.bits_stored, cell_type(image))


def extend_sign(cells: Pixels, bits: int, lowest: int, wanted: np.dtype[Any]) -> Pixels:
    """``bits`` bits from bit ``lowest`` on, as ``wanted``. Costs nothing where no other bits are set."""
    width = wanted.itemsize * 8
    if cells.dtype.itemsize != wanted.itemsize:
        cells = cells.astype(wanted)
    if lowest == 0 and bits == width:
        return cells.view(wanted)
    up = width - bits - lowest
    unsigned = cells.view(f"u{wanted.itemsize}")
    if wanted.kind == "u":
        if lowest == 0 and int(unsigned.max()) < 1 << bits:
            return unsigned
        return np.asarray((unsigned >> lowest) & unsigned.dtype.type((1 << bits) - 1))
    signed = cells.view(wanted)
    if lowest == 0 and -(1 << bits - 1) <= int(signed.min()) and int(signed.max()) < 1 << bits - 1:
        return signed
    raised: Pixels = (unsigned << unsigned.dtype.type(up)).view(wanted) >> wanted.type(width - bits)
    return raised


def pack_cells(cells: Pixels, image: ImagePixel) -> Buffer:
    """Cells as explicit little endian bytes, colour by pixel, not copied where they are so already. Single bits begin
    at a byte."""
    if image.bits_allocated == 1:
        return np.packbits(cells.reshape(-1), bitorder="little").tobytes()
    return np.ascontiguousarray(cells, cell_type(image)).reshape(-1).view(np.uint8).data


def describe_interleaved(image: ImagePixel) -> ImagePixel:
    """How the arrays that this module gives are to be described."""
    photometric = image.photometric_interpretation.replace("YBR_FULL_422", "YBR_FULL")
    if not image.planar_configuration and photometric == image.photometric_interpretation:
        return image
    return replace(image, planar_configuration=0, photometric_interpretation=photometric)
