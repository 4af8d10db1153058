"""Where bulk data lies in a file: the values that DICOM JSON only gives an address of (PS3.18 §10.4.1.1.5, §F.2.2)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydicom.dataelem import RawDataElement

from gantry.dicom.deflated import Inflated
from gantry.dicom.elements import LONG_VRS, Cut
from gantry.dicom.image_source import PIXEL_DATA, parsed
from gantry.dicom.layout import Readable
from gantry.dicom.part10 import MAX_LIVE_SKELETON, Header, read_header, read_skeleton
from gantry.dicom.skeleton import Skeleton
from gantry.errors import FailedPrecondition, InvalidArgument, NotFound

BulkPath = tuple[int, ...]
"""Tag, or tag, number of the item from 0, tag, and so on."""


class Encapsulated(NamedTuple):
    """Where the items of encapsulated pixel data lie in the file, the delimiter after them included."""

    start: int
    end: int


MAX_INFLATED_VALUE = 256 << 20
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_MAX_PATH = 64
_SEQUENCE_END = 8
_UNDEFINED = b"\xff\xff\xff\xff"
_WORDS = {"OW": 2, "US": 2, "SS": 2, "AT": 2, "OL": 4, "OF": 4, "UL": 4, "SL": 4, "FL": 4, "OD": 8, "OV": 8, "FD": 8}
_WORDS |= {"SV": 8, "UV": 8}


def parse_bulk_path(text: str) -> BulkPath:
    """``EEEEEEEE`` or ``SSSSSSSS/{i}/EEEEEEEE``, any depth. Raises InvalidArgument."""
    parts = text.strip("/").split("/")
    good = len(parts) % 2 == 1 and len(parts) <= _MAX_PATH
    if not good or not all((_NUMBER if place % 2 else _TAG).fullmatch(part) for place, part in enumerate(parts)):
        raise InvalidArgument(f"bulkdata: {text[:100]!r} is neither EEEEEEEE nor SSSSSSSS/ITEM/EEEEEEEE")
    return tuple(int(part, 10 if place % 2 else 16) for place, part in enumerate(parts))


def find_bulk(opened: Readable, path: BulkPath) -> tuple[int, int] | bytes | Encapsulated:
    """Place and length of a value in the file, or the value where it does not lie there as it is asked for.

    Values are little endian. Encapsulated pixel data has no such value. Raises NotFound.
    """
    header = read_header(opened.read_at, opened.size)
    if len(path) == 1 and (cut := _cut_of(opened, header, path[0])) is not None:
        return _long_value(opened, header, path[0], cut)
    skeleton = read_skeleton(opened.read_at, opened.size, header.layout, MAX_LIVE_SKELETON)
    if skeleton is None:
        raise FailedPrecondition(f"the header has more than {MAX_LIVE_SKELETON} bytes")
    return _short_value(skeleton, path)


def _cut_of(opened: Readable, header: Header, tag: int) -> Cut | None:
    """The long value with a tag; deflated headers are not in the file, so their tags are in the skeleton's body."""
    layout = header.layout
    read = Inflated(opened.read_at, layout.meta_end, opened.size).read_at if layout.deflated else opened.read_at
    order: Any = "little" if layout.little else "big"
    for cut in layout.cuts:
        head = read(cut.start, 4)
        if int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:], order) == tag:
            return cut
    return None


def _long_value(opened: Readable, header: Header, tag: int, cut: Cut) -> tuple[int, int] | bytes | Encapsulated:
    layout = header.layout
    start, length = cut.start + cut.header, cut.length
    if layout.deflated:
        if length > MAX_INFLATED_VALUE:
            raise FailedPrecondition(f"the value has {length} bytes; of deflated ones {MAX_INFLATED_VALUE} are given")
        inflated = Inflated(opened.read_at, layout.meta_end, opened.size)
        return inflated.read_at(start, length)
    head = opened.read_at(cut.start, cut.header)
    if head.endswith(_UNDEFINED):
        if tag == PIXEL_DATA:
            return Encapsulated(start, start + length)
        return start, length - _SEQUENCE_END
    size = 1 if layout.little else _WORDS.get(head[4:6].decode("latin-1"), 1)
    if size == 1:
        return start, length
    if length > MAX_INFLATED_VALUE:
        raise FailedPrecondition(f"the value has {length} bytes; of big endian ones {MAX_INFLATED_VALUE} are given")
    return _swapped(opened.read_at(start, length), size)


def _short_value(skeleton: Skeleton, path: BulkPath) -> bytes:
    ds = parsed(without_cuts(skeleton), skeleton.explicit, skeleton.little)
    try:
        for tag, number in zip(path[:-1:2], path[1::2], strict=True):
            ds = ds[tag].value[number]
        element = ds.get_item(path[-1])
    except (KeyError, IndexError, TypeError, AttributeError):
        element = None
    if isinstance(element, RawDataElement):
        value = element.value or b""
        return value if element.is_little_endian else _swapped(value, _WORDS.get(element.VR or "", 1))
    if element is not None and isinstance(element.value, bytes):
        return element.value
    raise NotFound("there is no such bulk data in this instance; the metadata has the addresses of all there is")


def without_cuts(skeleton: Skeleton) -> bytes:
    """The body as a whole dataset: what was cut is not there at all."""
    pieces, at = [], 0
    for position, _ in skeleton.cuts:
        pieces.append(skeleton.body[at:position])
        at = position + header_length(skeleton, position)
    return b"".join((*pieces, skeleton.body[at:]))


def header_length(skeleton: Skeleton, position: int) -> int:
    return 12 if skeleton.explicit and skeleton.body[position + 4 : position + 6] in LONG_VRS else 8


def _swapped(value: bytes, size: int) -> bytes:
    """Words in the other order; a rest that is no whole word stays as it is."""
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    words = bytearray(value)
    for place in range(size):
        words[place:whole:size] = value[size - 1 - place : whole : size]
    return bytes(words)
