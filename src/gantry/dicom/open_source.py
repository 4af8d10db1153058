"""An instance opened for some of its frames: the header in memory, the pixels where they lie in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gantry.dicom.bulk import header_length, without_cuts
from gantry.dicom.encapsulation import FrameTable
from gantry.dicom.image_source import (
    PIXEL_TAGS,
    PixelElement,
    Source,
    frame_table,
    is_needed,
    native_value,
    needed,
    parsed,
    read_image_pixel,
    read_source,
    require_frames,
    require_pixels,
    true_422,
)
from gantry.dicom.layout import FileValue, Readable, top_level
from gantry.dicom.part10 import DEFLATED_UIDS, MAX_LIVE_SKELETON, read_header, read_skeleton
from gantry.dicom.skeleton import Skeleton
from gantry.errors import StatusError

_META_START, _UNDEFINED, _DELIMITER = 132, b"\xff\xff\xff\xff", 8


def open_source(opened: Readable) -> Source:
    """What ``read_source`` gives, for its pixels alone, and for instances of any size.

    Those whose pixels have no place in the file (deflated) or are to be swapped (big endian) are read as a whole.
    """
    header = read_header(opened.read_at, opened.size)
    require_frames(header.transfer_syntax_uid)
    skeleton = read_skeleton(opened.read_at, opened.size, header.layout, MAX_LIVE_SKELETON)
    found = skeleton and without_pixels(opened, skeleton, header.transfer_syntax_uid, header.sop_class_uid)
    return found or read_source(opened)


def without_pixels(opened: Readable, skeleton: Skeleton, transfer_syntax_uid: str, sop_class_uid: str) -> Source | None:
    """From a header that was read before; None where the pixels do not lie in the file as its skeleton has them."""
    if not skeleton.little or transfer_syntax_uid in DEFLATED_UIDS:
        return None
    body, explicit, pixels = without_cuts(skeleton), skeleton.explicit, None
    elements = top_level(body, explicit)
    body = body if elements is None else needed(body, elements)
    for start, head, length in _cuts(skeleton):
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        if tag in PIXEL_TAGS and pixels is None:
            undefined = head.endswith(_UNDEFINED)
            value = FileValue(opened, start, length - _DELIMITER * undefined)
            pixels = PixelElement(tag, head[4:6].decode("latin-1") if explicit else "", value, undefined)
            if opened.read_at(start - len(head), len(head)) != head:
                return None
        elif is_needed(tag) and len(body) + length <= MAX_LIVE_SKELETON:
            body += head + opened.read_at(start, length)
    return Source(b"", b"", explicit, None, parsed(body, explicit, True), pixels, transfer_syntax_uid, sop_class_uid)


def _cuts(skeleton: Skeleton) -> Iterator[tuple[int, bytes, int]]:
    """Place in the file, header of the element and length of each value that was left out."""
    left_out = _META_START + len(skeleton.meta)
    for position, length in skeleton.cuts:
        head = skeleton.body[position : position + header_length(skeleton, position)]
        yield left_out + position + len(head), head, length
        left_out += length


class StoredFrames(NamedTuple):
    """Where the frames of an instance lie, as they are stored: ``frame_size`` bytes each, or by ``table``."""

    start: int
    length: int
    frames: int
    frame_size: int
    table: FrameTable | None

    @property
    def memory(self) -> int:
        """About how many bytes it takes to remember."""
        return 500 + (self.table.size if self.table is not None else 0)

    def extents(self, opened: Readable, number: int) -> list[tuple[int, int]]:
        """Places and lengths in the file of frame ``number`` from 0. Raises InvalidArgument for damaged fragments."""
        if self.table is None:
            return [(self.start + number * self.frame_size, self.frame_size)]
        found = self.table.extents(FileValue(opened, self.start, self.length), number)
        return [(self.start + at, length) for at, length in found]


def stored_frames(opened: Readable, skeleton: Skeleton, transfer_syntax_uid: str) -> StoredFrames | None:
    """None for what has to be looked at more closely, or has no frames: whoever decodes it has the words for that."""
    try:
        require_frames(transfer_syntax_uid)
        source = without_pixels(opened, skeleton, transfer_syntax_uid, "")
        return None if source is None else _stored_frames(source)
    except StatusError:
        return None


def _stored_frames(source: Source) -> StoredFrames | None:
    image, value = read_image_pixel(source), require_pixels(source).value
    assert isinstance(value, FileValue)  # noqa: S101 - it is ``without_pixels``'s
    if source.encapsulated:
        return StoredFrames(value.start, len(value), image.number_of_frames, 0, frame_table(source, image))
    bits = true_422(len(value), image).frame_bits
    if image.bits_allocated < 8 or bits % 8 or len(native_value(source, image)) * 8 < bits * image.number_of_frames:
        return None
    return StoredFrames(value.start, len(value), image.number_of_frames, bits // 8, None)
