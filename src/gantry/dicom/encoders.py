"""Encoders by transfer syntax, with what each can take, and the proof that lossless ones were (PS3.5 §8.2, §A.4)."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from dataclasses import replace
from struct import unpack_from
from typing import Any

import numpy as np

from gantry.dicom import forms
from gantry.dicom.cells import extract_values, pack_cells
from gantry.dicom.codecs import PASSED_ON, Frame, decode_frame, find_largest_difference, have_same_pixels
from gantry.dicom.colour import to_rgb
from gantry.dicom.image_source import ImagePixel
from gantry.dicom.stream_ends import find_end
from gantry.errors import Internal, UnsuitableForm

JPEG_LS_NEAR_ERROR = 2
_KEEPS_CELLS = frozenset((forms.RLE, forms.DEFLATED_FRAME))
_HTJ2K = frozenset((forms.HTJ2K_LOSSLESS, forms.HTJ2K_RPCL, forms.HTJ2K))
_JPEG_XL = frozenset((forms.JXL_LOSSLESS, forms.JXL))

logger = logging.getLogger(__name__)

Encoded = tuple[bytes | bytearray, ImagePixel]
"""A bitstream, and the Image Pixel attributes that go with it."""


def encode_frame(transfer_syntax_uid: str, frame: Frame) -> tuple[bytes, ImagePixel]:
    """Encode one frame and decode it again. Raises FailedPrecondition for pixels that the syntax cannot hold."""
    require_encodable(transfer_syntax_uid, frame.image)
    if transfer_syntax_uid not in _KEEPS_CELLS:
        image = replace(frame.image, high_bit=frame.image.bits_stored - 1)
        frame = Frame(np.ascontiguousarray(extract_values(frame.pixels, frame.image)), image)
    try:
        data, image = ENCODERS[transfer_syntax_uid](frame)
    except PASSED_ON:
        raise
    except BaseException as error:
        logger.error("a frame does not encode to transfer syntax %s", transfer_syntax_uid, exc_info=error)
        raise Internal(f"a frame could not be encoded to transfer syntax {transfer_syntax_uid}") from None
    _verify(transfer_syntax_uid, frame, bytes(data), image)
    return bytes(data), image


def _verify(transfer_syntax_uid: str, frame: Frame, data: bytes, image: ImagePixel) -> None:
    again = decode_frame(transfer_syntax_uid, data, image)
    if transfer_syntax_uid not in forms.LOSSY_TARGETS:
        if not have_same_pixels(frame.pixels, again.pixels):
            raise Internal("the encoder changed pixels")
    elif transfer_syntax_uid == forms.JPEG_LS_NEAR:
        if find_largest_difference(frame.pixels, again.pixels) > JPEG_LS_NEAR_ERROR:
            raise Internal("the encoder changed pixels by more than it may")
    elif frame.pixels.shape != again.pixels.shape:
        raise Internal("the encoder changed the size of the image")


def require_encodable(transfer_syntax_uid: str, image: ImagePixel) -> None:
    """Raises FailedPrecondition."""
    reason = _find_obstacle(transfer_syntax_uid, image)
    if reason:
        raise UnsuitableForm(f"transfer syntax {transfer_syntax_uid} cannot hold {reason}")


def _find_obstacle(syntax: str, image: ImagePixel) -> str:
    bits, stored, signed = image.bits_allocated, image.bits_stored, bool(image.pixel_representation)
    if image.is_float:
        return "float pixel data"
    if image.photometric_interpretation.startswith("YBR_PARTIAL"):
        return image.photometric_interpretation
    if syntax == forms.DEFLATED_FRAME:
        return ""
    if bits == 1:
        return "BitsAllocated 1"
    if syntax == forms.RLE:
        return "" if image.samples_per_pixel * bits // 8 <= 15 else "more than 15 bytes per pixel"
    if bits > 16:
        return f"BitsAllocated {bits}"
    if syntax in forms.LOSSY_TARGETS and image.photometric_interpretation == "PALETTE COLOR":
        return "palette indices: it is lossy"
    if syntax in (forms.JPEG_BASELINE, forms.JPEG_EXTENDED):
        most = 12 if syntax == forms.JPEG_EXTENDED and image.samples_per_pixel == 1 else 8
        if image.samples_per_pixel == 3 and stored < 8:
            return f"colour of {stored} bits"
        return "signed pixels" if signed else f"more than {most} bits" if stored > most else ""
    if syntax in _JPEG_XL and signed:
        return "signed pixels"
    return "anything but a JPEG Baseline bitstream" if syntax == forms.JXL_JPEG else ""


# --- the encoders: values of the stored bits, colour by pixel


def _encode_jpeg_lossy(frame: Frame) -> Encoded:
    """Baseline for 8 bits, with chroma halved across as YBR_FULL_422 has it; 12 bits for grey, extended process."""
    import imagecodecs

    image = frame.image
    if image.samples_per_pixel == 3:
        rgb = to_rgb(frame.pixels, image)
        data = imagecodecs.jpeg8_encode(
            rgb.astype(np.uint8, copy=False),
            forms.JPEG_QUALITY,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling="422",
        )
        return data, replace(image, photometric_interpretation="YBR_FULL_422", bits_allocated=8)
    if image.bits_stored <= 8:
        data = imagecodecs.jpeg8_encode(frame.pixels.astype(np.uint8, copy=False), forms.JPEG_QUALITY)
        return data, replace(image, bits_allocated=8, bits_stored=8, high_bit=7)
    data = imagecodecs.jpeg8_encode(frame.pixels, forms.JPEG_QUALITY, bitspersample=12)
    return data, replace(image, bits_stored=12, high_bit=11)


def _encode_jpeg_lossless(frame: Frame) -> Encoded:
    """Process 14, selection value 1. Signed pixels take the whole cell, so that no decoder needs to extend a sign."""
    import imagecodecs

    image, pixels = frame.image, frame.pixels
    bits = image.bits_allocated if image.pixel_representation else max(2, image.bits_stored)
    options: dict[str, Any] = {"lossless": True, "predictor": 1, "bitspersample": bits}
    if image.samples_per_pixel == 3:
        options |= {"colorspace": "RGB", "outcolorspace": "RGB"}
    data = imagecodecs.jpeg8_encode(pixels.view(f"u{pixels.dtype.itemsize}"), **options)
    return (_remove_application_data(data) if image.samples_per_pixel == 3 else data), image


def _encode_jpeg_ls(frame: Frame) -> Encoded:
    return _encode_charls(frame, 0)


def _encode_jpeg_ls_near(frame: Frame) -> Encoded:
    """Where the error would leave the range of the stored bits, 4095 + 2 in 12 bits, the frame stays lossless."""
    image, least, most = frame.image, int(frame.pixels.min()), int(frame.pixels.max())
    low = -(1 << image.bits_stored - 1) if image.pixel_representation else 0
    high = low + (1 << image.bits_stored) - 1
    near = JPEG_LS_NEAR_ERROR
    fits = image.bits_stored == image.bits_allocated and not image.pixel_representation
    return _encode_charls(frame, near if fits or (low + near <= least and most <= high - near) else 0)


def _encode_charls(frame: Frame, near: int) -> Encoded:
    import imagecodecs

    pixels = frame.pixels.view(f"u{frame.pixels.dtype.itemsize}")
    return _remove_application_data(imagecodecs.jpegls_encode(pixels, near)), frame.image


def _remove_application_data(data: bytes | bytearray) -> bytes:
    """Without APPn: SPIFF is no part of the DICOM bitstream, and Adobe's colour mark contradicts YBR_FULL."""
    at = 2
    while data[at] == 0xFF and 0xE0 <= data[at + 1] <= 0xEF:
        at += 2 + unpack_from(">H", data, at + 2)[0]
    return bytes(data[:2] + data[at:])


