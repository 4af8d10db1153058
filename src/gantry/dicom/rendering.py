"""A frame as an 8-bit picture: Modality LUT, VOI LUT, polarity, palette (PS3.3 §C.11.1, §C.11.2, §C.7.6.3).

For integers the whole chain is one table from stored value to grey, so that a frame costs one look-up per pixel; a
straight line, which most windows are, costs less still.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gantry.dicom import forms
from gantry.dicom.cells import Pixels, extract_values
from gantry.dicom.codecs import Frame
from gantry.dicom.colour import to_rgb
from gantry.dicom.image_source import ImagePixel
from gantry.dicom.library_values import read_value
from gantry.dicom.look_up_tables import find_usable_lut, look_up
from gantry.dicom.palettes import palette_to_rgb
from gantry.dicom.windows import NO_NUMBER, Window, first_number, ramp, read_window, window
from gantry.errors import FailedPrecondition, InvalidArgument, UnsuitableForm

PNG_LEVEL = 1
_MAX_TABLE = 1 << 17
_FAR = 4096
_BLOCK, _LINE_BLOCK = 1 << 14, 1 << 17
_BLACK, _WHITE = np.float32(0), np.float32(255)
_EXACT = 1 << 14  # greys: up to there 24 bits of mantissa leave 1/1000 of a grey


@dataclass(frozen=True, slots=True)
class Grey:
    """What turns stored values into greys, for one frame. The LUT items are datasets or None.

    ``stored`` are the least and the greatest value that the stored bits can hold.
    """

    slope: float
    intercept: float
    modality_lut: Any
    voi_lut: Any
    center: float | None
    width: float
    function: str
    inverted: bool
    padding: tuple[int, int] | None
    stored: tuple[int, int] = (0, 255)


def render_frame(frame: Frame, ds: Any, number: int, window: Window | None = None) -> Pixels:
    """Frame ``number`` from 0 in 8 bits: rows × columns of grey, or rows × columns × 3 of RGB."""
    image = frame.image
    if image.is_float:
        raise FailedPrecondition("float pixel data cannot be rendered")
    values = extract_values(frame.pixels, image)
    photometric = image.photometric_interpretation
    if photometric == "PALETTE COLOR":
        return palette_to_rgb(values, ds)
    if image.samples_per_pixel == 3:
        rgb = to_rgb(values, image)
        return _scale_to_eight_bits(rgb, image.bits_stored)
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FailedPrecondition(f"PhotometricInterpretation {photometric} cannot be rendered")
    grey = read_grey_parameters(ds, number, image)
    if window is not None:
        grey = replace(grey, voi_lut=None, center=window.center, width=window.width, function=window.function)
    return render_grey(values, grey)


def _scale_to_eight_bits(rgb: Pixels, bits: int) -> Pixels:
    if bits > 8:
        return (rgb >> (bits - 8)).astype(np.uint8)
    if bits == 8:
        return rgb.astype(np.uint8, copy=False)
    return (rgb.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)


# --- the parameters


def read_grey_parameters(ds: Any, number: int, image: ImagePixel) -> Grey:
    """From the frame's functional groups, else the shared ones, else the top level (PS3.3 §C.7.6.16)."""
    modality = _find_group(ds, number, "PixelValueTransformationSequence") or ds
    window = _find_group(ds, number, "FrameVOILUTSequence") or ds
    shown = read_window(window)
    slope, intercept = _read_rescale(modality, "RescaleSlope"), _read_rescale(modality, "RescaleIntercept")
    if not slope or intercept is None:
        slope, intercept = 1.0, 0.0
    signed = bool(image.pixel_representation)
    lowest = -(1 << image.bits_stored - 1) if signed else 0
    return Grey(
        slope=slope,
        intercept=intercept,
        modality_lut=_first_item(ds, "ModalityLUTSequence"),
        voi_lut=find_usable_lut(window.get("VOILUTSequence")),
        center=shown.center if shown else None,
        width=shown.width if shown else 0.0,
        function=shown.function if shown else "LINEAR",
        inverted=image.photometric_interpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE",
        padding=_read_padding(ds, signed),
        stored=(lowest, lowest + (1 << image.bits_stored) - 1),
    )


def _find_group(ds: Any, number: int, keyword: str) -> Any:
    """The item of a functional group macro for one frame; the frame's own goes before the shared one."""
    per_frame = ds.get("PerFrameFunctionalGroupsSequence")
    if per_frame and number < len(per_frame) and (found := _first_item(per_frame[number], keyword)):
        return found
    shared = _first_item(ds, "SharedFunctionalGroupsSequence")
    return _first_item(shared, keyword) if shared is not None else None


