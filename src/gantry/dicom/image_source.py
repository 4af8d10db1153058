"""An instance read for its pixels, and what its Image Pixel module declares, checked (PS3.3 §C.7.6.3).

Nothing is allocated by a declared number before the checks: at most ``MAX_FILE`` bytes are read, at most
``MAX_FRAME`` bytes are decoded at a time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from gantry.dicom.buffers import Sliceable
from gantry.dicom.encapsulation import EncodedFrames, FrameTable
from gantry.dicom.forms import (
    DEFLATED_FRAME,
    DEFLATED_LE,
    ENCAPSULATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    RLE,
    video_types,
)
from gantry.dicom.tags import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    OFFSET_TABLE,
    OFFSET_TABLE_LENGTHS,
    PIXEL_DATA,
    format_tag,
)
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError

MAX_FILE = 1024**3
MAX_FRAME = 150 * 1000 * 1000
NATIVE = frozenset((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE))
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB")
_FLOAT_BITS = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}  # PS3.3 §C.7.6.24, §C.7.6.25
_JPIP = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The attributes that say how to read pixel cells (PS3.5 §8.1)."""

    rows: int
    columns: int
    number_of_frames: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int
    is_float: bool = False
    is_multi_frame: bool = False

    @property
    def whole_bits(self) -> int:
        """Size of one frame with all samples of all pixels."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated

    @property
    def frame_bits(self) -> int:
        """Size of one native frame; YBR_xxx_422 leaves out every second pair of chroma samples (PS3.3 §C.7.6.3.1.2)."""
        bits = self.whole_bits
        return bits * 2 // 3 if self.photometric_interpretation.endswith("_422") else bits

    @property
    def decoded_bytes(self) -> int:
        """Size of one frame in memory, where a bit takes a byte."""
        return self.rows * self.columns * self.samples_per_pixel * max(1, self.bits_allocated // 8)


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Pixel Data, or its float kinds, in little endian."""

    tag: int
    value: Sliceable
    undefined_length: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The pixels of an instance, or of an icon in it, and the attributes that say how to read and show them.

    ``ds`` are ``image_attributes.Attributes``. They and the pixels are little endian, whatever the file is.
    """

    ds: Any
    pixels: PixelElement | None
    transfer_syntax_uid: str
    sop_class_uid: str

    @property
    def encapsulated(self) -> bool:
        return self.transfer_syntax_uid not in NATIVE

    @property
    def sop_class_name(self) -> str:
        from pydicom.uid import UID  # for the words of an error alone

        return str(UID(self.sop_class_uid).name)


def require_frames(transfer_syntax_uid: str) -> None:
    """Raises FailedPrecondition where the pixels are no frames, or are not there."""
    if transfer_syntax_uid in _JPIP:
        raise FailedPrecondition("its pixels are on a JPIP server and not in the instance")
    if video_types(transfer_syntax_uid):
        raise FailedPrecondition(
            "its pixels are a video: it is given whole, as bulk data or rendered, and not decoded into frames"
        )


def require_pixels(source: Source) -> PixelElement:
    if source.pixels is None:
        raise FailedPrecondition(f"has no pixel data: it is a {source.sop_class_name}")
    return source.pixels


def read_image_pixel(source: Source) -> ImagePixel:
    """What decoding needs, read and checked. Raises InvalidArgument or FailedPrecondition."""
    found = _read_description(source)
    _require_sense(found)
    return found


def read_frame_bits(source: Source) -> ImagePixel:
    """What cutting native pixels into frames needs: cells may have any number of bytes, and any meaning (PS3.5 §8.1.1).

    Raises InvalidArgument or FailedPrecondition.
    """
    found = _read_description(source)
    _require_size(found)
    if found.samples_per_pixel < 1:
        raise InvalidArgument(f"SamplesPerPixel {found.samples_per_pixel} makes no sense")
    if found.bits_allocated != 1 and (found.bits_allocated < 8 or found.bits_allocated % 8):
        raise FailedPrecondition(
            f"BitsAllocated {found.bits_allocated} is neither 1 nor a multiple of 8, as it has to be (PS3.5 §8.1.1)"
        )
    return found


def has_plain_cells(source: Source) -> bool:
    """Whether native frames are colour by pixel with all samples, so that to decode them would change nothing."""
    if source.encapsulated:
        return False
    found = read_frame_bits(source)
    is_by_pixel = found.samples_per_pixel == 1 or not found.planar_configuration
    return is_by_pixel and not found.photometric_interpretation.endswith("_422")


def read_number_of_frames(source: Source) -> int:
    """All that is needed of the attributes where each frame is a bitstream. Raises InvalidArgument."""
    frames = _read_number(source.ds, "NumberOfFrames", 1) or 1
    if not 0 < frames < 2**31:
        raise InvalidArgument(f"the declared number of frames makes no sense: {frames}")
    return frames


def _read_description(source: Source) -> ImagePixel:
    ds, tag = source.ds, require_pixels(source).tag
    is_float = tag != PIXEL_DATA
    frames = _read_number(ds, "NumberOfFrames", 1) or 1
    bits = _read_number(ds, "BitsAllocated", _FLOAT_BITS.get(tag))
    if bits != _FLOAT_BITS.get(tag, bits):
        raise InvalidArgument(f"BitsAllocated {bits} is not that of {format_tag(tag)}, which is {_FLOAT_BITS[tag]}")
    stored = bits if is_float else _read_number(ds, "BitsStored", bits)
    photometric = _read_text(ds, "PhotometricInterpretation").strip().upper()
    return ImagePixel(
        rows=_read_number(ds, "Rows"),
        columns=_read_number(ds, "Columns"),
        number_of_frames=frames,
        samples_per_pixel=_read_number(ds, "SamplesPerPixel", 3 if photometric in COLOUR else 1),
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=stored - 1 if is_float else _read_number(ds, "HighBit", stored - 1),
        pixel_representation=_read_number(ds, "PixelRepresentation", 0),
        photometric_interpretation=photometric or "MONOCHROME2",
        planar_configuration=_read_number(ds, "PlanarConfiguration", 0),
        is_float=is_float,
        is_multi_frame=frames > 1,
    )


def _read_number(ds: Any, keyword: str, default: int | None = None) -> int:
    """An attribute with one whole number. Raises InvalidArgument."""
    try:
        value = ds.get(keyword)
        if value is None or value == "":
            if default is None:
                raise InvalidArgument(f"{keyword} is missing, so the pixels cannot be read")
            return default
        return int(value)
    except StatusError:
        raise
    except Exception:  # pydicom's, of which there are many
        raise InvalidArgument(f"{keyword} is not one whole number, so the pixels cannot be read") from None


def _read_text(ds: Any, keyword: str) -> str:
    try:
        return str(ds.get(keyword) or "")
    except Exception:
        raise InvalidArgument(f"{keyword} cannot be read, so the pixels cannot be either") from None


def _require_size(found: ImagePixel) -> None:
    if not (0 < found.rows <= 65535 and 0 < found.columns <= 65535 and 0 < found.number_of_frames < 2**31):
        size = f"{found.rows} rows, {found.columns} columns, {found.number_of_frames} frames"
        raise InvalidArgument(f"the declared size makes no sense: {size}")


def _require_sense(found: ImagePixel) -> None:
    _require_size(found)
    bits, colour = found.bits_allocated, found.photometric_interpretation in COLOUR
    if found.samples_per_pixel != (3 if colour else 1):
        name = found.photometric_interpretation
        raise FailedPrecondition(f"SamplesPerPixel {found.samples_per_pixel} with {name} is not supported")
    if bits not in (1, 8, 16, 32) and not found.is_float:
        raise FailedPrecondition(
            f"BitsAllocated {bits} is not supported: such pixels are not decoded, but can be had as they are stored"
        )
    if not 0 < found.bits_stored <= bits or not found.bits_stored - 1 <= found.high_bit < bits:
        stored = f"BitsStored {found.bits_stored}, HighBit {found.high_bit}"
        raise InvalidArgument(f"{stored} do not fit BitsAllocated {bits}")
    if found.pixel_representation not in (0, 1) or found.planar_configuration not in (0, 1):
        raise InvalidArgument("PixelRepresentation or PlanarConfiguration is neither 0 nor 1")
    if found.decoded_bytes > MAX_FRAME:
        raise FailedPrecondition(f"a frame has {found.decoded_bytes} bytes; up to {MAX_FRAME} can be decoded")


def correct_422(length: int, image: ImagePixel) -> ImagePixel:
    """Some writers say YBR_FULL_422 over samples that are all there. ``length`` is that of the whole value in bytes."""
    if image.photometric_interpretation != "YBR_FULL_422":
        return image
    full = replace(image, photometric_interpretation="YBR_FULL")
    return full if length >= full.frame_bits * full.number_of_frames // 8 else image


def read_native_value(source: Source, image: ImagePixel) -> Sliceable:
    """The value of native pixel data, at least as long as the declared frames need. Raises InvalidArgument."""
    element = require_pixels(source)
    if element.undefined_length:
        raise InvalidArgument("the pixel data is encapsulated, but the transfer syntax is a native one")
    needed = (image.frame_bits * image.number_of_frames + 7) // 8
    if len(element.value) < needed:
        raise InvalidArgument(f"the pixel data has {len(element.value)} bytes, but {needed} are declared")
    return element.value


def read_encoded_frames(source: Source, image: ImagePixel) -> EncodedFrames:
    """The bitstreams of the frames of encapsulated pixel data. Raises InvalidArgument."""
    return EncodedFrames(require_pixels(source).value, read_frame_table(source, image.number_of_frames))


def read_frame_table(source: Source, frames: int, may_inflate: bool = True) -> FrameTable:
    """Where so many frames of encapsulated pixel data lie. Raises InvalidArgument.

    ``may_inflate``: all of them may be inflated for that, which takes as long as to decode them.
    """
    element = require_pixels(source)
    if element.tag != PIXEL_DATA:
        raise FailedPrecondition("float pixel data is never encapsulated")
    if not element.undefined_length:
        raise InvalidArgument("the transfer syntax is a compressed one, but the pixel data is not encapsulated")
    tables = (source.ds.get(OFFSET_TABLE), source.ds.get(OFFSET_TABLE_LENGTHS))
    extended = (bytes(tables[0].value), bytes(tables[1].value)) if tables[0] and tables[1] else None
    syntax, frame_size, inflated_size = source.transfer_syntax_uid, None, None
    with suppress(StatusError):  # most fragments are a frame each, whatever its size
        if syntax == ENCAPSULATED_LE:
            frame_size = (correct_422(len(element.value), read_frame_bits(source)).frame_bits + 7) // 8
        elif syntax == DEFLATED_FRAME and may_inflate:
            inflated_size = read_frame_bits(source).whole_bits // 8 + 2
    return FrameTable(element.value, frames, syntax == RLE, extended, frame_size, inflated_size)