def _encode_j2k(frame: Frame) -> Encoded:
    """Reversible, with the reversible colour transformation for RGB; for .91 too: no loss that nobody asked for."""
    import imagecodecs

    image = frame.image
    is_rgb = image.photometric_interpretation == "RGB"
    data = imagecodecs.jpeg2k_encode(
        frame.pixels,
        0,
        codecformat="j2k",
        reversible=True,
        mct=is_rgb,
        bitspersample=image.bits_stored,
        resolutions=min(6, min(image.rows, image.columns).bit_length()),
        numthreads=1,
    )
    return data, replace(image, photometric_interpretation="YBR_RCT") if is_rgb else image


def _encode_htj2k(frame: Frame) -> Encoded:
    """Reversible, RPCL, tile-part lengths, the lowest resolution at most 64 × 64: what .202 demands suits all three."""
    import imagecodecs

    image = frame.image
    is_rgb = image.photometric_interpretation == "RGB"
    halvings = max(0, (max(image.rows, image.columns) - 1).bit_length() - 6)
    resolutions = max(1, min(halvings + 1, 33))
    data = imagecodecs.htj2k_encode(frame.pixels, reversible=True, resolutions=resolutions, rgb=is_rgb, tlm=True)
    return data, replace(image, photometric_interpretation="YBR_RCT") if is_rgb else image


