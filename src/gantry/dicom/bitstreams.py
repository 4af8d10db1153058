"""What a compressed frame says about itself, read from its first bytes before any codec sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from

from gantry.errors import InvalidArgument

MAX_TILES = 65535
_DCT = (0xC0, 0xC1, 0xC2)
_SOF = frozenset((*_DCT, 0xC3, 0xF7))
STANDALONE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG markers without a length: TEM, RSTn, SOI (ITU-T T.81 §B.1.1.3)."""

_JXL_BOX = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_JXL_RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, slots=True)
class Stream:
    """The size and sample format of a bitstream; ``precision`` 0 where it does not say, ``process`` a JPEG SOFn.

    ``is_transformed``: JPEG 2000 with a multiple component transformation, which its decoder undoes.
    """

    rows: int
    columns: int
    samples: int
    precision: int = 0
    signed: bool = False
    process: int = 0
    is_rgb: bool | None = None
    lossy: bool = False
    is_transformed: bool = False


def read_stream(data: bytes) -> Stream:
    """Recognise a JPEG, JPEG-LS, JPEG 2000 or JPEG XL bitstream by its magic. Raises InvalidArgument."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _read_jpeg(data)
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _read_j2k(data, 0)
        if data.startswith(b"\x00\x00\x00\x0cjP  "):
            return _read_j2k(data, find_codestream(data, (b"jp2c",)))
        if data.startswith((b"\xff\x0a", _JXL_BOX)):
            return _read_jxl(data)
    except (StructError, IndexError, ValueError) as error:
        raise InvalidArgument("the header of a compressed frame is incomplete") from error
    raise InvalidArgument(
        f"a frame is no bitstream of its transfer syntax: it begins with {data[:4].hex() or 'nothing'}"
    )


def _read_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of the parameters of each JPEG marker segment up to the first scan (ITU-T T.81 §B.1)."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise InvalidArgument(f"a JPEG marker should stand at byte {at} of a frame")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in STANDALONE_MARKERS:
            at += 2
        else:
            yield marker, at + 4
            if marker == 0xDA:
                return
            at += 2 + max(2, unpack_from(">H", data, at + 2)[0])


def _read_jpeg(data: bytes) -> Stream:
    adobe, jfif, found, near = -1, False, None, 0
    for marker, at in _read_segments(data):
        if marker == 0xEE and data[at : at + 5] == b"Adobe":
            adobe = data[at + 11]
        elif marker == 0xE0 and data[at : at + 4] == b"JFIF":
            jfif = True
        elif marker in _SOF:
            precision, rows, columns, samples = unpack_from(">BHHB", data, at)
            names = bytes(data[at + 6 + 3 * number] for number in range(samples))
            found = (rows, columns, samples, precision, marker, names)
        elif marker == 0xDA:
            near = data[at + 1 + 2 * data[at]]
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise InvalidArgument(f"JPEG process FF{marker:02X} is not supported")
    if found is None:
        raise InvalidArgument("a JPEG frame has no frame header")
    rows, columns, samples, precision, process, names = found
    is_rgb = True if adobe == 0 or names == b"RGB" else False if adobe == 1 or jfif else None
    lossy = process in _DCT or (process == 0xF7 and near > 0)
    return Stream(rows, columns, samples, precision, False, process, is_rgb, lossy)


def _read_j2k(data: bytes, start: int) -> Stream:
    """SIZ (ISO/IEC 15444-1 §A.5.1). All components must be alike, as the samples of DICOM are."""
    right, bottom, left, top, tile_width, tile_height, tile_x, tile_y, samples = unpack_from(">8IH", data, start + 8)
    if not tile_width or not tile_height or samples not in (1, 2, 3, 4) or left >= right or top >= bottom:
        raise InvalidArgument("the SIZ segment of a JPEG 2000 frame makes no sense")
    if -(-(right - tile_x) // tile_width) * -(-(bottom - tile_y) // tile_height) > MAX_TILES:
        raise InvalidArgument(f"a JPEG 2000 frame has more than {MAX_TILES} tiles")
    formats = [unpack_from(">3B", data, start + 42 + 3 * number) for number in range(samples)]
    if len(set(formats)) != 1 or formats[0][1:] != (1, 1):
        raise InvalidArgument("the components of a JPEG 2000 frame differ in size or precision")
    depth = formats[0][0]
    precision, signed = (depth & 0x7F) + 1, depth >= 0x80
    reversible, transformed = _read_coding_style(data, start)
    return Stream(
        bottom - top, right - left, samples, precision, signed, lossy=not reversible, is_transformed=transformed
    )


def _read_coding_style(data: bytes, start: int) -> tuple[bool, bool]:
    """COD (ISO/IEC 15444-1 §A.6.1): the wavelet is 5/3, not 9/7; there is a multiple component transformation."""
    at = start + 2
    while (marker := unpack_from(">H", data, at)[0]) != 0xFF90:
        if marker == 0xFF52:
            return data[at + 13] == 1, data[at + 8] == 1
        at += 2 + max(2, unpack_from(">H", data, at + 2)[0])
    return True, False


def _read_jxl(data: bytes) -> Stream:
    """SizeHeader (ISO/IEC 18181-1 §D.2). Samples and precision come from the decoded image."""
    code = data if data.startswith(b"\xff\x0a") else _read_jxl_codestream(data)
    bits = int.from_bytes(code[2:18].ljust(16, b"\0"), "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def size(small: bool) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = bool(take(1))
    rows = size(small)
    ratio = take(3)
    columns = rows * _JXL_RATIOS[ratio][0] // _JXL_RATIOS[ratio][1] if ratio else size(small)
    return Stream(rows, columns, 0)


def _read_jxl_codestream(data: bytes) -> bytes:
    start = find_codestream(data, (b"jxlc", b"jxlp"))
    return bytes(data[start : start + 32])


def find_codestream(data: bytes, kinds: tuple[bytes, ...]) -> int:
    """Where the codestream begins in the boxes of ISO/IEC 15444-1 §I.4 or 18181-2, whatever other boxes hold."""
    at = 0
    while at + 8 <= len(data):
        length, kind = unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            length, head = unpack_from(">Q", data, at + 8)[0], 16
        if kind in kinds:
            return at + head + (4 if kind == b"jxlp" else 0)
        if length < head:
            break
        at += length
    raise InvalidArgument("the container of a frame holds no codestream")
