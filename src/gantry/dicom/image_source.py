"""An instance read for its pixels, and what its Image Pixel module declares, checked (PS3.3 §C.7.6.3).

Nothing is allocated by a declared number before the checks: at most ``MAX_FILE`` bytes are read, at most
``MAX_FRAME`` bytes are decoded at a time.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from gantry.dicom.encapsulation import EncodedFrames, FrameTable
from gantry.dicom.forms import DEFLATED_LE, ENCAPSULATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, RLE, video_types
from gantry.dicom.layout import Buffer, Element, Readable, Sliceable, is_explicit, meta_elements, top_level
from gantry.dicom.part10 import read_header
from gantry.errors import FailedPrecondition, InvalidArgument

MAX_FILE = 1024**3
MAX_FRAME = 150 * 1000 * 1000
NATIVE = frozenset((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE))
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB")
PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00010, 0x7FE00008, 0x7FE00009
PIXEL_TAGS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA)
EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS = 0x7FE00001, 0x7FE00002
_JPIP = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))
NEEDED_GROUPS = frozenset((0x0028, 0x0088, 0x2050, 0x5200, 0x7FE0))


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
    def frame_bits(self) -> int:
        """Size of one native frame; YBR_xxx_422 leaves out every second pair of chroma samples (PS3.3 §C.7.6.3.1.2)."""
        bits = self.rows * self.columns * self.samples_per_pixel * self.bits_allocated
        return bits * 2 // 3 if self.photometric_interpretation.endswith("_422") else bits

    @property
    def decoded_bytes(self) -> int:
        """Size of one frame in memory, where a bit takes a byte."""
        return self.rows * self.columns * self.samples_per_pixel * max(1, self.bits_allocated // 8)


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Pixel Data, or its float kinds, as it lies in the dataset; ``vr`` is empty in implicit form."""

    tag: int
    vr: str
    value: Sliceable
    undefined_length: bool


@dataclass(slots=True)
class Source:
    """A whole instance in memory. ``body`` is the dataset after the meta group, inflated where it was deflated.

    ``ds`` holds what the pixels need, or everything where ``elements`` is None (see ``layout``).
    """

    data: bytes
    body: Buffer
    explicit: bool
    elements: list[Element] | None
    ds: Any
    pixels: PixelElement | None
    transfer_syntax_uid: str
    sop_class_uid: str

    @property
    def encapsulated(self) -> bool:
        return self.transfer_syntax_uid not in NATIVE

    @property
    def little_endian(self) -> bool:
        return self.transfer_syntax_uid != EXPLICIT_BE

    @property
    def sop_class_name(self) -> str:
        return str(UID(self.sop_class_uid).name)

    def whole_dataset(self) -> Any:
        return self.ds if self.elements is None else parsed(self.body, self.explicit, self.little_endian)


def read_source(opened: Readable) -> Source:
    """Raises InvalidArgument for what is no Part 10 instance, FailedPrecondition for what is too large."""
    if opened.size > MAX_FILE:
        raise FailedPrecondition(
            f"the instance has {opened.size} bytes; up to {MAX_FILE} can be transcoded or rendered"
        )
    data = opened.read_at(0, opened.size)
    header = read_header(lambda offset, length: data[offset : offset + length], len(data))
    require_frames(header.transfer_syntax_uid)
    meta = meta_elements(data)
    start = meta[-1].end if meta else 132
    body: Buffer = _inflated(data, start) if header.transfer_syntax_uid == DEFLATED_LE else memoryview(data)[start:]
    explicit = is_explicit(body, header.transfer_syntax_uid != IMPLICIT_LE)
    little = header.transfer_syntax_uid != EXPLICIT_BE
    elements = top_level(body, explicit) if little else None
    ds = parsed(body if elements is None else needed(body, elements), explicit, little)
    pixels = _pixels_by_layout(body, elements) if elements is not None else _pixels_by_pydicom(ds)
    return Source(data, body, explicit, elements, ds, pixels, header.transfer_syntax_uid, header.sop_class_uid)