def _encode_jxl(frame: Frame) -> Encoded:
    import imagecodecs

    data = imagecodecs.jpegxl_encode(
        frame.pixels,
        effort=3,
        lossless=True,
        bitspersample=frame.image.bits_stored,
        usecontainer=False,
        numthreads=1,
    )
    return data, frame.image


def _refuse_jxl_of_jpeg(frame: Frame) -> Encoded:
    raise UnsuitableForm("only a JPEG Baseline bitstream can be recompressed to JPEG XL")


def _encode_rle(frame: Frame) -> Encoded:
    from rle.rle import encode_frame as encode_rle

    image = frame.image
    data = encode_rle(
        bytes(pack_cells(frame.pixels, image)),
        image.rows,
        image.columns,
        image.samples_per_pixel,
        image.bits_allocated,
        "<",
    )
    return data, replace(image, planar_configuration=1 if image.samples_per_pixel == 3 else 0)


def _deflate(frame: Frame) -> Encoded:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(pack_cells(frame.pixels, frame.image)) + deflater.flush(), frame.image


def recompress_jpeg(data: bytes) -> bytes:
    """A JPEG Baseline bitstream as JPEG XL, from which the very same bytes can be had back (PS3.5 §A.4.12)."""
    import imagecodecs

    try:
        end = find_end(data)
        recompressed = bytes(imagecodecs.jpegxl_encode_jpeg(data[:end], usecontainer=True, numthreads=1))
        again = imagecodecs.jpegxl_decode_jpeg(recompressed, numthreads=1)
    except PASSED_ON:
        raise
    except BaseException as error:
        logger.info("a JPEG frame is not recompressed", exc_info=error)
        raise UnsuitableForm("a frame has a kind of JPEG that cannot be recompressed to JPEG XL") from None
    if bytes(again) != data[:end]:
        raise Internal("the encoder changed pixels")
    return recompressed


ENCODERS: dict[str, Callable[[Frame], Encoded]] = {
    **dict.fromkeys((forms.JPEG_BASELINE, forms.JPEG_EXTENDED), _encode_jpeg_lossy),
    **dict.fromkeys((forms.JPEG_LOSSLESS, forms.JPEG_LOSSLESS_SV1), _encode_jpeg_lossless),
    **dict.fromkeys((forms.J2K_LOSSLESS, forms.J2K), _encode_j2k),
    **dict.fromkeys(_HTJ2K, _encode_htj2k),
    **dict.fromkeys(_JPEG_XL, _encode_jxl),
    forms.JPEG_LS: _encode_jpeg_ls,
    forms.JPEG_LS_NEAR: _encode_jpeg_ls_near,
    forms.JXL_JPEG: _refuse_jxl_of_jpeg,
    forms.RLE: _encode_rle,
    forms.DEFLATED_FRAME: _deflate,
}
