"""An instance opened: as a whole in memory, or for its pixels, which stay where they lie in the file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from gantry.dicom.buffers import Buffer, FileValue, Held, Readable
from gantry.dicom.bulk import BulkPath, find_element, list_cut_values
from gantry.dicom.elements import DataSet, Element, read_head
from gantry.dicom.encapsulation import FrameTable
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.image_attributes import (
    NEEDED,
    PICTURES,
    Attributes,
    extract_attribute,
    is_needed,
    parse_attributes,
)
from gantry.dicom.image_source import (
    MAX_FILE,
    NATIVE,
    PixelElement,
    Source,
    correct_422,
    read_frame_bits,
    read_frame_table,
    read_native_value,
    read_number_of_frames,
    require_frames,
    require_pixels,
)
from gantry.dicom.part10 import (
    DEFLATED_UIDS,
    MAX_LIVE_HEADER,
    META_START,
    InstanceIdentity,
    open_data_set,
    read_header,
    read_header_bytes,
    read_watched,
)
from gantry.dicom.rewriting import Placed, place_elements, swap_to_little_endian
from gantry.dicom.tags import BITS_ALLOCATED, COLUMNS, NUMBER_OF_FRAMES, PIXEL_TAGS, ROWS, UNDEFINED
from gantry.dicom.traversal import CONTEXT_OF_VALUES, Scope
from gantry.errors import FailedPrecondition, NotFound, StatusError

_MOST_SAMPLES = 3
"""Of a pixel (PS3.3 §C.7.6.3.1.1)."""


class WholeInstance:
    """An instance in memory: the bytes of its file, its file meta group, and its data set, inflated where deflated."""

    def __init__(self, data: bytes, header: InstanceIdentity, data_set: DataSet) -> None:
        self.data, self.header, self.data_set = data, header, data_set
        self.meta = data[META_START : header.layout.meta_end]

    @cached_property
    def placed(self) -> list[Placed]:
        """Its elements in the order of their tags. Raises InvalidArgument."""
        return place_elements(self.data_set)

    @cached_property
    def source(self) -> Source:
        """Its pixels. Raises InvalidArgument where the attributes that describe them cannot be read."""
        scope = Scope(self.data_set, len(self.data_set.data))
        return _read_source(self.data_set, self.data_set.elements(NEEDED), scope, self.header)

    @cached_property
    def tags(self) -> frozenset[int]:
        """Those of the top level."""
        return frozenset([element[0] for element, _ in self.placed])

    @property
    def is_encapsulated(self) -> bool:
        return self.header.transfer_syntax_uid not in NATIVE

    @property
    def has_pixels(self) -> bool:
        return not self.tags.isdisjoint(PIXEL_TAGS)


def read_instance(opened: Readable) -> WholeInstance:
    """Raises InvalidArgument for what is no Part 10 instance, FailedPrecondition for what is too large."""
    require_size(opened)
    data = opened.read_at(0, opened.size)
    header = read_header(lambda offset, length: data[offset : offset + length], len(data))
    layout = header.layout
    body: Buffer = memoryview(data)[layout.start : layout.end]
    if layout.deflated:
        _require_inflatable(header)
        body = open_data_set(Held(data), layout).read_at(0, layout.end)
    ends = ((start - layout.start, end - layout.start) for start, end in layout.ends)
    return WholeInstance(data, header, DataSet(body, layout.encoding, ends=ends))


def require_size(opened: Readable) -> None:
    """Raises FailedPrecondition for an instance that is too large to be converted as a whole."""
    if opened.size > MAX_FILE:
        raise FailedPrecondition(
            f"the instance has {opened.size} bytes; up to {MAX_FILE} can be transcoded or rendered"
        )


def _require_inflatable(header: InstanceIdentity) -> None:
    """As much as its header and the picture that it declares need: a megabyte of zeros takes a kilobyte, and would be
    held several times. Raises FailedPrecondition."""
    numbers, size = header.numbers, header.layout.end
    cells = numbers.get(ROWS, 0) * numbers.get(COLUMNS, 0) * max(1, numbers.get(NUMBER_OF_FRAMES, 1))
    picture = cells * _MOST_SAMPLES * numbers.get(BITS_ALLOCATED, 0) // 8
    most = min(MAX_FILE, MAX_LIVE_HEADER + picture)
    if size > most:
        raise FailedPrecondition(
            f"the dataset inflates to {size} bytes; up to {most} can be transcoded, by the picture that it declares"
        )


def _read_source(data_set: DataSet, elements: Iterable[Element], scope: Scope, header: InstanceIdentity) -> Source:
    """From the elements of a data set or item that is in memory as a whole."""
    needed, pixels = [], None
    for element in elements:
        tag = element[0]
        if tag in CONTEXT_OF_VALUES:
            scope = scope.after(element)
        if tag in PIXEL_TAGS and pixels is None:
            value = swap_to_little_endian(data_set, element, scope.resolve_vr(element), scope.bits)
            pixels = PixelElement(tag, value, element.undefined_length)
        elif is_needed(tag):
            needed.append((tag, extract_attribute(data_set, element, scope)))
    return Source(parse_attributes(needed, data_set), pixels, header.transfer_syntax_uid, header.sop_class_uid)


def open_source(opened: Readable, path: BulkPath = ()) -> Source:
    """The pixels of an instance of any size; with ``path``, to its Pixel Data, those of an icon in it.

    Those whose pixels are to be swapped (big endian) are read as a whole.
    Raises InvalidArgument, FailedPrecondition, NotFound.
    """
    header, watched = read_watched(opened.read_at, opened.size, PICTURES)
    require_frames(header.transfer_syntax_uid)
    if len(path) > 1:
        return open_icon(read_instance(opened), path)
    layout = header.layout
    if watched is not None:
        return _place_pixels(opened, header, Attributes(watched, layout.encoding, PICTURES.tags))
    if layout.little:
        header_bytes = read_header_bytes(opened.read_at, opened.size, layout, MAX_LIVE_HEADER)
        if header_bytes is not None:
            found = _pixels_of(opened, header_bytes, header)
            if found is not None:
                return found
    return read_instance(opened).source


def _place_pixels(opened: Readable, header: InstanceIdentity, attributes: Attributes) -> Source:
    """Pixel data of any length are among the values that header bytes leave out."""
    layout, pixels = header.layout, None
    for cut in layout.cuts:
        head = opened.read_at(cut.start, cut.header)
        tag, _, _, length = read_head(head, 0, cut.header, layout.encoding)
        if tag in PIXEL_TAGS:
            is_open = length == UNDEFINED
            value = FileValue(opened, cut.start + cut.header, cut.length - 8 * is_open)
            pixels = PixelElement(tag, value, is_open)
            break
    return Source(attributes, pixels, header.transfer_syntax_uid, header.sop_class_uid)


def count_frames(opened: Readable) -> int:
    """As many as whoever decodes them gives. Raises InvalidArgument, FailedPrecondition, NotFound."""
    source = open_source(opened)
    require_pixels(source)
    return read_number_of_frames(source)


def open_icon(instance: WholeInstance, path: BulkPath) -> Source:
    """The pixels of an item, by the path to its Pixel Data. Raises NotFound, InvalidArgument."""
    *above, number, _ = path
    sequence, _ = find_element(instance.data_set, tuple(above))
    for place, item in enumerate(instance.data_set.read_items(sequence)):
        if place == number:
            return read_icon(instance, item.elements(), item.find_stop())
    raise NotFound("there is no such item in this instance")


def read_icon(instance: WholeInstance, elements: Iterable[Element], end: int) -> Source:
    """The pixels of an item that ends before ``end``, by its elements. Raises InvalidArgument."""
    return _read_source(instance.data_set, elements, Scope(instance.data_set, end), instance.header)


def read_pixels(
    opened: Readable, header_bytes: HeaderBytes, transfer_syntax_uid: str, sop_class_uid: str
) -> Source | None:
    """From a header that was read before; None where the pixels do not lie in the file as it has them."""
    if not header_bytes.little or transfer_syntax_uid in DEFLATED_UIDS:
        return None
    start = META_START + len(header_bytes.meta)
    return _read_pixels(opened, start, header_bytes, transfer_syntax_uid, sop_class_uid)


def _pixels_of(opened: Readable, header_bytes: HeaderBytes, header: InstanceIdentity) -> Source | None:
    """Those of a deflated instance too, which are inflated as they are read: never as a whole, whatever they become."""
    layout = header.layout
    where = open_data_set(opened, layout)
    return _read_pixels(where, layout.start, header_bytes, header.transfer_syntax_uid, header.sop_class_uid)


def _read_pixels(
    opened: Readable, start: int, header_bytes: HeaderBytes, transfer_syntax_uid: str, sop_class_uid: str
) -> Source | None:
    """``start`` is where the data set begins in ``opened``."""
    data_set, needed, pixels = header_bytes.data_set(), [], None
    scope = Scope(data_set, len(header_bytes.body))
    for element in data_set.elements(NEEDED):
        tag = element[0]
        if tag in CONTEXT_OF_VALUES:
            scope = scope.after(element)
        if is_needed(tag) and element.start not in data_set.cuts:
            needed.append((tag, extract_attribute(data_set, element, scope)))
    size = sum(len(data) for _, data in needed)
    for place, element, length in list_cut_values(header_bytes, start):
        head = header_bytes.body[element.start : element.value]
        if element.tag in PIXEL_TAGS and pixels is None:
            if opened.read_at(place - len(head), len(head)) != head:
                return None
            pixels = _locate_pixels(opened, element, head, place, length)
        elif is_needed(element.tag) and size + length <= MAX_LIVE_HEADER:
            needed.append((element.tag, head + opened.read_at(place, length)))
            size += length
    return Source(parse_attributes(needed, data_set), pixels, transfer_syntax_uid, sop_class_uid)


def _locate_pixels(opened: Readable, element: Element, head: bytes, place: int, length: int) -> PixelElement:
    undefined = head.endswith(b"\xff\xff\xff\xff")
    return PixelElement(element.tag, FileValue(opened, place, length - 8 * undefined), undefined)


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


def stored_frames(opened: Readable, header_bytes: HeaderBytes, transfer_syntax_uid: str) -> StoredFrames | None:
    """None for what has to be looked at more closely, or has no frames: whoever decodes it has the words for that."""
    try:
        require_frames(transfer_syntax_uid)
        source = read_pixels(opened, header_bytes, transfer_syntax_uid, "")
        return None if source is None else _stored_frames(source)
    except StatusError:
        return None


def _stored_frames(source: Source) -> StoredFrames | None:
    value = require_pixels(source).value
    assert isinstance(value, FileValue)  # noqa: S101 - it is ``read_pixels``'s
    if source.encapsulated:
        frames = read_number_of_frames(source)
        return StoredFrames(value.start, len(value), frames, 0, read_frame_table(source, frames, may_inflate=False))
    image = read_frame_bits(source)
    bits = correct_422(len(value), image).frame_bits
    if bits % 8 or len(read_native_value(source, image)) * 8 < bits * image.number_of_frames:
        return None
    return StoredFrames(value.start, len(value), image.number_of_frames, bits // 8, None)
