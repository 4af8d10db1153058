"""A whole instance in another transfer syntax (PS3.5 §A, PS3.10 §7.1).

The SOP Instance UID stays as it is, also after a lossy step: an export is a copy for elsewhere, not a new object of
this store. Elements that do not speak of the encoding are copied as bytes, or written as pydicom reads them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement

from gantry.dicom import forms
from gantry.dicom.bitstreams import read_stream
from gantry.dicom.cells import packed
from gantry.dicom.codecs import decode_frame
from gantry.dicom.encapsulation import encapsulate
from gantry.dicom.encoders import encode_frame, recompress_jpeg, require_encodable
from gantry.dicom.frames import Beat, frames_of
from gantry.dicom.icons import native_icons
from gantry.dicom.image_source import (
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    MAX_FILE,
    PIXEL_DATA,
    ImagePixel,
    Source,
    encoded_frames,
    has_pixels,
    read_image_pixel,
)
from gantry.dicom.rewriting import Changes, written
from gantry.errors import FailedPrecondition

_TOTAL_LENGTH = 0x7FE00003
_METHODS = {
    forms.JPEG_BASELINE: "ISO_10918_1",
    forms.JPEG_EXTENDED: "ISO_10918_1",
    forms.JPEG_LS_NEAR: "ISO_14495_1",
}
_SOURCE_METHODS = _METHODS | dict.fromkeys((forms.J2K, forms.J2K_LOSSLESS), "ISO_15444_1")
_RATIO, _METHOD = 0x00282112, 0x00282114
_WHOLE_CELLS = (forms.RLE, forms.DEFLATED_FRAME, forms.ENCAPSULATED_LE)
_OVERLAY_BIT_POSITION, _OVERLAY_DATA = 0x60000102, 0x3000


def transcode(source: Source, transfer_syntax_uid: str, beat: Beat) -> bytes:
    """The instance as a Part 10 file. Raises FailedPrecondition or InvalidArgument."""
    if source.transfer_syntax_uid == transfer_syntax_uid:
        return source.data
    if transfer_syntax_uid in forms.NATIVE_TARGETS and (not source.encapsulated or not has_pixels(source)):
        beat()
        return written(source, {}, transfer_syntax_uid)
    if not has_pixels(source):
        raise FailedPrecondition(f"has no pixel data to compress: it is a {source.sop_class_name}")
    return written(source, _new_elements(source, transfer_syntax_uid, beat), transfer_syntax_uid)


def _new_elements(source: Source, syntax: str, beat: Beat) -> Changes:
    """What replaces the pixels and their description; None where an element goes."""
    image = read_image_pixel(source)
    if _from_whole_cells(source):
        _require_no_overlay_in_pixels(source, syntax)
    changes: Changes = dict.fromkeys((EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS, _TOTAL_LENGTH))
    if syntax in forms.NATIVE_TARGETS:
        if image.decoded_bytes * image.number_of_frames > MAX_FILE:
            raise FailedPrecondition(f"the pixels would take more than {MAX_FILE} bytes")
        value, after = _as_native(source, image, beat)
        vr = "OW" if image.bits_allocated > 8 or syntax == forms.IMPLICIT_LE else "OB"
    else:
        frames, after = _as_encoded(source, image, syntax, beat)
        value, vr = encapsulate(frames), "OB"
        if syntax in _METHODS:
            before = image.frame_bits // 8 * image.number_of_frames
            changes |= _lossy_marks(source, syntax, before / max(1, sum(map(len, frames))))
    if after.bits_stored > image.bits_stored:
        _require_no_overlay_in_pixels(source, syntax)  # a bitstream of whole cells, whatever BitsStored says
    if 0x00282110 not in changes and _hides_a_loss(source, image):
        changes[0x00282110] = DataElement(0x00282110, "CS", "01")
    element = DataElement(PIXEL_DATA, vr, value)
    element.is_undefined_length = syntax not in forms.NATIVE_TARGETS
    return changes | native_icons(source) | _description(source.ds, after) | {PIXEL_DATA: element}


def _as_native(source: Source, image: ImagePixel, beat: Beat) -> tuple[bytes, ImagePixel]:
    if image.bits_allocated == 1:
        bits, after = [], image
        for frame in frames_of(source, image, beat):
            bits.append(frame.pixels.reshape(-1))
            after = frame.image
        value = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    else:
        parts, after = [], image
        for frame in frames_of(source, image, beat):
            parts.append(packed(frame.pixels, frame.image))
            after = _widest(after, frame.image)
        value = b"".join(parts)
    return value + b"\0" * (len(value) % 2), after


def _as_encoded(source: Source, image: ImagePixel, syntax: str, beat: Beat) -> tuple[list[bytes], ImagePixel]:
    if syntax == forms.JXL_JPEG:
        return _recompressed(source, image, beat), image
    # The codec may change what is declared (YBR_RCT to RGB), so only the plain refusals can be made this early.
    require_encodable(syntax, image)
    found, size, after = [], 0, image
    for frame in frames_of(source, image, beat):
        data, described = encode_frame(syntax, frame)
        after = _widest(after, described)
        found.append(data)
        size += len(data)
        if size > MAX_FILE:
            raise FailedPrecondition(f"the pixels would take more than {MAX_FILE} bytes")
    return found, after


def _widest(known: ImagePixel, latest: ImagePixel) -> ImagePixel:
    """Frames of an instance share their attributes: where a bitstream has more bits than declared, the most count."""
    if known.bits_stored <= latest.bits_stored:
        return latest
    return replace(latest, bits_stored=known.bits_stored, high_bit=known.high_bit)


def _recompressed(source: Source, image: ImagePixel, beat: Beat) -> list[bytes]:
    if source.transfer_syntax_uid != forms.JPEG_BASELINE:
        raise FailedPrecondition("only JPEG Baseline instances can be recompressed to JPEG XL")
    found = []
    for data in encoded_frames(source, image):
        beat()
        decode_frame(source.transfer_syntax_uid, data, image)
        found.append(recompress_jpeg(data))
    return found


def _from_whole_cells(source: Source) -> bool:
    return not source.encapsulated or source.transfer_syntax_uid in _WHOLE_CELLS


def _require_no_overlay_in_pixels(source: Source, syntax: str) -> None:
    """Overlays in unused bits of the cells, retired, live only in syntaxes that keep whole cells (PS3.5 §8.1.2).

    Where there is Overlay Data, the overlay lies there and not in the cells, whatever its bit position (PS3.3 §C.9.2).
    """
    if syntax == forms.JXL_JPEG or (_from_whole_cells(source) and syntax in (*_WHOLE_CELLS, *forms.NATIVE_TARGETS)):
        return
    ds = source.ds
    present = ds if source.elements is None else {element.tag for element in source.elements}
    for tag in range(_OVERLAY_BIT_POSITION, _OVERLAY_BIT_POSITION + 0x200000, 0x20000):
        if tag in ds and ds[tag].value and (tag & 0xFFFF0000) | _OVERLAY_DATA not in present:
            raise FailedPrecondition("an overlay lies in unused bits of the pixels and would be lost")


def _hides_a_loss(source: Source, image: ImagePixel) -> bool:
    """The stored bitstream is a lossy one and nothing says so; a new encoding would not tell any more."""
    if not source.encapsulated or source.ds.get("LossyImageCompression") == "01":
        return False
    if source.transfer_syntax_uid in _WHOLE_CELLS:
        return False
    return read_stream(encoded_frames(source, image)[0]).lossy


def _description(ds: Any, image: ImagePixel) -> Changes:
    """The Image Pixel attributes that a new encoding changes; those that are right already stay as bytes."""
    wanted = {
        0x00280002: ("SamplesPerPixel", image.samples_per_pixel),
        0x00280004: ("PhotometricInterpretation", image.photometric_interpretation),
        0x00280100: ("BitsAllocated", image.bits_allocated),
        0x00280101: ("BitsStored", image.bits_stored),
        0x00280102: ("HighBit", image.high_bit),
    }
    found: Changes = {}
    if image.samples_per_pixel > 1:
        wanted[0x00280006] = ("PlanarConfiguration", image.planar_configuration)
    elif "PlanarConfiguration" in ds:
        found[0x00280006] = None
    for tag, (keyword, value) in wanted.items():
        if ds.get(keyword) != value:
            found[tag] = DataElement(tag, "CS" if isinstance(value, str) else "US", value)
    return found


def _lossy_marks(source: Source, syntax: str, ratio: float) -> Changes:
    """LossyImageCompression and, one value more for each step, ratio and method (PS3.3 §C.7.6.1.1.5)."""
    ratios, methods = _values_of(source.ds, _RATIO), _values_of(source.ds, _METHOD)
    if len(methods) == len(ratios) - 1:  # the last step was not named, but its bitstream is here
        methods.append(_SOURCE_METHODS.get(source.transfer_syntax_uid, ""))
    return {
        0x00282110: DataElement(0x00282110, "CS", "01"),
        _RATIO: DataElement(_RATIO, "DS", [*ratios, f"{ratio:.3f}"[:16]]),
        _METHOD: DataElement(_METHOD, "CS", [*methods, _METHODS[syntax]]),
    }


def _values_of(ds: Any, tag: int) -> list[Any]:
    known = ds[tag].value if tag in ds else None
    return [] if known in (None, "") else [known] if isinstance(known, (str, float)) else list(known)
