"""Identify a DICOM Part 10 instance from a few short reads, and prove that its structure reaches its end.

This is the hot path of an import and it reads untrusted bytes. Values are jumped over, never loaded; sequences and
items of defined length are passed in one step; only where a length is undefined does the walk go inside, with a
stack of its own. Memory is one window of at most ``MAX_WINDOW`` bytes, whatever the lengths in the file claim.

Tolerances, each needed by files that are in circulation and that other toolkits read:

* The group length of the file meta group may be missing or wrong: the group ends where group 0002 ends.
* The dataset's UIDs identify the instance; the copies in the meta group may disagree or be absent.
* An unknown transfer syntax is read as Explicit VR Little Endian, as every one since 1996 is (PS3.5 §A.4).
* A dataset whose first element contradicts the declared transfer syntax (implicit for explicit VR, or the reverse)
  is read as it is encoded.
* In explicit VR, an element without a value representation is read in implicit form, and all of its items with it:
  some writers copy private sequences unchanged. One of two blanks, hyphens or question marks has a 16-bit length.
* An unknown VR has a 16-bit length, unless that would be zero and no element followed: then the 32-bit form of
  PS3.5 §7.1.2, which newer VRs have.
* Delimitation items may carry a length, which is ignored. Elements may be in any order.
* A gzip trailer may follow a deflated dataset, if its checksum and length are those of the dataset.
* Zeros may follow the last element, up to ``MAX_PADDING`` bytes (storage in blocks, an odd-length fragment padded at
  the wrong place): no dataset holds group 0000. A single zero only after Pixel Data, as it could be the first byte of
  an element elsewhere. Dataset Trailing Padding (FFFC,FFFC) is an ordinary element (PS3.10 §7.2).

Not tolerated: a missing Sequence or Item Delimitation Item at the end, because a truncated upload looks the same.
A file cut exactly between two top-level elements cannot be told from a complete one, here or anywhere.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from struct import Struct, pack
from typing import NamedTuple

from gantry.errors import InvalidArgument

ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, length)`` gives at most ``length`` bytes, fewer only at the end of the object."""

FIRST_WINDOW = 16 * 1024
MAX_WINDOW = 256 * 1024
JUMP_WINDOW = 4 * 1024
MAX_DEPTH = 512
MAX_ELEMENTS = 10_000_000
MAX_META_ELEMENTS = 1000
MAX_INFLATED = 2 * 1024**3
MAX_PADDING = 64 * 1024
MAX_UID_VALUE = 256
INFLATE_CHUNK = 64 * 1024

_TOO_MANY = f"the dataset has more than {MAX_ELEMENTS} elements"

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = frozenset((_ITEM_END, _SEQUENCE_END))
_TRANSFER_SYNTAX, _MEDIA_CLASS, _PIXEL_DATA = 0x00020010, 0x00020002, 0x7FE00010
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_UIDS = {
    _TRANSFER_SYNTAX: "TransferSyntaxUID",
    _MEDIA_CLASS: "MediaStorageSOPClassUID",
    _STUDY: "StudyInstanceUID",
    _SERIES: "SeriesInstanceUID",
    _SOP_INSTANCE: "SOPInstanceUID",
    _SOP_CLASS: "SOPClassUID",
}
_UID_ELEMENTS = frozenset(tag & 0xFFFF for tag in (_STUDY, _SERIES, _SOP_INSTANCE, _SOP_CLASS))
_NO_ELEMENTS: frozenset[int] = frozenset()
_NAMES = _UIDS | {
    _PIXEL_DATA: "PixelData",
    0x52009229: "SharedFunctionalGroupsSequence",
    0x52009230: "PerFrameFunctionalGroupsSequence",
    0x54000100: "WaveformSequence",
    0x0040A730: "ContentSequence",
    0x00420011: "EncapsulatedDocument",
}

_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_VRS = _SHORT_VRS | _LONG_VRS
_PLACEHOLDER_VRS = frozenset((b"  ", b"--", b"??"))

_IMPLICIT_LE_UID = "1.2.840.10008.1.2"
_EXPLICIT_BE_UID = "1.2.840.10008.1.2.2"
_DEFLATED_UIDS = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
_DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")