def require_frames(transfer_syntax_uid: str) -> None:
    """Raises FailedPrecondition where the pixels are no frames, or are not there."""
    if transfer_syntax_uid in _JPIP:
        raise FailedPrecondition("its pixels are on a JPIP server and not in the instance")
    if video_types(transfer_syntax_uid):
        raise FailedPrecondition(
            "its pixels are a video: it is given whole, as bulk data or rendered, and not decoded into frames"
        )


def parsed(body: Buffer, explicit: bool, little_endian: bool) -> Any:
    """A dataset by pydicom, whose warnings about other people's files are of no use here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(BytesIO(body), not explicit, little_endian)


def _inflated(data: bytes, start: int) -> bytes:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], MAX_FILE + 1)
    if len(inflated) > MAX_FILE:
        raise FailedPrecondition(f"the dataset inflates to more than {MAX_FILE} bytes")
    return inflated


def needed(body: Buffer, elements: list[Element]) -> bytes:
    """What rendering and transcoding look at: image pixel and look-up tables, functional groups, overlays, offsets."""
    return b"".join(body[element.start : element.end] for element in elements if is_needed(element.tag))


def is_needed(tag: int) -> bool:
    group = tag >> 16
    return (group in NEEDED_GROUPS and tag not in PIXEL_TAGS) or (group & 0xFFE1 == 0x6000 and tag & 0xFFFF == 0x0102)


def _pixels_by_layout(body: Buffer, elements: list[Element]) -> PixelElement | None:
    for element in elements:
        if element.tag in PIXEL_TAGS:
            undefined = element.undefined_length
            value = body[element.value : element.end - (8 if undefined else 0)]
            return PixelElement(element.tag, element.vr, value, undefined)
    return None


def _pixels_by_pydicom(ds: Any) -> PixelElement | None:
    for tag in PIXEL_TAGS:
        if tag in ds:
            element = ds.get_item(tag)
            undefined = element.length == 0xFFFFFFFF
            return PixelElement(tag, element.VR or "", bytes(element.value or b""), undefined)
    return None


def has_pixels(source: Source) -> bool:
    return source.pixels is not None


def require_pixels(source: Source) -> PixelElement:
    if source.pixels is None:
        raise FailedPrecondition(f"has no pixel data: it is a {source.sop_class_name}")
    return source.pixels


def read_image_pixel(source: Source) -> ImagePixel:
    """Read and check the declared attributes. Raises InvalidArgument or FailedPrecondition."""
    ds = source.ds
    is_float = require_pixels(source).tag != PIXEL_DATA
    frames = _number(ds, "NumberOfFrames", 1) or 1
    bits = _number(ds, "BitsAllocated")
    stored = bits if is_float else _number(ds, "BitsStored", bits)
    photometric = str(ds.get("PhotometricInterpretation") or "").strip().upper()
    found = ImagePixel(
        rows=_number(ds, "Rows"),
        columns=_number(ds, "Columns"),
        number_of_frames=frames,
        samples_per_pixel=_number(ds, "SamplesPerPixel", 3 if photometric in COLOUR else 1),
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=stored - 1 if is_float else _number(ds, "HighBit", stored - 1),
        pixel_representation=_number(ds, "PixelRepresentation", 0),
        photometric_interpretation=photometric or "MONOCHROME2",
        planar_configuration=_number(ds, "PlanarConfiguration", 0),
        is_float=is_float,
        is_multi_frame=frames > 1,
    )
    _require_sense(found)
    return found


def _number(ds: Any, keyword: str, default: int | None = None) -> int:
    """An attribute with one whole number. Raises InvalidArgument."""
    raw = ds.get_item(keyword)
    if isinstance(raw, RawDataElement) and raw.VR == "US" and raw.value is not None and len(raw.value) == 2:
        return int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")  # spares a DataElement each
    value = ds.get(keyword)
    if value is None or value == "":
        if default is None:
            raise InvalidArgument(f"{keyword} is missing, so the pixels cannot be read")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"{keyword} is not one whole number, so the pixels cannot be read") from None


def _require_sense(found: ImagePixel) -> None:
    bits, colour = found.bits_allocated, found.photometric_interpretation in COLOUR
    if not (0 < found.rows <= 65535 and 0 < found.columns <= 65535 and 0 < found.number_of_frames < 2**31):
        size = f"{found.rows} rows, {found.columns} columns, {found.number_of_frames} frames"
        raise InvalidArgument(f"the declared size makes no sense: {size}")
    if found.samples_per_pixel != (3 if colour else 1):
        name = found.photometric_interpretation
        raise FailedPrecondition(f"SamplesPerPixel {found.samples_per_pixel} with {name} is not supported")
    if bits not in ((32, 64) if found.is_float else (1, 8, 16, 32)):
        raise FailedPrecondition(f"BitsAllocated {bits} is not supported")
    if not 0 < found.bits_stored <= bits or not found.bits_stored - 1 <= found.high_bit < bits:
        stored = f"BitsStored {found.bits_stored}, HighBit {found.high_bit}"
        raise InvalidArgument(f"{stored} do not fit BitsAllocated {bits}")
    if found.pixel_representation not in (0, 1) or found.planar_configuration not in (0, 1):
        raise InvalidArgument("PixelRepresentation or PlanarConfiguration is neither 0 nor 1")
    if found.decoded_bytes > MAX_FRAME:
        raise FailedPrecondition(f"a frame has {found.decoded_bytes} bytes; up to {MAX_FRAME} can be decoded")


def true_422(length: int, image: ImagePixel) -> ImagePixel:
    """Some writers say YBR_FULL_422 over samples that are all there. ``length`` is that of the whole value in bytes."""
    full = replace(image, photometric_interpretation="YBR_FULL")
    if image.photometric_interpretation == "YBR_FULL_422" and length >= full.frame_bits * full.number_of_frames // 8:
        return full
    return image


def native_value(source: Source, image: ImagePixel) -> Sliceable:
    """The value of native pixel data, at least as long as the declared frames need. Raises InvalidArgument."""
    element = require_pixels(source)
    if element.undefined_length:
        raise InvalidArgument("the pixel data is encapsulated, but the transfer syntax is a native one")
    needed = (image.frame_bits * image.number_of_frames + 7) // 8
    if len(element.value) < needed:
        raise InvalidArgument(f"the pixel data has {len(element.value)} bytes, but {needed} are declared")
    return element.value


def encoded_frames(source: Source, image: ImagePixel) -> EncodedFrames:
    """The bitstreams of the frames of encapsulated pixel data. Raises InvalidArgument."""
    return EncodedFrames(require_pixels(source).value, frame_table(source, image))


def frame_table(source: Source, image: ImagePixel) -> FrameTable:
    """Where the frames of encapsulated pixel data lie. Raises InvalidArgument."""
    if image.is_float:
        raise FailedPrecondition("float pixel data is never encapsulated")
    element = require_pixels(source)
    if not element.undefined_length:
        raise InvalidArgument("the transfer syntax is a compressed one, but the pixel data is not encapsulated")
    tables = (source.ds.get(EXTENDED_OFFSET_TABLE), source.ds.get(EXTENDED_OFFSET_TABLE_LENGTHS))
    extended = (bytes(tables[0].value), bytes(tables[1].value)) if tables[0] and tables[1] else None
    is_rle, frame_size = source.transfer_syntax_uid == RLE, None
    if source.transfer_syntax_uid == ENCAPSULATED_LE:
        frame_size = (true_422(len(element.value), image).frame_bits + 7) // 8
    return FrameTable(element.value, image.number_of_frames, is_rle, extended, frame_size)
