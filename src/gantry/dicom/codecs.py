"""Decoders by transfer syntax, each behind a check of what the bitstream declares (PS3.5 §8.2, §A.4).

The codec libraries are loaded when the first frame needs one. Whatever they raise, a caller sees a ``StatusError``.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gantry.dicom import forms
from gantry.dicom.bitstreams import Stream, read_stream
from gantry.dicom.cells import Pixels, cell_type, describe_interleaved, extend_sign, read_native_frame, shape_of
from gantry.dicom.image_source import ImagePixel, correct_422
from gantry.dicom.rle_segments import decode_planes, segment_extents, unpack_segment
from gantry.dicom.stream_ends import find_end
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError, UnsuitableForm

logger = logging.getLogger(__name__)

PASSED_ON = (KeyboardInterrupt, SystemExit, StatusError, ImportError, MemoryError)
"""Exceptions around a codec that do not mean that the frame is damaged."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The pixels of one frame, and the Image Pixel attributes that describe them now."""

    pixels: Pixels
    image: ImagePixel


def decode_frame(transfer_syntax_uid: str, data: bytes, image: ImagePixel) -> Frame:
    """Decode one encapsulated frame. Raises InvalidArgument for a bitstream that does not give the declared pixels."""
    is_uncompressed = transfer_syntax_uid == forms.ENCAPSULATED_LE
    decoder = _read_uncompressed if is_uncompressed else DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        raise UnsuitableForm(f"transfer syntax {transfer_syntax_uid} cannot be decoded")
    try:
        return decoder(data, image)
    except PASSED_ON:
        raise
    except BaseException as error:  # a panic of a codec in Rust is not an Exception
        logger.info("a frame of transfer syntax %s does not decode", transfer_syntax_uid, exc_info=error)
        raise InvalidArgument("a frame does not decode: its bitstream is damaged") from None


# --- what DCT, lossless, LS, 2000 and XL bitstreams share


def _check_stream(data: bytes, image: ImagePixel) -> Stream:
    """The bitstream must have the declared size; where it says so, the declared samples too."""
    stream = read_stream(data)
    if (stream.rows, stream.columns) != (image.rows, image.columns):
        found = f"{stream.rows} × {stream.columns}"
        raise InvalidArgument(f"a frame has {found} pixels, but Rows × Columns is {image.rows} × {image.columns}")
    if stream.samples not in (0, image.samples_per_pixel):
        raise InvalidArgument(f"a frame has {stream.samples} samples, SamplesPerPixel is {image.samples_per_pixel}")
    if stream.precision > image.bits_allocated:
        raise InvalidArgument(f"a frame has {stream.precision} bits, BitsAllocated is {image.bits_allocated}")
    return stream


def _describe(pixels: Pixels, precision: int, image: ImagePixel, lossy: bool = False, space: str = "") -> Frame:
    """Decoded samples as cells of the declared type; ``space`` is the Photometric Interpretation that they have now.

    Where a bitstream has greater values than BitsStored allows, the bitstream is right: they are kept, and the frame
    is described by the precision that they have (PS3.5 §8.2).
    """
    if pixels.shape != shape_of(image):
        raise InvalidArgument(f"a frame decodes to {pixels.shape}, declared is {shape_of(image)}")
    if lossy:
        pixels = _clip(pixels, image)
    values = _extract_values(pixels, precision or image.bits_stored, image)
    if precision > image.bits_stored and not _is_in_range(values, image):
        image = replace(image, bits_stored=precision, high_bit=precision - 1)
    return Frame(values, _describe_plain(image, space))


def _extract_values(pixels: Pixels, precision: int, image: ImagePixel) -> Pixels:
    cell, stored, is_signed = cell_type(image), image.bits_stored, bool(image.pixel_representation)
    if pixels.dtype.kind == "i" and is_signed:
        return pixels.astype(cell, copy=False)
    lowest = image.high_bit + 1 - stored if precision > image.high_bit else 0
    if lowest or precision <= stored or pixels.dtype.kind == "i":
        return extend_sign(pixels, min(precision, stored), lowest, cell)
    values = extend_sign(pixels, precision, 0, cell)
    # Cells whose writer did not repeat the sign above the stored bits, so that no value seems to be negative.
    if is_signed and int(values.min()) >= 0 and int(values.max()) < 1 << stored:
        return extend_sign(pixels, stored, 0, cell)
    return values


