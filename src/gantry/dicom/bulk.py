"""Where bulk data lies in a file: the values that DICOM JSON only gives an address of (PS3.18 §10.4.1.1.5, §F.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from gantry.dicom.buffers import FileValue, Readable
from gantry.dicom.elements import DataSet, Element, Item, are_fragments
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import (
    MAX_LIVE_HEADER,
    MAX_SEQUENCES,
    InstanceIdentity,
    open_data_set,
    read_header,
    read_header_bytes,
)
from gantry.dicom.tags import BITS_ALLOCATED, PIXEL_DATA, UNDEFINED
from gantry.dicom.walk import Cut
from gantry.dicom.words import swap_words, word_size
from gantry.errors import FailedPrecondition, InvalidArgument, NotFound

BulkPath = tuple[int, ...]
"""Tag, or tag, number of the item from 0, tag, and so on."""


class Encapsulated(NamedTuple):
    """Encapsulated pixel data: where its items lie in the file, the delimiter after them included. Those of an icon
    have a ``path`` of their own, and no place that anybody needs to know."""

    start: int
    end: int
    path: BulkPath


MAX_VALUE = 256 << 20
"""Bytes of a value that is put into the other byte order, in memory."""

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_MAX_PATH = 2 * 200 + 1  # tags and items of the deepest address that DICOM JSON has
_DELIMITER = 8
_META_GROUP = 2
_NONE = "there is no such bulk data in this instance; the metadata has the addresses of all there is"


def parse_bulk_path(text: str) -> BulkPath:
    """``EEEEEEEE`` or ``SSSSSSSS/{i}/EEEEEEEE``, any depth. Raises InvalidArgument."""
    parts = text.strip("/").split("/")
    good = len(parts) % 2 == 1 and len(parts) <= _MAX_PATH
    if not good or not all((_NUMBER if place % 2 else _TAG).fullmatch(part) for place, part in enumerate(parts)):
        raise InvalidArgument(f"bulkdata: {text[:100]!r} is neither EEEEEEEE nor SSSSSSSS/ITEM/EEEEEEEE")
    return tuple(int(part, 10 if place % 2 else 16) for place, part in enumerate(parts))


def find_bulk(opened: Readable, path: BulkPath) -> FileValue | bytes | Encapsulated:
    """One value, as ``BulkReader`` finds it."""
    return BulkReader(opened).find(path)


class BulkReader:
    """The values of one instance by their paths; those in the order of the file are found in one pass."""

    def __init__(self, opened: Readable) -> None:
        """Raises InvalidArgument."""
        self._opened = opened
        self._header = read_header(opened.read_at, opened.size)
        self._places: dict[tuple[bool, bool], _Place] = {}
        self._headers: dict[bool, tuple[HeaderBytes, dict[int, Cut]]] = {}

    def find(self, path: BulkPath) -> FileValue | bytes | Encapsulated:
        """A value where it lies in the file, or in the inflated dataset; else its bytes, where they are another way.

        Values are little endian. Encapsulated pixel data has no such value. Raises NotFound; FailedPrecondition for
        what takes too much memory.
        """
        is_nested = len(path) > 1
        header_bytes, cuts = self._read_header(is_nested)
        place = self._find_top(is_nested, path[0] >> 16 == _META_GROUP, header_bytes)
        try:
            for tag, number in zip(path[:-1:2], path[1::2], strict=True):
                place = place.enter(tag, number)
            element = place.seek(path[-1])
        except InvalidArgument:
            raise NotFound(_NONE) from None
        data_set = place.data_set
        if element.start in data_set.cuts:
            return _locate_long_value(self._opened, self._header, element, cuts[element.start])
        if element.tag == PIXEL_DATA and element.has_fragments:
            return Encapsulated(0, 0, path)
        value = bytes(data_set.data[element.value : element.stop])
        if not element.is_big_endian:
            return value
        bits = data_set.read_number(place.bits) if place.bits else 0
        return swap_words(value, word_size(element.tag, element.vr, bits))

    def _read_header(self, is_nested: bool) -> tuple[HeaderBytes, dict[int, Cut]]:
        """The header, and what is cut out of it by its place there. Sequences are in it where they are looked into."""
        if is_nested not in self._headers:
            layout = self._header.layout.with_sequences(MAX_SEQUENCES if is_nested else 0)
            header_bytes = read_header_bytes(self._opened.read_at, self._opened.size, layout, MAX_LIVE_HEADER)
            if header_bytes is None:
                raise FailedPrecondition(f"the header has more than {MAX_LIVE_HEADER} bytes")
            positions = (position for position, _ in header_bytes.cuts)
            self._headers[is_nested] = header_bytes, dict(zip(positions, layout.cuts, strict=True))
        return self._headers[is_nested]

    def _find_top(self, is_nested: bool, is_meta: bool, header_bytes: HeaderBytes) -> _Place:
        key = is_nested, is_meta
        if key not in self._places:
            data_set = header_bytes.meta_elements() if is_meta else header_bytes.data_set()
            self._places[key] = _Place(data_set, data_set.as_item())
        return self._places[key]


class _Place:
    """How far one pass over a data set or an item has come: at an element, and in an item of it. What would need to go
    back, as where elements are out of order, first notes where all of them begin: there is no third pass.

    ``bits`` is the element BitsAllocated, where that stands before.
    """

    def __init__(self, data_set: DataSet, item: Item) -> None:
        self.data_set, self._item = data_set, item
        self._elements = item.elements()
        self._current: Element | None = None
        self._last, self._is_ordered = -1, True
        self._starts: dict[int, int] | None = None
        self.bits: Element | None = None
        self._leave()

    def _leave(self) -> None:
        self._items: Iterator[Item] | None = None
        self._number = -1
        self._inside: _Place | None = None

    def seek(self, tag: int) -> Element:
        """Of two elements with one tag it is the first one, as in DICOM JSON. Raises NotFound, InvalidArgument."""
        if self._current is not None and self._current.tag == tag:
            return self._current
        if self._starts is None and (not self._is_ordered or tag <= self._last):
            self._starts = self._find_starts()
        self._leave()
        self._current = self._go_on_to(tag) if self._starts is None else self._read_at(self._starts, tag)
        return self._current

    def _go_on_to(self, tag: int) -> Element:
        for element in self._elements:
            self._is_ordered = self._is_ordered and element.tag > self._last
            self._last = element.tag
            if element.tag == BITS_ALLOCATED and self.bits is None:
                self.bits = element
            if element.tag == tag:
                return element
        raise NotFound(_NONE)

    def _find_starts(self) -> dict[int, int]:
        """Where the first element of each tag begins."""
        found: dict[int, int] = {}
        with suppress(InvalidArgument):  # nothing can be found behind what is damaged
            for element in self._item.elements():
                found.setdefault(element.tag, element.start)
        return found

    def _read_at(self, starts: dict[int, int], tag: int) -> Element:
        if tag not in starts:
            raise NotFound(_NONE)
        start, bits = starts[tag], starts.get(BITS_ALLOCATED)
        self.bits = self._read_element(bits) if bits is not None and bits < start else None
        return self._read_element(start)

    def _read_element(self, start: int) -> Element:
        end = self._item.stop if self._item.stop >= 0 else self._item.limit
        return self.data_set.read_element(start, end, self._item.encoding)

    def enter(self, tag: int, number: int) -> _Place:
        """The item of a sequence, by its number from 0. Raises NotFound, InvalidArgument."""
        sequence = self.seek(tag)
        if self._inside is not None and number == self._number:
            return self._inside
        if self._items is None or number < self._number:
            self._items, self._number = self.data_set.read_items(sequence), -1
        item = next(islice(self._items, number - self._number - 1, None), None)
        if item is None:
            self._leave()
            raise NotFound(_NONE)
        self._number, self._inside = number, _Place(self.data_set, item)
        return self._inside


def find_element(data_set: DataSet, path: BulkPath) -> tuple[Element, list[Element]]:
    """The element at a path, and those that stand before it in its data set or item. Raises NotFound.

    Of two elements with one tag it is the first one, as in DICOM JSON.
    """
    elements = data_set.elements()
    try:
        for tag, number in zip(path[:-1:2], path[1::2], strict=True):
            sequence, _ = _find_first(elements, tag)
            item = next(islice(data_set.read_items(sequence), number, None), None)
            if item is None:
                raise NotFound(_NONE)
            elements = item.elements()
        return _find_first(elements, path[-1])
    except InvalidArgument:
        raise NotFound(_NONE) from None


def _find_first(elements: Iterable[Element], tag: int) -> tuple[Element, list[Element]]:
    before: list[Element] = []
    for element in elements:
        if element.tag == tag:
            return element, before
        before.append(element)
    raise NotFound(_NONE)


def _locate_long_value(
    opened: Readable, header: InstanceIdentity, element: Element, cut: Cut
) -> FileValue | bytes | Encapsulated:
    """A value that the header bytes leave out."""
    start, length = cut.start + cut.header, cut.length
    where = open_data_set(opened, header.layout)
    if where.read_at(cut.start, cut.header).endswith(UNDEFINED.to_bytes(4, "little")):
        if element.tag == PIXEL_DATA and are_fragments(element.tag, element.vr):
            return Encapsulated(start, start + length, (PIXEL_DATA,))
        length -= _DELIMITER
    bits = header.numbers.get(BITS_ALLOCATED, 0)
    size = word_size(element.tag, element.vr, bits) if element.is_big_endian else 1
    if size == 1:
        return FileValue(where, start, length)
    if length > MAX_VALUE:
        raise FailedPrecondition(f"the value has {length} bytes; of big endian ones up to {MAX_VALUE} are given")
    return swap_words(where.read_at(start, length), size)


def list_cut_values(header_bytes: HeaderBytes, start: int) -> Iterator[tuple[int, Element, int]]:
    """Place, element in the header bytes and length of each value that was left out of a data set.

    ``start`` is where the data set begins in the file; 0 for places in one that is inflated."""
    data_set, left_out = header_bytes.data_set(), start
    for position, length in header_bytes.cuts:
        element = data_set.read_element(position, len(header_bytes.body), header_bytes.encoding)
        yield left_out + element.value, element, length
        left_out += length
