"""Decoders by transfer syntax, each behind a check of what the bitstream declares (PS3.5 §8.2, §A.4).

The codec libraries are loaded when the first frame needs one. Whatever they raise, a caller sees a ``StatusError``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from struct import unpack_from
from typing import Any

import numpy as np

from gantry.dicom import forms
from gantry.dicom.bitstreams import Stream, read_stream, require_end
from gantry.dicom.cells import Pixels, cell_type, shape_of, sign_extended
from gantry.dicom.image_source import ImagePixel
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError


@dataclass(frozen=True, slots=True)
class Frame:
    """The pixels of one frame, and the Image Pixel attributes that describe them now."""

    pixels: Pixels
    image: ImagePixel


def decode_frame(transfer_syntax_uid: str, data: bytes, image: ImagePixel) -> Frame:
    """Decode one encapsulated frame. Raises InvalidArgument for a bitstream that does not give the declared pixels."""
    decoder = DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        raise FailedPrecondition(f"transfer syntax {transfer_syntax_uid} cannot be decoded")
    try:
        return decoder(data, image)
    except (KeyboardInterrupt, SystemExit, StatusError):
        raise
    except ImportError:
        raise
    except BaseException as error:
        raise InvalidArgument(f"a frame does not decode: {str(error)[:200] or type(error).__name__}") from None


# --- what DCT, lossless, LS, 2000 and XL bitstreams share


def _checked(data: bytes, image: ImagePixel) -> Stream:
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


def _values(pixels: Pixels, precision: int, image: ImagePixel, lossy: bool = False) -> Pixels:
    """Decoded samples as cells of the declared type, with the sign of the stored bits."""
    if pixels.shape != shape_of(image):
        raise InvalidArgument(f"a frame decodes to {pixels.shape}, declared is {shape_of(image)}")
    if lossy:
        pixels = _clipped(pixels, image)
    if pixels.dtype.kind == "i" and image.pixel_representation:
        return pixels.astype(cell_type(image), copy=False)
    lowest = image.high_bit + 1 - image.bits_stored if precision > image.high_bit else 0
    bits = min(precision or image.bits_stored, image.bits_stored)
    return sign_extended(pixels, bits, lowest, cell_type(image))


def _clipped(pixels: Pixels, image: ImagePixel) -> Pixels:
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


def _plain(image: ImagePixel, photometric: str = "") -> ImagePixel:
    """The description of a decoded frame: colour by pixel, the high bit where the standard wants it."""
    photometric = photometric or image.photometric_interpretation.replace("YBR_FULL_422", "YBR_FULL")
    high_bit = image.bits_stored - 1
    return replace(image, planar_configuration=0, photometric_interpretation=photometric, high_bit=high_bit)


# --- the decoders


def _jpeg(data: bytes, image: ImagePixel) -> Frame:
    """DCT and lossless JPEG. Lossy YBR becomes RGB here, as nothing is lost by it that was not lost before."""
    import imagecodecs

    stream = _checked(data, image)
    require_end(data)
    if image.samples_per_pixel == 1 or stream.process == 0xC3:
        space = "RGB" if image.samples_per_pixel == 3 else None
        pixels = imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
        return Frame(_values(pixels, stream.precision, image, stream.lossy), _plain(image))
    is_rgb = stream.is_rgb if stream.is_rgb is not None else image.photometric_interpretation == "RGB"
    pixels = imagecodecs.jpeg8_decode(data, colorspace="RGB" if is_rgb else "YCBCR", outcolorspace="RGB")
    return Frame(_values(pixels, stream.precision, image, stream.lossy), _plain(image, "RGB"))


def _jpeg_ls(data: bytes, image: ImagePixel) -> Frame:
    import imagecodecs

    stream = _checked(data, image)
    require_end(data)
    if stream.process != 0xF7:
        raise InvalidArgument("a frame is JPEG, but not JPEG-LS")
    return Frame(_values(imagecodecs.jpegls_decode(data), stream.precision, image, stream.lossy), _plain(image))


def _j2k(data: bytes, image: ImagePixel) -> Frame:
    """JPEG 2000 and HTJ2K; the codec undoes the colour transformations of YBR_RCT and YBR_ICT."""
    from openjpeg.utils import decode

    stream = _checked(data, image)
    require_end(data)
    photometric = "RGB" if image.photometric_interpretation in ("YBR_RCT", "YBR_ICT") else ""
    pixels = decode(bytes(data))
    if pixels.ndim == 2 and image.samples_per_pixel == 3:
        raise InvalidArgument("a frame decodes to one sample per pixel")
    return Frame(_values(pixels, stream.precision, image, stream.lossy), _plain(image, photometric))


def _jxl(data: bytes, image: ImagePixel) -> Frame:
    import imagecodecs

    _checked(data, image)
    pixels = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)  # of an animation, which no frame is, the first
    if pixels.dtype.kind == "f":
        raise FailedPrecondition("a JPEG XL frame has floating point samples")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    photometric = "RGB" if image.samples_per_pixel == 3 else ""
    return Frame(_values(pixels, pixels.dtype.itemsize * 8, image), _plain(image, photometric))


def _rle(data: bytes, image: ImagePixel) -> Frame:
    """One segment per byte of a pixel, the highest byte first (PS3.5 §G)."""
    from rle.rle import decode_frame as decode_rle

    width = max(1, image.bits_allocated // 8)
    _require_rle_header(data, image.samples_per_pixel * width)
    if image.bits_allocated == 1:
        return Frame(_rle_bits(data, image), _plain(image))
    decoded = bytes(decode_rle(bytes(data), image.rows * image.columns, image.bits_allocated, "<"))
    planes = np.frombuffer(decoded, cell_type(image)).reshape(image.samples_per_pixel, image.rows, image.columns)
    pixels = planes[0] if image.samples_per_pixel == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0))
    photometric = image.photometric_interpretation.replace("YBR_FULL_422", "YBR_FULL")
    return Frame(pixels, replace(image, planar_configuration=0, photometric_interpretation=photometric))


def _rle_bits(data: bytes, image: ImagePixel) -> Pixels:
    """One segment of bits, eight to a byte as in native pixel data."""
    from rle.rle import decode_frame as decode_rle

    count = image.rows * image.columns
    needed = (count + 7) // 8
    if not needed <= _unpacked_size(data, 64, needed + 1) <= needed + 1:
        raise InvalidArgument(f"an RLE frame does not have the declared {count} bits")
    decoded = np.frombuffer(bytes(decode_rle(bytes(data), needed, 8, "<")), np.uint8)
    return np.unpackbits(decoded, count=count, bitorder="little").reshape(shape_of(image))


def _unpacked_size(data: bytes, at: int, enough: int) -> int:
    """How many bytes an RLE segment becomes (PS3.5 §G.3.1), counted until there are more than ``enough``."""
    size = 0
    while at < len(data) and size <= enough:
        header = data[at]
        if header < 128:
            size += min(header + 1, len(data) - at - 1)
            at += header + 2
        elif header > 128:
            size += 257 - header if at + 1 < len(data) else 0
            at += 2
        else:
            at += 1
    return size


def _require_rle_header(data: bytes, segments: int) -> None:
    if len(data) < 64:
        raise InvalidArgument("an RLE frame is shorter than its header")
    count, *offsets = unpack_from("<16I", data)
    if count != segments:
        raise InvalidArgument(f"an RLE frame has {count} segments where {segments} are needed")
    used = offsets[:count]
    if used[0] != 64 or used != sorted(set(used)) or used[-1] >= len(data):
        raise InvalidArgument("the segment offsets of an RLE frame make no sense")


def _deflated(data: bytes, image: ImagePixel) -> Frame:
    """A raw deflate stream of one native frame (PS3.5 §8.2.16), inflated to no more than its declared size."""
    bits = image.rows * image.columns * image.samples_per_pixel * image.bits_allocated
    needed = (bits + 7) // 8
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    decoded = inflater.decompress(data, needed + 2)
    if not needed <= len(decoded) <= needed + 1 or not inflater.eof:
        raise InvalidArgument(f"a frame inflates to {len(decoded)} bytes or is cut, {needed} are declared")
    if image.bits_allocated == 1:
        cells = np.unpackbits(np.frombuffer(decoded, np.uint8), count=bits, bitorder="little")
        return Frame(cells.reshape(shape_of(image)), _plain(image))
    cells = np.frombuffer(decoded[:needed], cell_type(image))
    if image.samples_per_pixel > 1 and image.planar_configuration:
        cells = np.ascontiguousarray(cells.reshape(3, image.rows, image.columns).transpose(1, 2, 0))
    return Frame(cells.reshape(shape_of(image)), replace(image, planar_configuration=0))


DECODERS: dict[str, Callable[[bytes, ImagePixel], Frame]] = {
    forms.RLE: _rle,
    forms.DEFLATED_FRAME: _deflated,
    **dict.fromkeys((forms.JPEG_BASELINE, forms.JPEG_EXTENDED, forms.JPEG_LOSSLESS, forms.JPEG_LOSSLESS_SV1), _jpeg),
    **dict.fromkeys((forms.JPEG_LS, forms.JPEG_LS_NEAR), _jpeg_ls),
    **dict.fromkeys((forms.J2K_LOSSLESS, forms.J2K, forms.HTJ2K_LOSSLESS, forms.HTJ2K_RPCL, forms.HTJ2K), _j2k),
    **dict.fromkeys((forms.JXL_LOSSLESS, forms.JXL_JPEG, forms.JXL), _jxl),
}


def same_pixels(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))


def largest_difference(one: Pixels, other: Pixels) -> int:
    wide: Any = np.abs(one.astype(np.int64) - other.astype(np.int64))
    return int(wide.max())