_FOREIGN = (
    (b"\x1f\x8b", "a gzip stream"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "a bzip2 stream"),
    (b"\xfd7zXZ\x00", "an xz stream"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard stream"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What identifies an instance: the dataset's UIDs, and the transfer syntax of the file meta group."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class _Encoding:
    explicit: bool
    element: Struct  # group, element, VR and 16-bit length; in implicit VR group, element and 32-bit length
    item: Struct  # group, element and 32-bit length
    length: Struct


_EXPLICIT_LE = _Encoding(True, Struct("<HH2sH"), Struct("<HHI"), Struct("<I"))
_EXPLICIT_BE = _Encoding(True, Struct(">HH2sH"), Struct(">HHI"), Struct(">I"))
_IMPLICIT_LE = _Encoding(False, Struct("<HHI"), Struct("<HHI"), Struct("<I"))


class _Open(NamedTuple):
    """A sequence, fragment sequence or item of undefined length that the walk is inside of."""

    is_item: bool
    fragments: bool
    tag: int
    start: int
    outer: _Encoding


def read_header(read_at: ReadAt, size: int) -> Header:
    """Identify a Part 10 instance (PS3.10 §7) and prove that its structure reaches the end of the object.

    Every refusal is an ``InvalidArgument`` that says what is wrong and where. Study, Series and SOP Instance UID and
    SOP Class UID are taken from the top level of the dataset, the first occurrence of each; a second one with another
    value is refused, as readers would disagree about what the instance is. Reads go forward only; where a request is
    dear and a file has thousands of fragments, let ``read_at`` read ahead.
    """
    if size == 0:
        raise InvalidArgument("empty DICOM instance found: the object has no bytes")
    walk = _Walk(read_at, size, "the object")
    _require_part10(walk)
    transfer_syntax = _read_meta(walk)
    if transfer_syntax in _DEFLATED_UIDS:
        inflated = _Inflated(read_at, walk.pos, size)
        walk = _Walk(inflated.read_at, inflated.measure(), "the inflated dataset")
    walk.dataset(_encoding_of(transfer_syntax))
    return Header(
        study_instance_uid=_uid(walk.found, _STUDY),
        series_instance_uid=_uid(walk.found, _SERIES),
        sop_instance_uid=_uid(walk.found, _SOP_INSTANCE),
        sop_class_uid=_uid(walk.found, _SOP_CLASS),
        transfer_syntax_uid=transfer_syntax,
    )


def _require_part10(walk: _Walk) -> None:
    """PS3.10 §7.1: 128 bytes, "DICM", and a group 0002 in explicit VR. The letters may stand there by accident."""
    start = walk.window
    if start[128:132] != b"DICM":
        for magic, name in _FOREIGN:
            if start.startswith(magic):
                raise InvalidArgument(f"this is {name}, not a DICOM file")
        bare = ", though a dataset seems to begin at once" if start[:2] in _BARE_GROUPS else ""
        raise InvalidArgument(f"not a DICOM file: the 128-byte preamble and the DICM prefix are missing{bare}")
    if start[132:134] != b"\x02\x00" or start[136:138] not in _VRS:
        raise InvalidArgument("not a DICOM file: no file meta group (0002,xxxx) follows the letters DICM at byte 128")
    walk.pos = 132


_BARE_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def _read_meta(walk: _Walk) -> str:
    """Walk group 0002, leave ``walk`` at the dataset, and give the transfer syntax."""
    for _ in range(MAX_META_ELEMENTS):
        if walk.remaining() < 8:
            break
        tag, _vr, header, length = walk.peek()
        if tag >> 16 != 2:
            break
        if tag in (_TRANSFER_SYNTAX, _MEDIA_CLASS):
            walk.note(tag, header, length)
        walk.skip(tag, header, length)
    else:
        raise InvalidArgument(f"the file meta group has more than {MAX_META_ELEMENTS} elements")
    if walk.found.get(_MEDIA_CLASS, b"").rstrip(b"\0 ") == _DICOMDIR_CLASS.encode():
        raise InvalidArgument("this is a DICOMDIR (a media directory), which lists instances but is none itself")
    return _uid(walk.found, _TRANSFER_SYNTAX)


def _encoding_of(transfer_syntax: str) -> _Encoding:
    if transfer_syntax == _IMPLICIT_LE_UID:
        return _IMPLICIT_LE
    return _EXPLICIT_BE if transfer_syntax == _EXPLICIT_BE_UID else _EXPLICIT_LE


def _uid(found: dict[int, bytes], tag: int) -> str:
    """A UID as PS3.5 §9.1 has it, but for leading zeros in a component, which many identifiers in use contain."""
    where = "the file meta group" if tag == _TRANSFER_SYNTAX else "the dataset"
    if tag not in found:
        raise InvalidArgument(f"{_name(tag)} is missing from {where}")
    text = found[tag].rstrip(b"\0 ").decode("latin-1")
    if not text:
        raise InvalidArgument(f"{_name(tag)} is empty in {where}")
    if not _UID.fullmatch(text):
        raise InvalidArgument(f"{_name(tag)} is not digits in components separated by periods: {text[:64]!r}")
    if len(text) > 64:
        raise InvalidArgument(f"{_name(tag)} has {len(text)} characters, more than the 64 of a UID")
    return text


def _name(tag: int) -> str:
    text = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{_NAMES[tag]} {text}" if tag in _NAMES else text


class _Walk:
    """One pass over an object: ``pos`` in ``window``, which begins at ``base``; ``open`` is what we are inside of."""

    __slots__ = ("base", "encoding", "found", "last", "open", "pos", "read", "size", "step", "ticks", "what", "window")

    def __init__(self, read_at: ReadAt, size: int, what: str) -> None:
        self.read, self.size, self.what = read_at, size, what
        self.pos = self.base = self.last = 0
        self.window = b""
        self.step = FIRST_WINDOW // 2
        self.encoding = _EXPLICIT_LE
        self.open: list[_Open] = []
        self.found: dict[int, bytes] = {}
        self.ticks: Iterator[None] = repeat(None, MAX_ELEMENTS)
        self.load()

    # --- the window

    def load(self) -> None:
        """Read a window at ``pos``: longer and longer where the walk is dense, short after a long jump."""
        near = self.pos <= self.base + len(self.window) + self.step
        self.step = min(self.step * 2, MAX_WINDOW) if near else JUMP_WINDOW
        wanted = min(self.step, self.size - self.pos)
        window = self.read(self.pos, wanted) if wanted else b""
        if len(window) < wanted:
            at = self.pos + len(window)
            raise InvalidArgument(f"{self.what} ends at byte {at}, though its size was said to be {self.size}")
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

    def peek(self) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty in implicit form), header length and value length of the element or item at ``pos``."""
        at, encoding = self.need(12), self.encoding
        group, element, length = encoding.item.unpack_from(self.window, at)
        tag: int = group << 16 | element
        if not encoding.explicit or group == 0xFFFE:
            return tag, b"", 8, length
        vr = self.window[at + 4 : at + 6]
        short: int = encoding.element.unpack_from(self.window, at)[3]
        if vr in _SHORT_VRS or vr in _PLACEHOLDER_VRS:
            return tag, vr, 8, short
        if vr not in _LONG_VRS:
            if not (vr.isalpha() and vr.isupper()):
                return tag, b"", 8, length
            if short or self.element_follows():
                return tag, vr, 8, short
        return tag, vr, 12, encoding.length.unpack_from(self.window, at + 8)[0]

    def element_follows(self) -> bool:
        """Whether an element or a delimiter, or nothing, stands 8 bytes on."""
        at, rest = self.need(16) + 8, self.remaining() - 8
        item = self.encoding.item.unpack_from(self.window + bytes(8), at)
        return rest == 0 or item[0] == 0xFFFE or self.window[at + 4 : at + 6] in _VRS

    def skip(self, tag: int, header: int, length: int) -> None:
        if length == _UNDEFINED:
            raise InvalidArgument(f"{_name(tag)} at byte {self.pos} has an undefined length, not allowed there")
        if header + length > self.remaining():
            raise self.truncated(tag, self.pos, header, length)
        self.pos += header + length

    def truncated(self, tag: int, start: int, header: int, length: int) -> InvalidArgument:
        name = _name(tag)
        if tag == _ITEM and self.open:
            name = f"an item of {_name(self.open[-1].tag)}"
        left = self.size - start - header
        if left < 0:
            return InvalidArgument(f"{self.what} ends inside the header of {name} at byte {start}")
        return InvalidArgument(
            f"{name} declares {length} bytes but {self.what} ends after {left} (value begins at byte {start + header})"
        )

    def note(self, tag: int, header: int, length: int) -> None:
        """Keep the UID at ``pos``."""
        if length > MAX_UID_VALUE:
            if header + length > self.remaining():
                raise self.truncated(tag, self.pos, header, length)
            raise InvalidArgument(f"{_name(tag)} has {length} characters, more than the 64 of a UID")
        at = self.need(header + length) + header
        value = self.window[at : at + length]
        known = self.found.setdefault(tag, value)
        if known is not value and known.rstrip(b"\0 ") != value.rstrip(b"\0 "):
            raise InvalidArgument(f"{_name(tag)} occurs twice with different values, again at byte {self.pos}")

    # --- the walk

    def dataset(self, declared: _Encoding) -> None:
        """Walk from ``pos`` to the end of the object."""
        self.encoding = self.actual(declared)
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
            what = f"an item of {_name(last.tag)}" if last.is_item else _name(last.tag)
            raise InvalidArgument(f"{self.what} ends inside {what}, which begins at byte {last.start}")
        if self.remaining() and not self.is_padding():
            raise InvalidArgument(f"{self.what} ends inside the header of an element, at byte {self.pos}")

    def actual(self, declared: _Encoding) -> _Encoding:
        """The encoding of the first element: VR letters or not, whatever the transfer syntax says."""
        if self.remaining() < 8:
            return declared
        at = self.need(8)
        vr, (length,) = self.window[at + 4 : at + 6], _IMPLICIT_LE.length.unpack_from(self.window, at + 4)
        if declared.explicit:
            fits = length == _UNDEFINED or length <= self.remaining() - 8
            return declared if not fits or (vr.isalpha() and vr.isupper()) else _IMPLICIT_LE
        return _EXPLICIT_LE if vr in _VRS else declared

    def elements(self) -> None:
        """Pass over elements of defined length (PS3.5 §7.1) up to something else, or to the end. The hot loop."""
        encoding = self.encoding
        explicit, unpack, unpack_length = encoding.explicit, encoding.element.unpack_from, encoding.length.unpack_from
        short_vrs, long_vrs, undefined = _SHORT_VRS, _LONG_VRS, _UNDEFINED
        uid_elements = _NO_ELEMENTS if self.open else _UID_ELEMENTS
        window, base, pos, size = self.window, self.base, self.pos, self.size
        limit = len(window) - 12
        start, tag, header, length = pos, self.last, 8, 0
        group, element = tag >> 16, tag & 0xFFFF
        for _ in self.ticks:
            at = pos - base
            if at > limit:
                if pos > size:
                    raise self.truncated(group << 16 | element, start, header, length)
                if size - pos < 8:
                    break
                self.pos = pos
                self.load()
                window, base, at, limit = self.window, pos, 0, len(self.window) - 12
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
            if element in uid_elements and (tag := group << 16 | element) in _UIDS:
                self.pos = pos
                self.note(tag, header, length)
                window, base, limit = self.window, self.base, len(self.window) - 12
            start = pos
            pos += header + length
        else:
            raise InvalidArgument(_TOO_MANY)
        self.pos, self.last = pos, group << 16 | element

    def items(self) -> None:
        """Pass over items of defined length (PS3.5 §7.5), which are also the fragments of Pixel Data (§A.4)."""
        unpack, size = self.encoding.item.unpack_from, self.size
        for _ in self.ticks:
            if size - self.pos < 8:
                return
            at = self.need(8)
            group, element, length = unpack(self.window, at)
            if element != 0xE000 or group != 0xFFFE or length == _UNDEFINED:
                return
            self.skip(_ITEM, 8, length)
        raise InvalidArgument(_TOO_MANY)

    def structure(self) -> None:
        """Handle what the loops leave alone: delimiters, undefined lengths, and elements without a known VR."""
        tag, vr, header, length = self.peek()
        parent = self.open[-1] if self.open else None
        expects_item = parent is not None and not parent.is_item
        if tag in _DELIMITERS:
            if parent is None or parent.is_item != (tag == _ITEM_END):
                raise InvalidArgument(f"a delimitation item {_name(tag)} stands out of place at byte {self.pos}")
            self.encoding, self.last = parent.outer, parent.tag
            self.open.pop()
            self.pos += 8
        elif expects_item != (tag == _ITEM):
            found, where = ("an item", "between elements") if tag == _ITEM else (_name(tag), "between items")
            raise InvalidArgument(f"{found} stands {where} at byte {self.pos}")
        elif length == _UNDEFINED:
            self.enter(tag, vr, header)
        elif tag == 0 and self.is_padding():
            self.pos = self.size
        else:
            if not self.open and tag & 0xFFFF in _UID_ELEMENTS and tag in _UIDS:
                self.note(tag, header, length)
            self.skip(tag, header, length)
            self.last = tag

    def enter(self, tag: int, vr: bytes, header: int) -> None:
        """Go inside an undefined length: an item, a sequence, or the fragments of encapsulated Pixel Data."""
        outer, fragments = self.encoding, False
        if tag == _ITEM:
            if self.open[-1].fragments:
                self.skip(self.open[-1].tag, header, _UNDEFINED)
            tag = self.open[-1].tag
        elif vr in (b"OB", b"OW") or (tag == _PIXEL_DATA and vr in (b"", b"UN")):
            fragments = True
        elif vr in (b"", b"UN"):
            self.encoding = _IMPLICIT_LE  # PS3.5 §6.2.2, whatever the transfer syntax
        elif vr != b"SQ":
            self.skip(tag, header, _UNDEFINED)
        if len(self.open) >= 2 * MAX_DEPTH:
            raise InvalidArgument(f"sequences are nested deeper than {MAX_DEPTH} levels at byte {self.pos}")
        self.open.append(_Open(bool(self.open) and not self.open[-1].is_item, fragments, tag, self.pos, outer))
        self.pos += header

    def is_padding(self) -> bool:
        """Whether the rest is zeros after a complete dataset; see the tolerances above."""
        rest = self.remaining()
        if self.open or rest > MAX_PADDING or rest < (1 if self.last >= _PIXEL_DATA else 2):
            return False
        at = self.need(min(rest, 4))
        return not any(self.window[at : at + 4]) and not any(self.read(self.pos, rest))


class _Inflated:
    """A deflated dataset (PS3.5 §A.5) as something to read from, forward only, in the memory of one window.

    It is inflated twice, once for its size and once to be walked: nothing of what it claims to be reaches a disk.
    """

    def __init__(self, read_at: ReadAt, start: int, size: int) -> None:
        self.read, self.deflated_at, self.size = read_at, start, size
        self.rest = self.chunks()
        self.buffer, self.start = bytearray(), 0

    def measure(self) -> int:
        return sum(map(len, self.chunks()))

    def read_at(self, offset: int, length: int) -> bytes:
        while len(self.buffer) < offset - self.start + length and (chunk := next(self.rest, b"")):
            self.buffer += chunk
            passed = min(offset - self.start, len(self.buffer))
            del self.buffer[:passed]
            self.start += passed
        at = offset - self.start
        return bytes(self.buffer[at : at + length])

    def deflated(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        return self.read(offset, length) if length else b""

    def chunks(self) -> Iterator[bytes]:
        inflater, at, total, crc = zlib.decompressobj(-zlib.MAX_WBITS), self.deflated_at, 0, 0
        while not inflater.eof:
            data = inflater.unconsumed_tail
            if not data:
                data = self.deflated(at, INFLATE_CHUNK)
                at += len(data)
            try:
                chunk = inflater.decompress(data, INFLATE_CHUNK)
            except zlib.error as error:
                raise InvalidArgument(f"the deflated dataset is damaged before byte {at}: {error}") from error
            if not data and not chunk and not inflater.eof:
                raise InvalidArgument(f"the object ends at byte {at}, before the end of its deflated dataset")
            total += len(chunk)
            if total > MAX_INFLATED:
                raise InvalidArgument(f"the deflated dataset inflates to more than {MAX_INFLATED} bytes")
            crc = zlib.crc32(chunk, crc)
            yield chunk
        end = at - len(inflater.unused_data)
        rest = self.deflated(end, MAX_PADDING + 1)
        after = rest[8:] if rest.startswith(pack("<II", crc, total)) else rest
        if len(rest) > MAX_PADDING or any(after):
            raise InvalidArgument(f"{self.size - end} unknown bytes follow the deflated dataset at byte {end}")
