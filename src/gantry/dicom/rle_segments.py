"""RLE frames (PS3.5 §G): one segment per byte of a pixel, the highest byte first, one plane after the other.

The library is fast and refuses segments that unpack to more than the frame needs. Such frames are read here instead,
slower, and what is too much is cut off, as dcmtk and pydicom do.
"""

from __future__ import annotations

import logging
from struct import unpack_from

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.errors import InvalidArgument

HEADER = 64
logger = logging.getLogger(__name__)


def decode_planes(data: bytes, planes: int, pixels: int, width: int) -> Pixels:
    """``planes`` × ``pixels`` cells of ``width`` bytes, unsigned. Raises InvalidArgument for a frame with fewer."""
    extents = segment_extents(data, planes * width)
    found = _decode_by_library(data, pixels, width)
    if found is None:
        cells = np.empty((planes, pixels, width), np.uint8)
        for number, (start, end) in enumerate(extents):
            segment = unpack_segment(data, start, end, pixels)
            if len(segment) < pixels:
                raise InvalidArgument(f"a segment of an RLE frame has {len(segment)} bytes where {pixels} are declared")
            cells[number // width, :, width - 1 - number % width] = np.frombuffer(segment, np.uint8)
        found = cells.reshape(-1)
    return found.view(f"<u{width}").reshape(planes, pixels)


def _decode_by_library(data: bytes, pixels: int, width: int) -> Pixels | None:
    """None for what it does not take. It panics at some frames, which is no ``Exception``."""
    from rle.rle import decode_frame

    try:
        return np.frombuffer(decode_frame(bytes(data), pixels, width * 8, "<"), np.uint8)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        logger.debug("an RLE frame is decoded segment by segment: %r", error)
        return None


def segment_extents(data: bytes, segments: int) -> list[tuple[int, int]]:
    """Start and end of each segment, by the header (PS3.5 §G.5). Raises InvalidArgument."""
    if len(data) < HEADER:
        raise InvalidArgument("an RLE frame is shorter than its header")
    count, *offsets = unpack_from("<16I", data)
    if count != segments:
        raise InvalidArgument(f"an RLE frame has {count} segments where {segments} are needed")
    used = offsets[:count]
    if used[0] != HEADER or used != sorted(set(used)) or used[-1] >= len(data):
        raise InvalidArgument("the segment offsets of an RLE frame make no sense")
    return list(zip(used, [*used[1:], len(data)], strict=True))


def unpack_segment(data: bytes, at: int, end: int, size: int) -> bytes:
    """The first ``size`` bytes of what a segment becomes, or fewer where it has not so many (PS3.5 §G.3.2)."""
    found = bytearray()
    while at < end and len(found) < size:
        header = data[at]
        if header < 128:
            found += data[at + 1 : min(at + 2 + header, end)]
            at += header + 2
        elif header > 128:
            found += data[at + 1 : min(at + 2, end)] * (257 - header)
            at += 2
        else:
            at += 1
    return bytes(found[:size])
