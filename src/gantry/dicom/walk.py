"""Walking the elements of a dataset, or of a file meta group, without loading what they hold (PS3.5 §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import NamedTuple

from gantry.dicom.dictionary import vr_of
from gantry.dicom.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    PLACEHOLDERS,
    Encoding,
    Head,
    are_fragments,
    inner_encoding,
    read_head,
)
from gantry.dicom.faults import cut_off, malformed
from gantry.dicom.known_heads import Kept, KnownHeads, Passed
from gantry.dicom.tags import (
    BITS_ALLOCATED,
    COLUMNS,
    INSTANCE_NUMBER,
    ITEM,
    ITEM_END,
    MEDIA_CLASS,
    NUMBER_OF_FRAMES,
    PIXEL_DATA,
    PIXEL_TAGS,
    ROWS,
    SEQUENCE_END,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    TRANSFER_SYNTAX,
    UNDEFINED,
    format_tag,
)
from gantry.dicom.vr import BINARY, LONG, SHORT
from gantry.errors import InvalidArgument
from gantry.reasons import Reason

ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, length)`` gives at most ``length`` bytes, fewer only at the end of the object."""

FIRST_WINDOW = 16 * 1024
MAX_WINDOW = 256 * 1024
JUMP_WINDOW = 4 * 1024
MAX_LEVELS = 512
MAX_ELEMENTS = 10_000_000
MAX_PADDING = 64 * 1024
MAX_UID_VALUE = 256
MAX_KEPT_VALUE = 64
MAX_WATCHED_VALUE = 256
LONG_VALUE, LONG_SEQUENCE = 4096, 1 << 20
"""Top-level values longer than this are left out of the header bytes: binary ones and pixels; sequences and text."""

_TOO_MANY = f"the dataset has more than {MAX_ELEMENTS} elements"
_DELIMITERS = frozenset((ITEM_END, SEQUENCE_END))
_UIDS = {
    TRANSFER_SYNTAX: "TransferSyntaxUID",
    MEDIA_CLASS: "MediaStorageSOPClassUID",
    STUDY: "StudyInstanceUID",
    SERIES: "SeriesInstanceUID",
    SOP_INSTANCE: "SOPInstanceUID",
    SOP_CLASS: "SOPClassUID",
}
_KEPT = frozenset((INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS, COLUMNS, BITS_ALLOCATED))
_NOTED = frozenset(_UIDS.keys() | _KEPT)
_NOTED_ELEMENTS = frozenset(tag & 0xFFFF for tag in (STUDY, SERIES, SOP_INSTANCE, SOP_CLASS, *_KEPT))
_NO_ELEMENTS: frozenset[int] = frozenset()
_NAMES = _UIDS | {
    PIXEL_DATA: "PixelData",
    0x52009229: "SharedFunctionalGroupsSequence",
    0x52009230: "PerFrameFunctionalGroupsSequence",
    0x54000100: "WaveformSequence",
    0x0040A730: "ContentSequence",
    0x00420011: "EncapsulatedDocument",
}

_KEPT_VALUES = dict.fromkeys(_UIDS, Kept(MAX_UID_VALUE, 0)) | dict.fromkeys(_KEPT, Kept(MAX_KEPT_VALUE, 1))
KNOWN_META = KnownHeads(EXPLICIT_LE, range(2, 3), LONG_VALUE, _KEPT_VALUES)
_KNOWN = {
    each: KnownHeads(each, range(3, 0x7FE0), LONG_VALUE, _KEPT_VALUES)
    for each in (EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE)
}
"""Heads of other files, by encoding: only what ``Walk.elements`` would pass without a further look."""


class _Open(NamedTuple):
    """A sequence, fragment sequence or item of undefined length that the walk is inside of."""

    is_item: bool
    fragments: bool
    tag: int
    start: int
    outer: Encoding
    vr: str
    header: int


def tag_name(tag: int) -> str:
    text = format_tag(tag)
    return f"{_NAMES[tag]} {text}" if tag in _NAMES else text


class Cut(NamedTuple):
    """A long top-level value: ``start`` of its element, length of the header, bytes after the header."""

    start: int
    header: int
    length: int
    is_sequence: bool = False


class Watch(NamedTuple):
    """Tags of elements to keep; ``noted`` and ``noted_elements`` are what the walk looks out for then."""

    tags: frozenset[int]
    noted: frozenset[int]
    noted_elements: frozenset[int]

    @classmethod
    def of(cls, tags: frozenset[int]) -> Watch:
        return cls(tags, tags | _NOTED, frozenset(tag & 0xFFFF for tag in tags) | _NOTED_ELEMENTS)


