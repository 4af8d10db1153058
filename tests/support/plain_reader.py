"""A small reader of Part 10 files that shares no code with Gantry or pydicom: what tests judge both with.

It reads what ``gantry.dicom.part10`` says it tolerates, by the rules of PS3.5 §7, and keeps every byte of every value.
Only LE and BE words, lengths and VR letters are known here, and no dictionary: an element with UN, or no VR that is
known, is a sequence where its value is one from its first to its last byte in implicit VR little endian (PS3.5 §6.2.2).
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

SHORT = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"),
        *("PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)
LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
PLACEHOLDERS = frozenset(("  ", "--", "??"))
DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
IMPLICIT_UID, BIG_UID = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
PIXEL_DATA, BITS_ALLOCATED, SYNTAX = 0x7FE00010, 0x00280100, 0x00020010
UIDS = (0x0020000D, 0x0020000E, 0x00080018)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
WORDS = {"AT": 2, "OW": 2, "SS": 2, "US": 2, "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4}
WORDS |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}
_DEEP = 20_000


class Damaged(ValueError):
    """The structure does not hold."""


class Encoding(NamedTuple):
    """``order`` is ``<`` or ``>``. ``extents``: step over what has a defined length instead of reading it."""

    explicit: bool
    order: str
    extents: bool = False


EXPLICIT, IMPLICIT, BIG = Encoding(True, "<"), Encoding(False, "<"), Encoding(True, ">")


class Element(NamedTuple):
    """One element: ``vr`` as written, ``""`` where there is none.

    ``value`` are all bytes between the head and the end of the element, or its delimiter; ``start`` is their place
    in the dataset's bytes. ``items`` or ``fragments`` are there for what has them. ``broken`` is a sequence whose
    inside cannot be read: it has its ``value`` alone. ``order`` is that of the words around it.
    """

    tag: int
    vr: str
    value: bytes
    start: int
    order: str = "<"
    undefined: bool = False
    items: tuple[tuple[Element, ...], ...] | None = None
    fragments: tuple[bytes, ...] | None = None
    broken: bool = False


class PlainFile(NamedTuple):
    """``body`` is the dataset, inflated where it was deflated; it begins at ``start`` of the file."""

    meta: tuple[Element, ...]
    elements: tuple[Element, ...]
    body: bytes
    start: int
    encoding: Encoding
    transfer_syntax: str

    @property
    def uids(self) -> tuple[str, str, str]:
        """Of study, series and instance."""
        study, series, sop = (text_of(self.elements, tag) for tag in UIDS)
        return study, series, sop

    @property
    def deflated(self) -> bool:
        return self.transfer_syntax in DEFLATED


def read_file(data: bytes) -> PlainFile:
    """Raises Damaged."""
    if data[128:132] != b"DICM":
        raise Damaged("no DICM")
    try:
        meta, start = _meta(data)
        syntax = text_of(meta, SYNTAX)
        body = zlib.decompressobj(-15).decompress(data[start:]) if syntax in DEFLATED else data[start:]
        encoding = _actual(body, _declared(syntax))
        with _deep():
            elements, end = _elements(body, 0, len(body), encoding, top=True)
    except (struct.error, zlib.error) as error:
        raise Damaged(str(error)) from error
    if any(body[end:]):
        raise Damaged("something other than zeros behind the last element")
    return PlainFile(meta, elements, body, start, encoding, syntax)


def read_transfer_syntax(data: bytes) -> str:
    """As the head of a file names it; nothing behind the head is read. Raises Damaged."""
    try:
        return text_of(_meta(data)[0], SYNTAX)
    except struct.error as error:
        raise Damaged(str(error)) from error


def text_of(elements: Sequence[Element], tag: int) -> str:
    """The text of the first element with a tag, without padding; "" where there is none."""
    found = next((element.value for element in elements if element.tag == tag), b"")
    return found.rstrip(b"\0 ").decode("latin-1")


def number_of(elements: Sequence[Element], tag: int, default: int = 0) -> int:
    """The US of the first element with a tag."""
    for element in elements:
        if element.tag == tag and len(element.value) == 2:
            return int.from_bytes(element.value, "little" if element.order == "<" else "big")
    return default


def little_endian(element: Element, bits_allocated: int = 0) -> bytes:
    """The value with its words little endian (PS3.5 §7.3).

    UN is little endian everywhere (§6.2.2). Pixels have words of their cells, whatever their VR says (§8.1.1, §A.3).
    """
    size = WORDS.get(element.vr, 1)
    if element.tag == PIXEL_DATA and element.vr in ("OB", "OW") and bits_allocated in range(16, 65, 8):
        size = bits_allocated // 8
    if element.order == "<" or size == 1 or element.items is not None or element.fragments is not None:
        return element.value
    whole = len(element.value) // size * size
    words = (element.value[at : at + size][::-1] for at in range(0, whole, size))
    return b"".join(words) + element.value[whole:]


def find(elements: Sequence[Element], path: Sequence[int]) -> list[Element]:
    """All elements at a path of tag, number of the item from 0, tag, and so on."""
    found = [element for element in elements if element.tag == path[0]]
    if len(path) == 1:
        return found
    items = (element.items[path[1]] for element in found if element.items and path[1] < len(element.items))
    return [inner for item in items for inner in find(item, path[2:])]


def walk(elements: Sequence[Element], path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Element]]:
    """Every element at every depth, with its path."""
    pending = [((*path, element.tag), element) for element in reversed(elements)]
    while pending:
        place, element = pending.pop()
        yield place, element
        for number, item in enumerate(element.items or ()):
            pending += [((*place, number, inner.tag), inner) for inner in item]


# --- the file


@contextmanager
def _deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _meta(data: bytes) -> tuple[tuple[Element, ...], int]:
    """Group 0002 ends where another group begins, whatever its group length says."""
    found, at = [], 132
    while data[at : at + 2] == b"\x02\x00":
        element, at = _element(data, at, len(data), EXPLICIT)
        found.append(element)
    return tuple(found), at


def _declared(syntax: str) -> Encoding:
    return {IMPLICIT_UID: IMPLICIT, BIG_UID: BIG}.get(syntax, EXPLICIT)


def _actual(body: bytes, declared: Encoding) -> Encoding:
    """What the first element shows: writers say one thing and write another."""
    if len(body) < 8:
        return declared
    vr, length = body[4:6].decode("latin-1"), int.from_bytes(body[4:8], "little")
    if not declared.explicit:
        return EXPLICIT if vr in SHORT | LONG else declared
    letters = _is_vr(vr) or vr in PLACEHOLDERS
    return declared if letters or (length != UNDEFINED and length > len(body) - 8) else IMPLICIT


def _is_vr(vr: str) -> bool:
    return vr.isascii() and vr.isalpha() and vr.isupper()


# --- elements


def _elements(
    data: bytes, at: int, end: int, encoding: Encoding, *, top: bool = False, delimited: bool = False
) -> tuple[tuple[Element, ...], int]:
    """Elements up to ``end``, or up to an Item Delimitation Item; and where they end."""
    found = []
    while at < end:
        if top and _is_padding(data, at, found):
            break
        if end - at < 8:
            raise Damaged(f"an element is cut at {at}")
        if _tag(data, at, encoding) == ITEM_END and (delimited or (not top and at + 8 == end)):
            return tuple(found), at + 8  # at the end of a defined length other readers pass over it
        element, at = _element(data, at, end, encoding)
        found.append(element)
    if delimited:
        raise Damaged("an item does not end")
    return tuple(found), at


def _is_padding(data: bytes, at: int, found: Sequence[Element]) -> bool:
    """Zeros after the last element; a single one after pixels only."""
    rest = len(data) - at
    least = 1 if found and found[-1].tag >= PIXEL_DATA else 2
    return rest >= least and data[at : at + 2] in (b"\0\0", b"\0") and not any(data[at:])


def _tag(data: bytes, at: int, encoding: Encoding) -> int:
    group, number = struct.unpack_from(encoding.order + "HH", data, at)
    return int(group << 16 | number)


def _element(data: bytes, at: int, end: int, encoding: Encoding) -> tuple[Element, int]:
    tag = _tag(data, at, encoding)
    if tag >> 16 == 0xFFFE:
        raise Damaged(f"a delimiter or an item stands at {at}")
    vr, start, length = _head(data, at, end, encoding)
    if length == UNDEFINED:
        return _undefined(data, tag, vr, start, end, encoding)
    stop = start + length
    if stop > end:
        raise Damaged(f"the value of {tag:08X} ends behind what holds it")
    plain = Element(tag, vr, data[start:stop], start, encoding.order)
    if encoding.extents:
        return plain, stop
    if vr == "SQ":
        return _sequence(data, plain, stop, encoding), stop
    if _may_be_sequence(vr) and plain.value[:4] in (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0"):
        guess = _sequence(data, plain, stop, IMPLICIT)
        return plain if guess.broken else guess, stop
    return plain, stop


def _may_be_sequence(vr: str) -> bool:
    """Without a VR that is known, an element is read as UN is."""
    return vr == "UN" or vr not in SHORT | LONG


def _head(data: bytes, at: int, end: int, encoding: Encoding) -> tuple[str, int, int]:
    """VR, where the value begins, and its length."""
    order = encoding.order
    vr = data[at + 4 : at + 6].decode("latin-1")
    (short,), (long,) = struct.unpack_from(order + "H", data, at + 6), struct.unpack_from(order + "I", data, at + 4)
    if not encoding.explicit or not (vr in PLACEHOLDERS or _is_vr(vr)):
        return "", at + 8, long
    if vr in LONG or not (vr in SHORT or vr in PLACEHOLDERS or short or _follows(data, at + 8, order)):
        if at + 12 > end:
            raise Damaged(f"an element is cut at {at}")
        return vr, at + 12, struct.unpack_from(order + "I", data, at + 8)[0]
    return vr, at + 8, short


def _follows(data: bytes, at: int, order: str) -> bool:
    """Whether an element or a delimiter, or nothing, stands here."""
    group = data[at : at + 2]
    mark = b"\xfe\xff" if order == "<" else b"\xff\xfe"
    return at == len(data) or group == mark or data[at + 4 : at + 6].decode("latin-1") in SHORT | LONG


def _sequence(data: bytes, plain: Element, stop: int, encoding: Encoding) -> Element:
    """A sequence of defined length; ``broken`` where its inside does not hold."""
    try:
        items, _ = _items(data, plain.start, stop, encoding, delimited=False)
    except (Damaged, struct.error):
        return plain._replace(broken=True)
    return plain._replace(items=items)


def _undefined(data: bytes, tag: int, vr: str, start: int, end: int, encoding: Encoding) -> tuple[Element, int]:
    if vr in ("OB", "OW") or (tag == PIXEL_DATA and vr in ("", "UN")):
        fragments, stop = _fragments(data, start, end, encoding)
        value = data[start : stop - 8]
        return Element(tag, vr, value, start, encoding.order, True, fragments=fragments), stop
    if vr != "SQ" and not _may_be_sequence(vr):
        raise Damaged(f"{tag:08X} has an undefined length")
    inner = encoding if vr == "SQ" else IMPLICIT._replace(extents=encoding.extents)
    plain = Element(tag, vr, b"", start, encoding.order, True)
    items, stop, broken = _items_or_extent(data, start, end, inner)
    return plain._replace(value=data[start : stop - 8], items=items, broken=broken), stop


def _items_or_extent(
    data: bytes, start: int, end: int, encoding: Encoding
) -> tuple[tuple[tuple[Element, ...], ...] | None, int, bool]:
    """The items, or only where they end if an item of defined length has a broken inside."""
    try:
        items, stop = _items(data, start, end, encoding, delimited=True)
        return items, stop, False
    except (Damaged, struct.error):
        if encoding.extents:
            raise
        _, stop = _items(data, start, end, encoding._replace(extents=True), delimited=True)
        return None, stop, True


def _items(
    data: bytes, at: int, end: int, encoding: Encoding, *, delimited: bool
) -> tuple[tuple[tuple[Element, ...], ...], int]:
    """Items up to ``end``, or past a Sequence Delimitation Item. Stray delimiters are passed over, as by dcmtk."""
    found: list[tuple[Element, ...]] = []
    while at + 8 <= end:
        tag, (length,) = _tag(data, at, encoding), struct.unpack_from(encoding.order + "I", data, at + 4)
        if tag == SEQUENCE_END and (delimited or at + 8 == end):
            return tuple(found), at + 8
        if tag == ITEM_END and not encoding.extents:
            at += 8  # a stray one between items, which other readers pass over
            continue
        if tag != ITEM:
            raise Damaged(f"something other than an item stands at {at}")
        item, at = _item(data, at + 8, end, length, encoding)
        found.append(item)
    if delimited or at != end:
        raise Damaged("a sequence does not end")
    return tuple(found), at


def _item(data: bytes, at: int, end: int, length: int, encoding: Encoding) -> tuple[tuple[Element, ...], int]:
    if length == UNDEFINED:
        return _elements(data, at, end, encoding, delimited=True)
    if at + length > end:
        raise Damaged("an item is longer than what holds it")
    return ((), at + length) if encoding.extents else _elements(data, at, at + length, encoding)


def _fragments(data: bytes, at: int, end: int, encoding: Encoding) -> tuple[tuple[bytes, ...], int]:
    found = []
    while at + 8 <= end:
        tag, (length,) = _tag(data, at, encoding), struct.unpack_from(encoding.order + "I", data, at + 4)
        if tag == SEQUENCE_END:
            return tuple(found), at + 8
        if tag != ITEM or length > end - at - 8:
            raise Damaged(f"fragments are cut at {at}")
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    raise Damaged("fragments do not end")