def _first_item(ds: Any, keyword: str) -> Any:
    sequence = ds.get(keyword)
    try:
        return sequence[0] if sequence is not None and len(sequence) else None
    except TypeError:
        return None


def _read_rescale(ds: Any, keyword: str) -> float | None:
    """None where it is absent or of no use. Raises InvalidArgument for what is no number: the greys depend on it."""
    try:
        value = first_number(ds, keyword)
    except NO_NUMBER:
        raise InvalidArgument(f"the instance cannot be read: {keyword} is not a number") from None
    return value if value is not None and math.isfinite(value) else None


def _read_padding(ds: Any, signed: bool) -> tuple[int, int] | None:
    """PixelPaddingValue, up to PixelPaddingRangeLimit where there is one (PS3.3 §C.7.5.1.1.2)."""
    value = read_value(ds, "PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = read_value(ds, "PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    if not signed:
        ends = [end & 0xFFFF for end in ends] if ends[0] < 0 else ends
    elif ends[1] <= 0xFFFF:  # written as US, though the pixels have signs
        ends = [end - 0x10000 if end >= 0x8000 else end for end in ends]
    return min(ends), max(ends)


# --- stored values to greys


def render_grey(values: Pixels, grey: Grey) -> Pixels:
    """One table look-up per pixel where the values span little enough, else the formulas on all pixels."""
    line = _fit_line(grey, max(-grey.stored[0], grey.stored[1]))
    if line is not None:
        return _apply_line(line, values)
    least, most = int(values.min()), int(values.max())
    line = _fit_line(grey, max(-least, most))
    if line is not None:
        return _apply_line(line, values)
    bounds = _find_bounds(values, grey, least, most)
    if most - least >= _MAX_TABLE or least < -_MAX_TABLE:
        return _compute_greys(values, grey, bounds)
    # Indices below zero count from the end, as in any array: no pass over the pixels to move them.
    first, last = (least, most) if least > _FAR else (0, max(most, 0))
    stored = np.concatenate((np.arange(first, last + 1), np.arange(min(least, 0), 0)))
    table = _compute_greys(stored, grey, bounds)
    return _apply_table(table, values, first)


def _fit_line(grey: Grey, largest: int) -> tuple[float, float] | None:
    """Factor and offset from stored values to greys, where rescale and window are a line that 32-bit floats follow."""
    if grey.center is None or grey.modality_lut is not None or grey.voi_lut is not None or grey.function == "SIGMOID":
        return None
    low, span = ramp(grey.center, grey.width, grey.function)
    if span <= 0:
        return None
    factor, offset = grey.slope * 255 / span, (grey.intercept - low) * 255 / span
    if grey.inverted:
        factor, offset = -factor, 255 - offset
    return (factor, offset) if max(abs(factor) * largest, abs(offset)) < _EXACT else None


def _apply_line(line: tuple[float, float], values: Pixels) -> Pixels:
    """In blocks, as floats take four times the room of greys."""
    factor, offset = np.float32(line[0]), np.float32(line[1] + 0.5)
    flat = values.reshape(-1)
    greys, floats = np.empty(flat.shape, np.uint8), np.empty(min(flat.size, _LINE_BLOCK), np.float32)
    for start in range(0, flat.size, _LINE_BLOCK):
        block = flat[start : start + _LINE_BLOCK]
        shown = floats[: block.size]
        np.copyto(shown, block, casting="unsafe")
        shown *= factor
        shown += offset
        np.copyto(greys[start : start + _LINE_BLOCK], shown.clip(_BLACK, _WHITE, out=shown), casting="unsafe")
    return greys.reshape(values.shape)


def _apply_table(table: Pixels, values: Pixels, first: int) -> Pixels:
    """``table[values - first]``, in blocks that stay in the cache: numpy wants indices of 64 bits."""
    flat = values.reshape(-1)
    greys = np.empty(flat.shape, np.uint8)
    for start in range(0, flat.size, _BLOCK):
        indices = flat[start : start + _BLOCK].astype(np.intp)
        if first:
            indices -= first
        greys[start : start + _BLOCK] = table.take(indices)
    return greys.reshape(values.shape)


def _find_bounds(values: Pixels, grey: Grey, least: int, most: int) -> tuple[int, int]:
    """The stored values that become black and white where no window is.

    Up to 8 bits they are P-Values as they are, so that frames and tiles can be compared (PS3.3 §A.8.4.4); else the
    extremes of what is no padding, and where those are one value, what the stored bits can hold.
    """
    if grey.center is not None or grey.voi_lut is not None:
        return least, most
    if grey.stored[1] - grey.stored[0] < 256 and grey.modality_lut is None:
        return grey.stored
    if grey.padding is not None and grey.padding[1] >= least and grey.padding[0] <= most:
        kept = values[(values < grey.padding[0]) | (values > grey.padding[1])]
        least, most = (int(kept.min()), int(kept.max())) if kept.size else (least, most)
    return (least, most) if least < most else grey.stored


def _compute_greys(stored: Pixels, grey: Grey, bounds: tuple[int, int]) -> Pixels:
    """In blocks, as each step of the formulas takes eight bytes for a value."""
    flat = stored.reshape(-1)
    blocks = [flat[start : start + _LINE_BLOCK] for start in range(0, flat.size, _LINE_BLOCK)]
    ends = _find_ends(blocks, grey, bounds)
    greys = np.empty(flat.shape, np.uint8)
    for number, block in enumerate(blocks):
        start = number * _LINE_BLOCK
        greys[start : start + block.size] = _compute_block(block, grey, ends)
    return greys.reshape(stored.shape)


def _compute_block(stored: Pixels, grey: Grey, ends: tuple[float, float]) -> Pixels:
    """Padding that counts for no extreme is black, whatever the polarity. A window shows it as any other value."""
    shown = _apply_voi(_apply_modality(stored, grey), grey, ends)
    greys: Pixels = np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)
    if grey.inverted:
        greys = 255 - greys
    if grey.padding is not None and grey.center is None and grey.voi_lut is None:
        greys[(stored >= grey.padding[0]) & (stored <= grey.padding[1])] = 0
    return greys