class Walk:
    """One pass over an object: ``pos`` in ``window``, which begins at ``base``; ``open`` is what we are inside of.

    ``found`` are UIDs and ``kept`` a few short values by tag, both of the top level only, as are ``cuts``. ``ends`` are
    pairs: where a top-level value of undefined length begins, and where its delimiter stands. The last element ends
    at ``end``.
    """

    __slots__ = (
        *("base", "cuts", "encoding", "end", "ends", "found", "is_partial", "kept", "last", "noted", "noted_elements"),
        *("open", "pos", "read", "size", "step", "ticks", "watched", "watched_tags", "what", "window"),
    )

    def __init__(self, read_at: ReadAt, size: int, what: str) -> None:
        self.read, self.size, self.what = read_at, size, what
        self.pos = self.base = self.last = self.end = 0
        self.window = b""
        self.step = FIRST_WINDOW // 2
        self.encoding = EXPLICIT_LE
        self.open: list[_Open] = []
        self.found: dict[int, bytes] = {}
        self.kept: dict[int, bytes] = {}
        self.cuts: list[Cut] = []
        self.ends: list[tuple[int, int]] = []
        self.ticks: Iterator[None] = repeat(None, MAX_ELEMENTS)
        self.noted, self.noted_elements = _NOTED, _NOTED_ELEMENTS
        self.watched_tags = _NO_ELEMENTS
        self.watched: dict[int, bytes] = {}
        self.is_partial = False
        self.load()

    def watch(self, watch: Watch) -> None:
        """Keep elements of the top level in ``watched``, head and value as they stand, the first one of each tag.

        ``is_partial`` says afterwards that one of them is too long for that, or not as simple.
        """
        self.watched_tags, self.noted, self.noted_elements = watch

    # --- the window

    def load(self) -> None:
        """Read a window at ``pos``: longer and longer where the walk is dense, short after a long jump."""
        near = self.pos <= self.base + len(self.window) + self.step
        self.step = min(self.step * 2, MAX_WINDOW) if near else JUMP_WINDOW
        wanted = min(self.step, self.size - self.pos)
        window = self.read(self.pos, wanted) if wanted else b""
        if len(window) < wanted:
            at = self.pos + len(window)
            raise cut_off(f"{self.what} ends at byte {at}, though its size was said to be {self.size}")
        # Lets the last element's header be unpacked as if it were the longer form; skip() then finds it too long.
        self.window = window + bytes(4) if self.pos + wanted == self.size else window
        self.base = self.pos

    def remaining(self) -> int:
        return self.size - self.pos

    def need(self, length: int) -> int:
        """The place of ``pos`` in a window that holds ``length`` bytes from there, as far as the object has them."""
        if self.pos + length > self.base + len(self.window):
            self.load()
        return self.pos - self.base

    def peek(self) -> Head:
        """Tag, VR, header length and value length of the element or item at ``pos``; see ``read_head``."""
        at = self.pos - self.base
        if at + 16 > len(self.window):
            at = self.need(16)
        try:
            tag, vr, value, length = read_head(self.window, at, at + self.size - self.pos, self.encoding)
        except InvalidArgument:
            group, element, _ = self.encoding.item.unpack_from(self.window, at)
            raise self.truncated(group << 16 | element, self.pos, 12, 0) from None
        return tag, vr, value - at, length

    def skip(self, tag: int, header: int, length: int) -> None:
        if length == UNDEFINED:
            raise malformed(f"{tag_name(tag)} at byte {self.pos} has an undefined length, not allowed there")
        if header + length > self.size - self.pos:
            raise self.truncated(tag, self.pos, header, length)
        self.pos += header + length

    def truncated(self, tag: int, start: int, header: int, length: int) -> InvalidArgument:
        name = tag_name(tag)
        if tag == ITEM and self.open:
            name = f"an item of {tag_name(self.open[-1].tag)}"
        left = self.size - start - header
        if left < 0:
            return cut_off(f"{self.what} ends inside the header of {name} at byte {start}")
        return cut_off(
            f"{name} declares {length} bytes but {self.what} ends after {left} (value begins at byte {start + header})"
        )

    def note(self, tag: int, header: int, length: int) -> None:
        """Keep the UID at ``pos``, or another short value."""
        if tag in self.watched_tags:
            self.keep(tag, header, length)
            if tag not in _NOTED:
                return
        if tag in _KEPT:
            if length <= MAX_KEPT_VALUE and header + length <= self.remaining():
                at = self.need(header + length) + header
                self.kept.setdefault(tag, self.order(self.window[at : at + length], at - header))
            return
        if length > MAX_UID_VALUE:
            if header + length > self.remaining():
                raise self.truncated(tag, self.pos, header, length)
            raise InvalidArgument(
                f"{tag_name(tag)} has {length} characters, more than the 64 of a UID", kind=Reason.INVALID_UID
            )
        at = self.need(header + length) + header
        value = self.window[at : at + length]
        known = self.found.setdefault(tag, value)
        if known is not value and known.rstrip(b"\0 ") != value.rstrip(b"\0 "):
            raise malformed(f"{tag_name(tag)} occurs twice with different values, again at byte {self.pos}")

    def order(self, value: bytes, at: int) -> bytes:
        """A value in the byte order of the others: as UN, which begins ``at``, it is little endian (PS3.5 §6.2.2)."""
        is_swapped = self.encoding is EXPLICIT_BE and self.window[at + 4 : at + 6] == b"UN" and len(value) == 2
        return value[::-1] if is_swapped else value

    def keep(self, tag: int, header: int, length: int) -> None:
        """Keep the element at ``pos``."""
        if length > MAX_WATCHED_VALUE or header + length > self.remaining():
            self.is_partial = True
            return
        at = self.need(header + length)
        self.watched.setdefault(tag, self.window[at : at + header + length])

    # --- the walk

    def dataset(self, declared: Encoding) -> None:
        """Walk from ``pos`` to the end of the object."""
        self.encoding = self.actual(declared)
        self.end = self.size
        if not self.watched_tags:
            passed = self.pass_known(_KNOWN[self.encoding])
            self.last, self.ticks = passed.last, repeat(None, MAX_ELEMENTS - passed.elements)
        while True:
            if self.open and not self.open[-1].is_item:
                self.items()
            else:
                self.elements()
            if self.size - self.pos < 8:
                break
            self.structure()
        if self.open:
            last = self.open[-1]
            what = f"an item of {tag_name(last.tag)}" if last.is_item else tag_name(last.tag)
            raise cut_off(f"{self.what} ends inside {what}, which begins at byte {last.start}")
        if self.remaining():
            if not self.is_padding():
                raise cut_off(f"{self.what} ends inside the header of an element, at byte {self.pos}")
            self.end = self.pos

    def pass_known(self, known: KnownHeads) -> Passed:
        """Pass elements that stand at ``pos`` as they did in other files, if any."""
        start = self.pos - self.base
        limit = min(start + self.remaining(), len(self.window))
        passed = known.follow(self.window, start, limit, (self.found, self.kept))
        self.pos = self.base + passed.at
        return passed

    def actual(self, declared: Encoding) -> Encoding:
        """The encoding of the first element: VR letters or not, whatever the transfer syntax says."""
        if self.remaining() < 8:
            return declared
        at = self.need(8)
        vr, (length,) = self.window[at + 4 : at + 6], IMPLICIT_LE.length.unpack_from(self.window, at + 4)
        if declared.explicit:
            fits = length == UNDEFINED or length <= self.remaining() - 8
            letters = (vr.isalpha() and vr.isupper()) or vr in PLACEHOLDERS
            return declared if letters or not fits else IMPLICIT_LE
        return EXPLICIT_LE if vr in SHORT or vr in LONG else declared

    def elements(self) -> None:
        """Pass over elements of defined length (PS3.5 §7.1) up to something else, or to the end. The hot loop."""
        encoding = self.encoding
        explicit, unpack, unpack_length = encoding.explicit, encoding.element.unpack_from, encoding.length.unpack_from
        short_vrs, long_vrs, undefined = SHORT, LONG, UNDEFINED
        noted = self.noted
        noted_elements, long_value = (_NO_ELEMENTS, undefined) if self.open else (self.noted_elements, LONG_VALUE)
        window, size, at = self.window, self.size, self.pos - self.base
        limit = len(window) - 12
        start, tag, header, length = at, self.last, 8, 0  # start and at are places in the window
        group, element, vr = tag >> 16, tag & 0xFFFF, b""
        for _ in self.ticks:
            if at > limit:
                self.pos = self.base + at
                if self.pos > size:
                    raise self.truncated(group << 16 | element, self.base + start, header, length)
                if size - self.pos < 8:
                    break
                self.load()
                window, at, limit = self.window, 0, len(self.window) - 12
            if explicit:
                next_group, next_element, vr, next_length = unpack(window, at)
                if vr in short_vrs:
                    header = 8
                elif vr in long_vrs:
                    next_length = unpack_length(window, at + 8)[0]
                    if next_length == undefined:
                        break
                    header = 12
                else:
                    break
            else:
                next_group, next_element, next_length = unpack(window, at)
                if next_length == undefined or next_group == 0xFFFE or not next_group:
                    break
            group, element, length = next_group, next_element, next_length
            if element in noted_elements and (tag := group << 16 | element) in noted:
                self.pos = self.base + at
                self.note(tag, header, length)
                window, at, limit = self.window, self.pos - self.base, len(self.window) - 12
            if length > long_value or group >= 0x7FE0:
                if group == 0xFFFE:  # PS3.5 §7.5: no item or delimiter has a VR
                    raise malformed(f"{tag_name(group << 16 | element)} has a VR at byte {self.base + at}")
                self.cut(group << 16 | element, vr.decode() if explicit else "", Cut(self.base + at, header, length))
            start = at
            at += header + length
        else:
            raise malformed(_TOO_MANY)
        self.pos, self.last = self.base + at, group << 16 | element

    def cut(self, tag: int, vr: str, value: Cut) -> None:
        """Note a value that header bytes leave out. In implicit form nobody knows which private values are binary."""
        if self.open:
            return
        if tag in PIXEL_TAGS:
            self.cuts.append(value)
        elif value.length > LONG_VALUE:
            vr = vr or vr_of(tag)
            is_binary = vr in BINARY or "OW" in vr
            if value.length > (LONG_VALUE if is_binary else LONG_SEQUENCE):
                self.cuts.append(value._replace(is_sequence=vr == "SQ"))

    def items(self) -> None:
        """Pass over items of defined length (PS3.5 §7.5), which are also the fragments of Pixel Data (§A.4)."""
        unpack, size = self.encoding.item.unpack_from, self.size
        for _ in self.ticks:
            if size - self.pos < 8:
                return
            at = self.need(8)
            group, element, length = unpack(self.window, at)
            if element != 0xE000 or group != 0xFFFE or length == UNDEFINED:
                return
            self.skip(ITEM, 8, length)
        raise malformed(_TOO_MANY)

    def structure(self) -> None:
        """Handle what the loops leave alone: delimiters, undefined lengths, and elements without a known VR."""
        tag, vr, header, length = self.peek()
        parent = self.open[-1] if self.open else None
        if parent is None and tag in self.watched_tags:
            self.is_partial = True
        expects_item = parent is not None and not parent.is_item
        if tag in _DELIMITERS:
            if parent is None or parent.is_item != (tag == ITEM_END):
                raise malformed(f"a delimitation item {tag_name(tag)} stands out of place at byte {self.pos}")
            self.encoding, self.last = parent.outer, parent.tag
            self.open.pop()
            self.pos += 8
            if not self.open:
                value = parent.start + parent.header
                self.ends.append((value, self.pos - 8))
                self.cut(parent.tag, parent.vr, Cut(parent.start, parent.header, self.pos - value))
        elif expects_item != (tag == ITEM):
            found, where = ("an item", "between elements") if tag == ITEM else (tag_name(tag), "between items")
            raise malformed(f"{found} stands {where} at byte {self.pos}")
        elif length == UNDEFINED:
            self.enter(tag, vr, header)
        elif tag == 0 and not self.open:
            if not self.is_padding():
                raise malformed(f"zeros stand where an element should begin, at byte {self.pos}")
            self.end, self.pos = self.pos, self.size
        else:
            if not self.open and tag in _NOTED:
                self.note(tag, header, length)
            start = self.pos
            self.skip(tag, header, length)
            self.cut(tag, vr, Cut(start, header, length))
            self.last = tag

    def enter(self, tag: int, vr: str, header: int) -> None:
        """Go inside an undefined length: an item, a sequence, or the fragments of encapsulated Pixel Data."""
        outer, fragments = self.encoding, False
        if tag == ITEM:
            if self.open[-1].fragments:
                self.skip(self.open[-1].tag, header, UNDEFINED)
            tag = self.open[-1].tag
        elif are_fragments(tag, vr):
            fragments = True
        elif vr in ("", "UN", "SQ"):
            self.encoding = inner_encoding(vr, outer)
        else:
            self.skip(tag, header, UNDEFINED)
        if len(self.open) >= 2 * MAX_LEVELS:
            raise malformed(f"sequences are nested deeper than {MAX_LEVELS} levels at byte {self.pos}")
        is_item = bool(self.open) and not self.open[-1].is_item
        self.open.append(_Open(is_item, fragments, tag, self.pos, outer, vr, header))
        self.pos += header

    def is_padding(self) -> bool:
        """Whether the rest is zeros after a complete dataset; see the tolerances above."""
        rest = self.remaining()
        if rest > MAX_PADDING or rest < (1 if self.last >= PIXEL_DATA else 2):
            return False
        at = self.need(min(rest, 4))
        return not any(self.window[at : at + 4]) and not any(self.read(self.pos, rest))