def _is_in_range(values: Pixels, image: ImagePixel) -> bool:
    least = -(1 << image.bits_stored - 1) if image.pixel_representation else 0
    return int(values.min()) >= least and int(values.max()) < least + (1 << image.bits_stored)


def _clip(pixels: Pixels, image: ImagePixel) -> Pixels:
    """Lossy codecs overshoot at edges; cutting bits off would turn the brightest pixels black."""
    is_signed = bool(image.pixel_representation)
    if (pixels.dtype.kind == "i") != is_signed or image.high_bit + 1 != image.bits_stored:
        return pixels
    least = -(1 << image.bits_stored - 1) if is_signed else 0
    limits = np.iinfo(pixels.dtype)
    most = least + (1 << image.bits_stored) - 1
    if least <= limits.min and most >= limits.max:
        return pixels
    return np.clip(pixels, max(least, int(limits.min)), min(most, int(limits.max)))


def _describe_plain(image: ImagePixel, photometric: str = "") -> ImagePixel:
    """The description of a decoded frame: colour by pixel, the high bit where the standard wants it."""
    image = describe_interleaved(image)
    photometric = photometric or image.photometric_interpretation
    return replace(image, photometric_interpretation=photometric, high_bit=image.bits_stored - 1)


# --- the decoders


def _decode_jpeg(data: bytes, image: ImagePixel) -> Frame:
    """DCT and lossless JPEG. Lossy YBR becomes RGB here, as nothing is lost by it that was not lost before."""
    import imagecodecs

    stream = _check_stream(data, image)
    data = data[: find_end(data)]
    if image.samples_per_pixel == 1 or stream.process == 0xC3:
        space = "RGB" if image.samples_per_pixel == 3 else None
        pixels = imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
        return _describe(pixels, stream.precision, image, stream.lossy)
    is_rgb = stream.is_rgb if stream.is_rgb is not None else image.photometric_interpretation == "RGB"
    pixels = imagecodecs.jpeg8_decode(data, colorspace="RGB" if is_rgb else "YCBCR", outcolorspace="RGB")
    return _describe(pixels, stream.precision, image, stream.lossy, "RGB")


def _decode_jpeg_ls(data: bytes, image: ImagePixel) -> Frame:
    import imagecodecs

    stream = _check_stream(data, image)
    data = data[: find_end(data)]
    if stream.process != 0xF7:
        raise InvalidArgument("a frame is JPEG, but not JPEG-LS")
    return _describe(imagecodecs.jpegls_decode(data), stream.precision, image, stream.lossy)


def _decode_j2k(data: bytes, image: ImagePixel) -> Frame:
    """JPEG 2000 and HTJ2K; the codec undoes the colour transformation, whatever its result is called (PS3.5 §8.2.4)."""
    from openjpeg.utils import decode

    stream = _check_stream(data, image)
    data = data[: find_end(data)]
    is_rgb = stream.is_transformed or image.photometric_interpretation in ("YBR_RCT", "YBR_ICT")
    pixels = decode(bytes(data))
    if pixels.ndim == 2 and image.samples_per_pixel == 3:
        raise InvalidArgument("a frame decodes to one sample per pixel")
    space = "RGB" if is_rgb and image.samples_per_pixel == 3 else ""
    return _describe(pixels, stream.precision, image, stream.lossy, space)