def _apply_modality(stored: Pixels, grey: Grey) -> Pixels:
    if grey.modality_lut is not None:  # a difference of unsigned numbers would be a large one where it is below zero
        return look_up(stored.astype(np.int64), grey.modality_lut, grey.stored[0] < 0)[0]
    return stored * grey.slope + grey.intercept


def _find_ends(blocks: Sequence[Pixels], grey: Grey, bounds: tuple[int, int]) -> tuple[float, float]:
    """The extremes after the modality transformation; a table may have them anywhere between the bounds."""
    if grey.center is not None or grey.voi_lut is not None:
        return 0.0, 1.0  # nobody asks
    inside: Iterable[Pixels] = (np.array(bounds, np.int64),)
    if grey.modality_lut is not None:
        inside = (block[(block >= bounds[0]) & (block <= bounds[1])] for block in blocks)
    found = _find_extremes(inside, grey)
    return found if found is not None else _find_extremes(blocks, grey) or (0.0, 0.0)


def _find_extremes(blocks: Iterable[Pixels], grey: Grey) -> tuple[float, float] | None:
    """None where the blocks have no values."""
    values = (_apply_modality(block, grey) for block in blocks if block.size)
    ends = [(float(each.min()), float(each.max())) for each in values]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _apply_voi(values: Pixels, grey: Grey, ends: tuple[float, float]) -> Pixels:
    """Values to 0 … 1."""
    if grey.voi_lut is not None:
        found, top = look_up(np.rint(values).astype(np.int64), grey.voi_lut, _may_be_negative(grey))
        return found / top
    if grey.center is not None:
        return window(values, grey.center, grey.width, grey.function)
    low, high = ends
    return (values - low) / (high - low) if high > low else np.where(values > 0, 1.0, 0.0)


def _may_be_negative(grey: Grey) -> bool:
    """After the modality transformation, by what the stored bits can hold, as dcmtk has it; a table has no signs."""
    if grey.modality_lut is not None:
        return False
    return min(value * grey.slope + grey.intercept for value in grey.stored) < 0


# --- pictures to files


def require_media_type(image: ImagePixel, media_type: str) -> None:
    """Raises FailedPrecondition for colour of more than 8 bits as JPEG."""
    if media_type == forms.JPEG and image.samples_per_pixel == 3 and image.bits_stored > 8:
        raise UnsuitableForm(f"colour of {image.bits_stored} bits per sample cannot become JPEG")


def to_jpeg(shown: Pixels, quality: int = forms.JPEG_QUALITY) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(shown), quality))


def to_png(shown: Pixels) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(shown), PNG_LEVEL))
