"""A whole instance in another transfer syntax (PS3.5 §A, PS3.10 §7.1).

The SOP Instance UID stays as it is, also after a lossy step: an export is a copy for elsewhere, not a new object of
this store. What does not speak of the encoding keeps the bytes of its value (see ``rewriting``).

What decodes or encodes pixels is loaded where it is called: between native syntaxes nothing of it is needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom.uid import UID

from gantry.dicom import forms
from gantry.dicom.bitstreams import read_stream
from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet
from gantry.dicom.encapsulation import encapsulate
from gantry.dicom.file_meta import write_meta
from gantry.dicom.frames import Beat, decode_frames
from gantry.dicom.icons import convert_icons
from gantry.dicom.image_source import MAX_FILE, ImagePixel, Source, read_encoded_frames, read_image_pixel
from gantry.dicom.native_pixels import decode_to_native, keep_widest
from gantry.dicom.open_source import WholeInstance
from gantry.dicom.rewriting import Changes, NewElement, number_element, require_same, rewrite, text_element
from gantry.dicom.tags import (
    BITS_ALLOCATED,
    BITS_STORED,
    HIGH_BIT,
    LOSSY_COMPRESSION,
    LOSSY_METHOD,
    LOSSY_RATIO,
    OFFSET_TABLE,
    OFFSET_TABLE_LENGTHS,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PLANAR_CONFIGURATION,
    SAMPLES_PER_PIXEL,
    TOTAL_PIXEL_LENGTH,
)
from gantry.errors import FailedPrecondition, UnsuitableForm

_METHODS = {
    forms.JPEG_BASELINE: "ISO_10918_1",
    forms.JPEG_EXTENDED: "ISO_10918_1",
    forms.JPEG_LS_NEAR: "ISO_14495_1",
}
_SOURCE_METHODS = _METHODS | dict.fromkeys((forms.J2K, forms.J2K_LOSSLESS), "ISO_15444_1")
_WHOLE_CELLS = (forms.RLE, forms.DEFLATED_FRAME, forms.ENCAPSULATED_LE)
_OVERLAY_BITS, _OVERLAY_POSITION, _OVERLAY_DATA = 0x60000100, 0x60000102, 0x60003000


def transcode(instance: WholeInstance, transfer_syntax_uid: str, beat: Beat) -> bytes:
    """The instance as a Part 10 file. Raises FailedPrecondition or InvalidArgument."""
    if instance.header.transfer_syntax_uid == transfer_syntax_uid:
        return instance.data
    is_native = transfer_syntax_uid in forms.NATIVE_TARGETS
    if is_native and not (instance.is_encapsulated and instance.has_pixels):
        beat()
        return _write_file(instance, {}, transfer_syntax_uid, beat)
    if not instance.has_pixels:
        name = str(UID(instance.header.sop_class_uid).name)
        raise FailedPrecondition(f"has no pixel data to compress: it is a {name}")
    return _write_file(instance, _build_changes(instance, transfer_syntax_uid, beat), transfer_syntax_uid, beat)


def _write_file(instance: WholeInstance, changes: Changes, syntax: str, beat: Beat) -> bytes:
    """A file that has been read again and compared with the instance. Raises FailedPrecondition, Internal."""
    target = IMPLICIT_LE if syntax == forms.IMPLICIT_LE else EXPLICIT_LE
    inside = convert_icons(instance, beat) if instance.is_encapsulated else {}
    changes = changes | {element.tag: None for element, _ in instance.placed if inside.get(element.start, 0) is None}
    header = instance.header
    meta = write_meta(header.sop_class_uid, header.sop_instance_uid, syntax, instance.meta)
    file = b"".join((meta, *rewrite(instance.data_set, instance.placed, changes, target, inside)))
    require_same(instance.data_set, instance.placed, changes, DataSet(file, target), len(meta), inside)
    if syntax != forms.DEFLATED_LE:
        return file
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(memoryview(file)[len(meta) :]) + deflater.flush()
    return b"".join((meta, body, b"\0" * (len(body) % 2)))


def _build_changes(instance: WholeInstance, syntax: str, beat: Beat) -> Changes:
    """What replaces the pixels and their description; None where an element goes."""
    source = instance.source
    image = read_image_pixel(source)
    if _has_whole_cells(source):
        _require_no_overlay_in_pixels(instance, syntax)
    changes: Changes = dict.fromkeys((OFFSET_TABLE, OFFSET_TABLE_LENGTHS, TOTAL_PIXEL_LENGTH))
    if syntax in forms.NATIVE_TARGETS:
        value, after = decode_to_native(source, image, beat)
        vr = "OW" if image.bits_allocated > 8 or syntax == forms.IMPLICIT_LE else "OB"
    else:
        frames, after = _encode_frames(source, image, syntax, beat)
        value, vr = encapsulate(frames), "OB"
        if syntax in _METHODS:
            before = image.frame_bits // 8 * image.number_of_frames
            changes |= _mark_loss(source, syntax, before / max(1, sum(map(len, frames))))
    if after.bits_stored > image.bits_stored:
        _require_no_overlay_in_pixels(instance, syntax)  # a bitstream of whole cells, whatever BitsStored says
    if LOSSY_COMPRESSION not in changes and _hides_a_loss(source, image):
        changes[LOSSY_COMPRESSION] = text_element("CS", "01")
    pixels = NewElement(vr, value, syntax not in forms.NATIVE_TARGETS)
    return changes | _describe_pixels(source.ds, after) | {PIXEL_DATA: pixels}


def _encode_frames(source: Source, image: ImagePixel, syntax: str, beat: Beat) -> tuple[list[bytes], ImagePixel]:
    from gantry.dicom.encoders import encode_frame, require_encodable

    if syntax == forms.JXL_JPEG:
        return list(recompress_frames(source, image, beat, range(image.number_of_frames))), image
    # The codec may change what is declared (YBR_RCT to RGB), so only the plain refusals can be made this early.
    require_encodable(syntax, image)
    found, size, after = [], 0, image
    for frame in decode_frames(source, image, beat):
        data, described = encode_frame(syntax, frame)
        after = keep_widest(after, described)
        found.append(data)
        size += len(data)
        if size > MAX_FILE:
            raise FailedPrecondition(f"the pixels would take more than {MAX_FILE} bytes")
    return found, after


def recompress_frames(source: Source, image: ImagePixel, beat: Beat, numbers: Sequence[int]) -> Iterator[bytes]:
    """JPEG Baseline frames as JPEG XL, by numbers from 0. Raises InvalidArgument, UnsuitableForm."""
    from gantry.dicom.codecs import decode_frame
    from gantry.dicom.encoders import recompress_jpeg

    if source.transfer_syntax_uid != forms.JPEG_BASELINE:
        raise UnsuitableForm("only JPEG Baseline instances can be recompressed to JPEG XL")
    bitstreams = read_encoded_frames(source, image)
    for number in numbers:
        beat()
        decode_frame(source.transfer_syntax_uid, bitstreams[number], image)
        yield recompress_jpeg(bitstreams[number])


def _has_whole_cells(source: Source) -> bool:
    return not source.encapsulated or source.transfer_syntax_uid in _WHOLE_CELLS


def _require_no_overlay_in_pixels(instance: WholeInstance, syntax: str) -> None:
    """Overlays in unused bits of the cells, retired, live only in syntaxes that keep whole cells (PS3.5 §8.1.2).

    Where there is Overlay Data, the overlay lies there and not in the cells, whatever its bit position (PS3.3 §C.9.2).
    """
    source = instance.source
    keeps_cells = _has_whole_cells(source) and syntax in (*_WHOLE_CELLS, *forms.NATIVE_TARGETS)
    if keeps_cells or syntax == forms.JXL_JPEG:
        return
    ds, tags = source.ds, instance.tags
    for group in (group for group in range(0, 0x200000, 0x20000) if _OVERLAY_POSITION + group in tags):
        position, bits = (ds.get(tag + group) for tag in (_OVERLAY_POSITION, _OVERLAY_BITS))
        is_in_cells = position and (position.value or (bits and bits.value and bits.value > 1))
        if is_in_cells and _OVERLAY_DATA + group not in tags:
            raise FailedPrecondition("an overlay lies in unused bits of the pixels and would be lost")


def _hides_a_loss(source: Source, image: ImagePixel) -> bool:
    """The stored bitstream is a lossy one and nothing says so; a new encoding would not tell any more."""
    if not source.encapsulated or source.ds.get("LossyImageCompression") == "01":
        return False
    if source.transfer_syntax_uid in _WHOLE_CELLS:
        return False
    return read_stream(read_encoded_frames(source, image)[0]).lossy


def _describe_pixels(ds: Any, image: ImagePixel) -> Changes:
    """The Image Pixel attributes that a new encoding changes; those that are right already stay as bytes."""
    wanted: dict[int, tuple[str, int | str]] = {
        SAMPLES_PER_PIXEL: ("SamplesPerPixel", image.samples_per_pixel),
        PHOTOMETRIC_INTERPRETATION: ("PhotometricInterpretation", image.photometric_interpretation),
        BITS_ALLOCATED: ("BitsAllocated", image.bits_allocated),
        BITS_STORED: ("BitsStored", image.bits_stored),
        HIGH_BIT: ("HighBit", image.high_bit),
    }
    found: Changes = {}
    if image.samples_per_pixel > 1:
        wanted[PLANAR_CONFIGURATION] = ("PlanarConfiguration", image.planar_configuration)
    elif "PlanarConfiguration" in ds:
        found[PLANAR_CONFIGURATION] = None
    for tag, (keyword, value) in wanted.items():
        if ds.get(keyword) != value:
            found[tag] = text_element("CS", value) if isinstance(value, str) else number_element(value)
    return found


def _mark_loss(source: Source, syntax: str, ratio: float) -> Changes:
    """LossyImageCompression and, one value more for each step, ratio and method (PS3.3 §C.7.6.1.1.5)."""
    ratios, methods = _values_of(source.ds, LOSSY_RATIO), _values_of(source.ds, LOSSY_METHOD)
    if len(methods) == len(ratios) - 1:  # the last step was not named, but its bitstream is here
        methods.append(_SOURCE_METHODS.get(source.transfer_syntax_uid, ""))
    return {
        LOSSY_COMPRESSION: text_element("CS", "01"),
        LOSSY_RATIO: text_element("DS", *ratios, f"{ratio:.3f}"[:16]),
        LOSSY_METHOD: text_element("CS", *methods, _METHODS[syntax]),
    }


def _values_of(ds: Any, tag: int) -> list[str]:
    """As they are written. Raises InvalidArgument for what is no ASCII."""
    raw = ds.get_item(tag).value if tag in ds else b""
    if not isinstance(raw, bytes):
        raw = "\\".join(map(str, raw if isinstance(raw, (list, tuple)) or hasattr(raw, "append") else [raw])).encode()
    text = raw.decode("ascii", "replace").strip("\0 ")
    return text.split("\\") if text else []