def _decode_jxl(data: bytes, image: ImagePixel) -> Frame:
    import imagecodecs

    _check_stream(data, image)
    pixels = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)  # of an animation, which no frame is, the first
    if pixels.dtype.kind == "f":
        raise FailedPrecondition("a JPEG XL frame has floating point samples")
    bits = pixels.dtype.itemsize * 8
    if bits > max(8, image.bits_allocated):
        raise InvalidArgument(f"a frame has more than 8 bits, BitsAllocated is {image.bits_allocated}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return _describe(pixels, bits, image, space="RGB" if image.samples_per_pixel == 3 else "")


def _decode_rle(data: bytes, image: ImagePixel) -> Frame:
    """Cells as they are, also what lies above the stored bits."""
    count = image.rows * image.columns
    if image.bits_allocated == 1:
        return Frame(_decode_rle_bits(data, image), _describe_plain(image))
    planes = decode_planes(data, image.samples_per_pixel, count, image.bits_allocated // 8).view(cell_type(image))
    planes = planes.reshape(image.samples_per_pixel, image.rows, image.columns)
    pixels = planes[0] if image.samples_per_pixel == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0))
    return Frame(pixels, describe_interleaved(image))


def _decode_rle_bits(data: bytes, image: ImagePixel) -> Pixels:
    """One segment of bits, eight to a byte as in native pixel data; one with a byte for each bit is something else."""
    count = image.rows * image.columns
    ((start, end),) = segment_extents(data, 1)
    decoded = np.frombuffer(unpack_segment(data, start, end, max(count, 3)), np.uint8)
    if not (count + 7) // 8 <= decoded.size < max(count, 3):
        raise InvalidArgument(f"an RLE frame does not have the declared {count} bits")
    return np.unpackbits(decoded, count=count, bitorder="little").reshape(shape_of(image))


def _inflate(data: bytes, image: ImagePixel) -> Frame:
    """A raw deflate stream of one native frame (PS3.5 §8.2.16), inflated to no more than its declared size."""
    needed = (image.whole_bits + 7) // 8
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    decoded = inflater.decompress(data, needed + 2)
    if not needed <= len(decoded) <= needed + 1 or not inflater.eof:
        raise InvalidArgument(f"a frame inflates to {len(decoded)} bytes or is cut, {needed} are declared")
    is_422 = image.photometric_interpretation.endswith("_422")
    whole = replace(image, photometric_interpretation="YBR_FULL") if is_422 else image
    return Frame(read_native_frame(decoded, 0, whole), describe_interleaved(image))


def _read_uncompressed(data: bytes, image: ImagePixel) -> Frame:
    """A native frame as it is (PS3.5 §A.4.11); the Photometric Interpretation may say 422 over whole samples."""
    one = correct_422(len(data), replace(image, number_of_frames=1))
    needed = (one.frame_bits + 7) // 8
    if len(data) < needed:
        raise InvalidArgument(f"a frame has {len(data)} bytes, {needed} are declared")
    pixels = read_native_frame(data, 0, one)
    return Frame(pixels, describe_interleaved(replace(one, number_of_frames=image.number_of_frames)))


DECODERS: dict[str, Callable[[bytes, ImagePixel], Frame]] = {
    forms.RLE: _decode_rle,
    forms.DEFLATED_FRAME: _inflate,
    **dict.fromkeys(
        (forms.JPEG_BASELINE, forms.JPEG_EXTENDED, forms.JPEG_LOSSLESS, forms.JPEG_LOSSLESS_SV1), _decode_jpeg
    ),
    **dict.fromkeys((forms.JPEG_LS, forms.JPEG_LS_NEAR), _decode_jpeg_ls),
    **dict.fromkeys((forms.J2K_LOSSLESS, forms.J2K, forms.HTJ2K_LOSSLESS, forms.HTJ2K_RPCL, forms.HTJ2K), _decode_j2k),
    **dict.fromkeys((forms.JXL_LOSSLESS, forms.JXL_JPEG, forms.JXL), _decode_jxl),
}


def have_same_pixels(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))


def find_largest_difference(one: Pixels, other: Pixels) -> int:
    wide: Any = np.abs(one.astype(np.int64) - other.astype(np.int64))
    return int(wide.max())
