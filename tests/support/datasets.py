"""Instances as writers really make them, one for each oddity, byte by byte and without a library.

``KINDS`` gives the elements of each oddity in an encoding; ``FILES`` are whole Part 10 files of all of them. Every one
has the four UIDs and 2 × 2 pixels of 8 bits, and ``gantry.dicom.part10`` says that it is tolerated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence

from tests.support.plain_reader import BIG, EXPLICIT, IMPLICIT, LONG, UNDEFINED, WORDS, Encoding

EXPLICIT_UID, IMPLICIT_UID = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_UID, DEFLATED_UID, JPEG_UID = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
SYNTAXES = {EXPLICIT_UID: EXPLICIT, IMPLICIT_UID: IMPLICIT, BIG_UID: BIG, DEFLATED_UID: EXPLICIT}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
CREATOR, PRIVATE = 0x00090010, 0x00091001
REQUESTS, PROCEDURES, VOI_LUTS, WAVEFORMS, ICONS = 0x00400275, 0x00081032, 0x00283010, 0x54000100, 0x00880200
PIXELS = b"\0\x50\xa0\xf0"

Made = tuple[int, bytes]
"""A tag, and the whole element with that tag."""


# --- elements


def number(tag: int, value: int, encoding: Encoding) -> Made:
    """A US."""
    return element(tag, "US", struct.pack("<H", value), encoding)


def element(tag: int, vr: str, value: bytes | str, encoding: Encoding, length: int | None = None) -> Made:
    """``value`` is little endian, and is written in the order of the encoding. It is not padded."""
    data = value.encode() if isinstance(value, str) else value
    if encoding.order == ">":
        data = _swapped(data, WORDS.get(vr, 1))
    return tag, head(tag, vr, len(data) if length is None else length, encoding) + data


def head(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    """Tag, VR and length (PS3.5 §7.1). A VR of two other characters gets a 16-bit length; "" gets the implicit form."""
    order = encoding.order
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not encoding.explicit or not vr or tag >> 16 == 0xFFFE:
        return start + struct.pack(order + "I", length)
    return start + vr.encode() + struct.pack(order + ("xxI" if vr in LONG else "H"), length)


def sequence(
    tag: int, items: Iterable[Sequence[Made]], encoding: Encoding, *, vr: str = "SQ", defined: bool = True
) -> Made:
    """A sequence of items; under ``UN`` or ``""`` in explicit VR its inside is implicit little endian (§6.2.2)."""
    inner = encoding if vr == "SQ" or not encoding.explicit else IMPLICIT
    value = b"".join(item(elements, inner, defined=defined) for elements in items)
    if not defined:
        value += head(SEQUENCE_END, "", 0, inner)
    return tag, head(tag, vr, len(value) if defined else UNDEFINED, encoding) + value


def item(elements: Sequence[Made], encoding: Encoding, *, defined: bool = True) -> bytes:
    value = b"".join(data for _, data in elements)
    if defined:
        return head(ITEM, "", len(value), encoding) + value
    return head(ITEM, "", UNDEFINED, encoding) + value + head(ITEM_END, "", 0, encoding)


def fragments(tag: int, values: Sequence[bytes], encoding: Encoding = EXPLICIT) -> Made:
    """Encapsulated pixel data with an empty offset table (PS3.5 §A.4)."""
    value = b"".join(head(ITEM, "", len(each), encoding) + each for each in (b"", *values))
    return tag, head(tag, "OB", UNDEFINED, encoding) + value + head(SEQUENCE_END, "", 0, encoding)


def _swapped(data: bytes, size: int) -> bytes:
    whole = len(data) // size * size
    return b"".join(data[at : at + size][::-1] for at in range(0, whole, size)) + data[whole:]


# --- files


def part10(
    body: bytes,
    syntax: str,
    *,
    sop: str = "1.2.826.0.9.1",
    left_out: Sequence[int] = (),
    more: Sequence[Made] = (),
    group_length: int | None = None,
) -> bytes:
    """A file with a meta group (PS3.10 §7.1), ``left_out`` of which some elements may be; 0 leaves out its length."""
    meta = {
        1: element(0x00020001, "OB", b"\0\1", EXPLICIT),
        2: element(0x00020002, "UI", _even(SECONDARY_CAPTURE), EXPLICIT),
        3: element(0x00020003, "UI", _even(sop), EXPLICIT),
        0x10: element(0x00020010, "UI", _even(syntax), EXPLICIT),
        0x12: element(0x00020012, "UI", _even("1.2.826.0.1.3680043.10.1"), EXPLICIT),
    } | {tag & 0xFFFF: (tag, data) for tag, data in more}
    group = b"".join(meta[number][1] for number in sorted(meta) if number not in left_out)
    length = struct.pack("<I", len(group) if group_length is None else group_length)
    start = b"" if 0 in left_out else element(0x00020000, "UL", length, EXPLICIT)[1]
    if syntax == DEFLATED_UID:
        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(body) + deflater.flush()
    return bytes(128) + b"DICM" + start + group + body


def dataset(
    more: Sequence[Made],
    encoding: Encoding,
    *,
    uids: tuple[str, str, str] = ("1.2.826.0.9", "1.2.826.0.9.0", "1.2.826.0.9.1"),
    pixels: Made | None = None,
) -> bytes:
    """The elements that every instance needs, and ``more``, which take the place of those with the same tag."""
    found = [
        element(0x00080016, "UI", _even(SECONDARY_CAPTURE), encoding),
        element(0x00080018, "UI", _even(uids[2]), encoding),
        element(0x00080020, "DA", "20240102", encoding),
        element(0x00080060, "CS", "OT", encoding),
        element(0x00100010, "PN", "Doe^Jane", encoding),
        element(0x00100020, "LO", "P1", encoding),
        element(0x0020000D, "UI", _even(uids[0]), encoding),
        element(0x0020000E, "UI", _even(uids[1]), encoding),
        element(0x00280004, "CS", "MONOCHROME2 ", encoding),
        element(0x7FE00010, "OB" if encoding.explicit else "OW", PIXELS, encoding) if pixels is None else pixels,
    ]
    image = {0x02: 1, 0x10: 2, 0x11: 2, 0x100: 8, 0x101: 8, 0x102: 7}
    found += [number(0x00280000 | tag, value, encoding) for tag, value in image.items()]
    taken = {tag for tag, _ in more}
    kept = [*(each for each in found if each[0] not in taken), *more]
    return b"".join(data for _, data in sorted(kept, key=lambda pair: pair[0]))


def _even(uid: str) -> str:
    return uid + "\0" * (len(uid) % 2)


# --- oddities of values


def _texts(e: Encoding) -> list[Made]:
    """Names in ISO 2022, in an item with a character set of its own, with delimiters, padding and bytes of no text."""
    japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    inner = [
        element(0x00080005, "CS", "\\ISO 2022 IR 58", e),
        element(0x00321060, "LO", b"\x1b$)A\xd5\xc5^\xd0\xa1\xb6\xab ", e),
        element(0x00400007, "LO", b"abc\0", e),
    ]
    return [
        element(0x00080005, "CS", "\\ISO 2022 IR 87 ", e),
        element(0x00080090, "PN", b"A^B==  ", e),
        element(0x00100010, "PN", japanese + b" " * (len(japanese) % 2), e),
        element(0x00104000, "LT", b"line\r\n\x1b$B=P=U ", e),
        sequence(REQUESTS, [inner], e),
    ]


def _undecodable(e: Encoding) -> list[Made]:
    return [
        element(0x00080005, "CS", "ISO_IR 192", e),
        element(0x00080080, "LO", b"H\xf4pital\0", e),
        element(0x00100010, "PN", b"M\xfcller^J\xf6rg=", e),
        sequence(REQUESTS, [[element(0x00080005, "CS", "NO SUCH ", e), element(0x00400007, "LO", b"\xe9\xff", e)]], e),
    ]


def _odd_lengths(e: Encoding) -> list[Made]:
    return [
        element(0x00080050, "SH", "ABC", e),
        element(0x00181310, "US", b"\1", e),
        element(0x00189073, "FD", b"\0\0\x80\x3f", e),
        element(0x00209157, "UL", b"\1\2", e),
        element(0x00280009, "AT", b"\x18\0\x63\x10\x20\0", e),
        element(PRIVATE, "OB", b"\1\2\3", e),
        element(CREATOR, "LO", "MAKER", e),
        element(0x00281101, "US", struct.pack("<HHH", 256, 0, 16), e),
        element(0x00281201, "OW", b"\1\2\3", e),
    ]


def _numbers(e: Encoding) -> list[Made]:
    return [
        element(0x00200011, "IS", "9" * 5000, e),
        element(0x00180050, "DS", "1e400 ", e),
        element(0x00181041, "DS", "abc\\1_0\\\\nan ", e),
        element(0x00280030, "DS", "0.50\\+.5", e),
        element(0x00189087, "FD", struct.pack("<dd", float("nan"), float("inf")), e),
    ]


def _words(e: Encoding) -> list[Made]:
    """A value of every VR that has words, at the top and in an item."""
    vrs = ["AT", "FD", "FL", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"]
    inside = [element(0x00091010 + n, vr, bytes(range(1, 17)), e) for n, vr in enumerate(vrs)]
    creator = element(CREATOR, "LO", "MAKER ", e)
    return [creator, *inside, sequence(REQUESTS, [[creator, *inside]], e)]


# --- oddities of VRs


def _placeholders(e: Encoding) -> list[Made]:
    """In place of a VR; the length has 16 bits."""
    vrs = ("  ", "--", "??")
    values = [element(PRIVATE + n, vr, b"abcd", e) for n, vr in enumerate(vrs)]
    creator = element(CREATOR, "LO", "ME", e)
    return [creator, *values, sequence(REQUESTS, [[creator, *values]], e), element(0x00181030, "??", "PROTOCOL", e)]


def _unknown_vrs(e: Encoding) -> list[Made]:
    long = head(0x00091002, "", 0, e)[:4] + b"ZZ\0\0" + struct.pack(e.order + "I", 6) + b"abcdef"
    return [
        element(CREATOR, "LO", "ME", e),
        element(PRIVATE, "ZZ", b"abcd", e),
        (0x00091002, long),
        element(0x00091003, "ZZ", b"", e),
    ]


def _ambiguous(e: Encoding) -> list[Made]:
    """What the dictionary leaves a choice for, without what would decide it."""
    lut = [
        element(0x00283002, "US", struct.pack("<HHH", 4, 0, 16), e),
        element(0x00283006, "US", struct.pack("<HHHH", 0, 100, 200, 65535), e),
    ]
    return [
        element(0x00280106, "US", b"\0\0", e),
        element(0x00280107, "US", b"\xff\xff", e),
        element(0x00280120, "SS", b"\xff\xff", e),
        sequence(VOI_LUTS, [lut], e),
        element(0x50000005, "US", b"\2\0", e),
        element(0x50000103, "US", b"\0\0", e),
        element(0x50003000, "OW", b"\1\0\2\0\3\0\4\0", e),
        element(0x60000010, "US", b"\2\0", e),
        element(0x60003000, "OW", b"\x09\0", e),
    ]


def _unknown(e: Encoding) -> list[Made]:
    """Public elements and private creators that somebody wrote as UN."""
    codes = [[element(0x00080100, "SH", "C1", IMPLICIT), element(0x00080104, "LO", "Meaning ", IMPLICIT)]]
    return [
        element(CREATOR, "UN", "MAKER ", e),
        element(PRIVATE, "UN", b"\1\0\2\0", e),
        element(0x00081030, "UN", "Abdomen ", e),
        element(0x00180088, "UN", "1.5 ", e),
        element(0x00280106, "UN", b"\5\0", e),
        sequence(PROCEDURES, codes, e, vr="UN"),
        sequence(0x00081110, [[element(0x00081150, "UI", "1.2\0", IMPLICIT)]], e, vr="UN", defined=False),
    ]


def _implicit_parts(e: Encoding) -> list[Made]:
    """Private sequences that were copied out of an implicit file unchanged."""
    inside = [element(PRIVATE, "", b"abcd", IMPLICIT), sequence(0x00091002, [[]], IMPLICIT, defined=False)]
    return [
        element(CREATOR, "LO", "MAKER ", e),
        sequence(0x00091003, [inside, []], e, vr="UN", defined=False),
        sequence(0x00091004, [inside], e, vr="", defined=False),
        sequence(0x00091005, [inside], e, vr=""),
        element(0x00091006, "", b"efgh", e),
    ]


def _private(e: Encoding) -> list[Made]:
    """Private elements at every depth, and a private binary value in the sequence that searches answer with."""
    creator = element(CREATOR, "LO", "MAKER ", e)
    blob = element(0x00091002, "OB", bytes(range(64)), e)
    deep = sequence(0x00091003, [[creator, blob], []], e, defined=False)
    return [creator, blob, deep, sequence(REQUESTS, [[creator, blob, deep]], e)]


# --- oddities of lengths


def _long(e: Encoding) -> list[Made]:
    """Values that the index leaves out, and one too long for the 16 bits of its VR: then UN (PS3.5 §6.2.2)."""
    vr = "UN" if e.explicit else "LO"
    lengthy = [[element(0x00181000, "LO", "S" * 300, e)]] * 4000
    return [
        element(0x00081030, vr, "x" * 70_000, e),
        element(CREATOR, "LO", "MAKER ", e),
        element(PRIVATE, "OB", bytes(range(256)) * 40, e),
        element(0x00281201, "OW", bytes(range(256)) * 40, e),
        sequence(WAVEFORMS, lengthy, e),
        element(0x60003000, "OW", bytes(range(256)) * 40, e),
    ]


def _group_lengths(e: Encoding) -> list[Made]:
    length = struct.pack("<I", 12)
    inside = [element(0x00080000, "UL", length, e), element(0x00080100, "SH", "C1", e)]
    return [
        element(0x00080000, "UL", length, e),
        element(0x00280000, "UL", length, e),
        sequence(PROCEDURES, [inside], e),
        element(0xFFFCFFFC, "OB", bytes(32), e),
    ]


def _sequences(e: Encoding) -> list[Made]:
    """Empty ones and empty items, lengths of both kinds in each other, delimiters with a length."""
    code = [element(0x00080100, "SH", "C1", e)]
    mixed = item(code, e) + item(code, e, defined=False)
    odd_ends = item(code, e, defined=False)[:-4] + b"abcd"
    end = head(SEQUENCE_END, "", 0, e)
    return [
        sequence(0x00081110, [], e),
        sequence(0x00081140, [], e, defined=False),
        sequence(PROCEDURES, [[], code], e),
        (0x00081111, head(0x00081111, "SQ", UNDEFINED, e) + mixed + end),
        (0x00081115, head(0x00081115, "SQ", UNDEFINED, e) + odd_ends + end[:-4] + b"\1\2\3\4"),
        sequence(REQUESTS, [[sequence(0x00400008, [code, []], e, defined=False)]], e),
    ]


def nested(levels: int, encoding: Encoding, *, defined: bool = True, tag: int = REQUESTS) -> Made:
    """Sequences in each other; a CodeValue stands in the innermost item."""
    inner: list[Made] = [element(0x00080100, "SH", "C1", encoding)]
    for _ in range(levels):
        inner = [sequence(tag, [inner], encoding, defined=defined)]
    return inner[0]


def _nested_defined(e: Encoding) -> list[Made]:
    return [nested(100, e)]


def _nested_undefined(e: Encoding) -> list[Made]:
    return [nested(100, e, defined=False)]


def _deep_defined(e: Encoding) -> list[Made]:
    return [nested(200, e)]


def _deep_undefined(e: Encoding) -> list[Made]:
    return [nested(200, e, defined=False)]


def _duplicates(e: Encoding) -> list[Made]:
    twice = [element(0x00081030, "LO", "First ", e), element(0x00081030, "LO", "Second", e)]
    return [*twice, sequence(REQUESTS, [twice], e)]


def _pixels_of_16_bits(e: Encoding) -> list[Made]:
    return [
        *(number(0x00280000 | tag, value, e) for tag, value in {0x100: 16, 0x101: 16, 0x102: 15}.items()),
        element(0x7FE00010, "OW", bytes(range(1, 9)), e),
    ]


def _float_pixels(e: Encoding) -> list[Made]:
    return [number(0x00280100, 32, e), element(0x7FE00008, "OF", bytes(range(1, 17)), e), (0x7FE00010, b"")]


Kind = Callable[[Encoding], list[Made]]
KINDS: dict[str, Kind] = {
    "texts": _texts,
    "undecodable": _undecodable,
    "odd-lengths": _odd_lengths,
    "numbers": _numbers,
    "words": _words,
    "ambiguous-vrs": _ambiguous,
    "unknown-vr-un": _unknown,
    "private": _private,
    "long": _long,
    "group-lengths": _group_lengths,
    "sequences": _sequences,
    "nested-100-defined": _nested_defined,
    "nested-100-undefined": _nested_undefined,
    "nested-200-defined": _deep_defined,
    "nested-200-undefined": _deep_undefined,
    "duplicates": _duplicates,
    "16-bits": _pixels_of_16_bits,
    "float-pixels": _float_pixels,
}
EXPLICIT_KINDS: dict[str, Kind] = {
    "placeholder-vrs": _placeholders,
    "no-such-vrs": _unknown_vrs,
    "implicit-parts": _implicit_parts,
}


def _files() -> dict[str, bytes]:
    names = {EXPLICIT_UID: "explicit", IMPLICIT_UID: "implicit", BIG_UID: "big-endian", DEFLATED_UID: "deflated"}
    made = {}
    for syntax, encoding in SYNTAXES.items():
        kinds = KINDS | EXPLICIT_KINDS if encoding is EXPLICIT else KINDS
        for name, kind in kinds.items():
            made[f"{name}-{names[syntax]}"] = part10(dataset(kind(encoding), encoding), syntax)
    return made | _odd_files()


def _odd_files() -> dict[str, bytes]:
    """What is odd about the whole file and not about an element."""
    explicit, implicit = dataset([], EXPLICIT), dataset([], IMPLICIT)
    more = [element(0x00020102, "OB", b"\1\2\3\4", EXPLICIT), element(0x00020100, "UI", "1.2\0", EXPLICIT)]
    return {
        "padded": part10(explicit + bytes(512), EXPLICIT_UID),
        "padded-implicit": part10(implicit + bytes(512), IMPLICIT_UID),
        "one-zero-more": part10(explicit + b"\0", EXPLICIT_UID),
        "declares-explicit-is-implicit": part10(implicit, EXPLICIT_UID),
        "declares-implicit-is-explicit": part10(explicit, IMPLICIT_UID),
        "poor-meta": part10(explicit, EXPLICIT_UID, left_out=(1, 2, 3, 0x12)),
        "poor-meta-implicit": part10(implicit, IMPLICIT_UID, left_out=(1, 2, 3, 0x12)),
        "no-group-length": part10(implicit, IMPLICIT_UID, left_out=(0,)),
        "wrong-group-length": part10(implicit, IMPLICIT_UID, group_length=7),
        "private-meta": part10(explicit, EXPLICIT_UID, more=more),
    }


FILES = _files()
