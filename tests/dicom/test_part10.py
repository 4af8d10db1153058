"""The rules of ``read_header``, one by one, on Part 10 files built by hand here."""

from __future__ import annotations

import random
import struct
import warnings
import zlib
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from tests.support.datasets import FILES, PIXELS
from tests.support.plain_reader import read_file

from gantry.dicom import deflated, walk
from gantry.dicom.part10 import InstanceIdentity, read_header
from gantry.errors import InvalidArgument

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
CT = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED = 0xFFFFFFFF
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


def element(tag: int, vr: bytes, value: bytes = b"", length: int | None = None, order: str = "<") -> bytes:
    """Explicit VR; ``length`` overrides the real one."""
    length = len(value) if length is None else length
    head = struct.pack(order + "HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + struct.pack(order + ("xxI" if vr in LONG else "H"), length) + value


def implicit(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes = b"", length: int | None = None, order: str = "<") -> bytes:
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END, SEQUENCE_END = implicit(0xFFFEE00D), implicit(0xFFFEE0DD)


def ui(tag: int, uid: str, order: str = "<") -> bytes:
    return element(tag, b"UI", uid.encode() + b"\0" * (len(uid) % 2), order=order)


def meta(syntax: str | None = EXPLICIT, sop_class: str = CT) -> bytes:
    body = element(0x00020001, b"OB", b"\0\1") + ui(0x00020002, sop_class) + ui(0x00020003, "1.9.9")
    body += ui(0x00020010, syntax) if syntax is not None else b""
    return element(0x00020000, b"UL", struct.pack("<I", len(body))) + body


def part10_file(dataset: bytes, syntax: str | None = EXPLICIT, **meta_options: str) -> bytes:
    return bytes(128) + b"DICM" + meta(syntax, **meta_options) + dataset


def uids(order: str = "<", **changed: str) -> bytes:
    values = {"sop_class": CT, "sop": "1.2.3.4", "study": "1.2.3", "series": "1.2.3.5"} | changed
    tags = {"sop_class": 0x00080016, "sop": 0x00080018, "study": 0x0020000D, "series": 0x0020000E}
    return b"".join(ui(tag, values[name], order) for name, tag in tags.items())


def implicit_uids() -> bytes:
    values = {0x00080016: CT + "\0", 0x00080018: "1.2.3.4\0", 0x0020000D: "1.2.3\0", 0x0020000E: "1.2.3.5\0"}
    return b"".join(implicit(tag, value.encode()) for tag, value in values.items())


def pixels(value: bytes = b"\1\2\3\4", length: int | None = None) -> bytes:
    return element(0x7FE00010, b"OW", value, length)


def fragments(*values: bytes) -> bytes:
    return element(0x7FE00010, b"OB", length=UNDEFINED) + item() + b"".join(map(item, values)) + SEQUENCE_END


def sequence(content: bytes, tag: int = 0x00081140, vr: bytes = b"SQ") -> bytes:
    return element(tag, vr, length=UNDEFINED) + content + SEQUENCE_END


class Source:
    """Bytes behind ``read_at``, with a count of what was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.calls, self.bytes = data, 0, 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= len(self.data) and length > 0
        self.calls += 1
        self.bytes += length
        return self.data[offset : offset + length]


def read(data: bytes) -> InstanceIdentity:
    return read_header(Source(data).read_at, len(data))


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read(data)
    return caught.value.message


def expected(syntax: str = EXPLICIT) -> InstanceIdentity:
    return InstanceIdentity("1.2.3", "1.2.3.5", "1.2.3.4", CT, syntax)


# --- what is stored


def test_the_dataset_identifies_the_instance_not_the_meta_group() -> None:
    assert read(part10_file(uids() + pixels())) == expected()


def test_implicit_vr() -> None:
    data = implicit_uids() + implicit(0x7FE00010, bytes(6))
    assert read(part10_file(data, IMPLICIT)) == expected(IMPLICIT)


def test_big_endian() -> None:
    data = uids(">") + element(0x7FE00010, b"OW", bytes(6), order=">")
    assert read(part10_file(data, BIG)) == expected(BIG)


def test_big_endian_sequences_of_undefined_length() -> None:
    content = item(element(0x00081150, b"UI", b"1.2\0", order=">"), UNDEFINED, ">")
    ends = struct.pack(">HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    nested = element(0x00081140, b"SQ", length=UNDEFINED, order=">") + content + ends
    assert read(part10_file(nested + uids(">"), BIG)) == expected(BIG)


def test_encapsulated_fragments_are_jumped_over() -> None:
    data = part10_file(uids() + fragments(*(bytes(100_000) for _ in range(5))), JPEG)
    source = Source(data)
    assert read_header(source.read_at, len(data)) == expected(JPEG)
    assert source.calls <= 7 and source.bytes < 50_000


def test_a_delimiter_inside_a_fragment_is_not_the_end() -> None:
    assert read(part10_file(uids() + fragments(SEQUENCE_END * 4, b"12"), JPEG)) == expected(JPEG)


def test_unknown_transfer_syntax_is_explicit_little_endian() -> None:
    assert read(part10_file(uids() + pixels(), "1.2.3.99")) == expected("1.2.3.99")


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG])
def test_implicit_dataset_under_an_explicit_syntax(syntax: str) -> None:
    data = implicit_uids() + implicit(0x7FE00010, item() + item(b"ab") + SEQUENCE_END, UNDEFINED)
    assert read(part10_file(data, syntax)) == expected(syntax)


def test_explicit_dataset_under_the_implicit_syntax() -> None:
    assert read(part10_file(uids() + pixels(), IMPLICIT)) == expected(IMPLICIT)


@pytest.mark.parametrize("trailer", [b"", b"\0", "gzip", "gzip and a pad"])
def test_deflated(trailer: bytes | str) -> None:
    dataset = uids() + element(0x00204000, b"LT", b"x" * 60_000) + pixels(bytes(1_000_000))
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(dataset) + deflater.flush()
    if isinstance(trailer, str):
        trailer = struct.pack("<II", zlib.crc32(dataset), len(dataset)) + (b"\0" if "pad" in trailer else b"")
    assert read(part10_file(stream + trailer, DEFLATED)) == expected(DEFLATED)


def test_wrong_or_missing_meta_group_length() -> None:
    data = part10_file(uids())
    assert read(data[:140] + struct.pack("<I", 7) + data[144:]) == expected()
    assert read(data[:132] + data[144:]) == expected()


def test_meta_group_without_instance_uids() -> None:
    assert read(bytes(128) + b"DICM" + ui(0x00020010, EXPLICIT) + uids()) == expected()


def test_values_may_be_padded_with_nul_or_spaces() -> None:
    data = uids().replace(b"1.2.3.5\0", b"1.2.3.5 ")
    data += element(0x00200052, b"UI", b"")
    assert read(part10_file(data)) == expected()


def test_leading_zero_in_a_component_and_64_characters() -> None:
    long = "1." + "05." * 20 + "12"
    assert len(long) == 64
    assert read(part10_file(uids(sop=long))).sop_instance_uid == long


def test_uid_of_the_same_value_twice() -> None:
    assert read(part10_file(uids() + ui(0x0020000D, "1.2.3"))) == expected()


def test_elements_in_any_order() -> None:
    assert read(part10_file(pixels() + ui(0x0020000E, "1.2.3.5") + uids())) == expected()


def test_nested_uids_are_not_the_instance() -> None:
    other = uids(sop="9.1", study="9.2", series="9.3")
    nested = sequence(item(other)) + sequence(
        item(other + sequence(item(other, UNDEFINED) + ITEM_END), UNDEFINED) + ITEM_END
    )
    nested += element(0x00081140, b"SQ", item(other))
    assert read(part10_file(nested + uids() + nested)) == expected()
    assert "StudyInstanceUID (0020,000D) is missing" in refusal(part10_file(nested))


def test_undefined_length_un_is_implicit_inside() -> None:
    nested = sequence(item(implicit(0x00291010, b"abcd"), UNDEFINED) + ITEM_END, 0x00291001, b"UN")
    assert read(part10_file(nested + uids())) == expected()
    nested_be = element(0x00291001, b"UN", length=UNDEFINED, order=">") + nested[12:]
    assert read(part10_file(nested_be + uids(">"), BIG)) == expected(BIG)


def test_icon_pixel_data_may_be_encapsulated_in_an_item() -> None:
    icon = sequence(item(fragments(b"\xff\xd8"), UNDEFINED) + ITEM_END, 0x00880200)
    assert read(part10_file(uids() + icon, JPEG)) == expected(JPEG)


def test_elements_without_vr_inside_explicit_vr() -> None:
    private = implicit(0x00291001, item(implicit(0x00291002, b"abcd"), UNDEFINED) + ITEM_END + SEQUENCE_END, UNDEFINED)
    assert read(part10_file(uids() + private + implicit(0x00291003, b"ab") + pixels())) == expected()


@pytest.mark.parametrize("vr", [b"  ", b"??", b"--", b"ZZ"])
def test_placeholder_and_unknown_vrs_have_16_bits_of_length(vr: bytes) -> None:
    odd = element(0x00280120, vr, b"abcdef") + element(0x00280121, vr)
    assert read(part10_file(odd + uids())) == expected()


def test_unknown_vr_in_the_32_bit_form() -> None:
    odd = struct.pack("<HH2sxxI", 0x29, 0x1001, b"ZZ", 70_000) + bytes(70_000)
    assert read(part10_file(odd + uids())) == expected()


def test_uid_in_an_element_without_vr() -> None:
    data = uids().replace(ui(0x0020000D, "1.2.3"), implicit(0x0020000D, b"1.2.3\0"))
    assert read(part10_file(data)) == expected()


@pytest.mark.parametrize(
    "tail", [b"\0" * 2, b"\0" * 7, b"\0" * 8, b"\0" * 5000, element(0xFFFCFFFC, b"OB", bytes(100))]
)
def test_padding_after_the_dataset(tail: bytes) -> None:
    assert read(part10_file(uids() + tail)) == expected()
    assert read(part10_file(implicit_uids() + b"\0" * len(tail), IMPLICIT)) == expected(IMPLICIT)


def test_one_pad_byte_after_pixel_data_only() -> None:
    assert read(part10_file(uids() + pixels(b"abc") + b"\0")) == expected()
    assert read(part10_file(uids() + fragments(b"abc") + b"\0", JPEG)) == expected(JPEG)
    assert "inside the header of an element" in refusal(part10_file(uids() + b"\0"))


def test_delimiters_with_a_length() -> None:
    odd_end = implicit(0xFFFEE00D, length=8)
    assert read(part10_file(sequence(item(length=UNDEFINED) + odd_end) + uids())) == expected()


# --- what is refused


def test_empty() -> None:
    assert "empty DICOM instance found" in refusal(b"")


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"\x1f\x8b", "gzip"), (b"PK\3\4", "ZIP"), (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"%PDF", "PDF")],
)
def test_other_formats_are_named(start: bytes, name: str) -> None:
    assert name in refusal(start + bytes(500))


@pytest.mark.parametrize("data", [uids(), b"hello", meta() + uids(), bytes(131), bytes(5000)])
def test_no_preamble(data: bytes) -> None:
    assert "128-byte preamble and the DICM prefix are missing" in refusal(data)


@pytest.mark.parametrize("rest", [b"", b"\2\0", uids(), b"\2\0\0\0\4\0\0\0abcd", b"\2\0\0\0??\4\0"])
def test_dicm_by_accident(rest: bytes) -> None:
    assert "no file meta group" in refusal(bytes(128) + b"DICM" + rest)


def test_a_preamble_of_another_format_is_no_obstacle() -> None:
    assert read(b"II*\0" + part10_file(uids())[4:]) == expected()


def test_dicomdir() -> None:
    assert "DICOMDIR" in refusal(part10_file(b"", sop_class="1.2.840.10008.1.3.10"))


def test_no_transfer_syntax() -> None:
    assert "TransferSyntaxUID (0002,0010) is missing from the file meta group" in refusal(part10_file(uids(), None))
    assert "TransferSyntaxUID (0002,0010) is empty" in refusal(part10_file(uids(), ""))
    assert "TransferSyntaxUID" in refusal(part10_file(uids(), "1.2\r\nX: y"))


def test_endless_meta_group() -> None:
    data = bytes(128) + b"DICM" + element(0x00020102, b"OB") * 2000
    assert "file meta group has more than" in refusal(data)


@pytest.mark.parametrize("name", ["study", "series", "sop", "sop_class"])
def test_each_uid_must_be_there_and_well_formed(name: str) -> None:
    for bad, reason in [
        ("", "is empty"),
        ("\0\0", "is empty"),
        ("a/c", "digits"),
        ("1.2.x y", "digits"),
        ("1..2", "digits"),
        (".1", "digits"),
        ("1.", "digits"),
        ("1.2\\1.3", "digits"),
        ("1.2\0003", "digits"),
        ("١.٢", "digits"),
        ("1." * 32 + "1", "65 characters"),
        ("1" * 300, "300 characters"),
    ]:
        message = refusal(part10_file(uids(**{name: bad}) + pixels()))
        assert "UID (00" in message and reason in message, (bad, message)


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
def test_each_uid_missing_or_ambiguous(tag: int) -> None:
    whole = uids()
    start = whole.index(struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, b"UI"))
    end = start + 8 + struct.unpack_from("<H", whole, start + 6)[0]
    name = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing from the dataset"
    assert name in refusal(part10_file(whole[:start] + whole[end:]))
    assert "occurs twice with different values" in refusal(part10_file(whole + ui(tag, "1.7")))


def test_truncated_pixel_data_says_how_much_is_left() -> None:
    message = refusal(part10_file(uids() + pixels(bytes(7654), 8192)))
    assert "PixelData (7FE0,0010) declares 8192 bytes but the object ends after 7654" in message


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x00420011, "EncapsulatedDocument (0042,0011)"),
        (0x54000100, "WaveformSequence (5400,0100)"),
        (0x0040A730, "ContentSequence (0040,A730)"),
        (0x52009229, "SharedFunctionalGroupsSequence (5200,9229)"),
        (0x52009230, "PerFrameFunctionalGroupsSequence (5200,9230)"),
        (0x00091001, "(0009,1001)"),
    ],
)
def test_truncated_elements_are_named(tag: int, name: str) -> None:
    """The long ones by their keyword. Inside of a sequence, too, it is the element that is cut off."""
    message = refusal(part10_file(uids() + element(tag, b"OB", bytes(7000), length=8192)))
    assert message.startswith(f"{name} declares 8192 bytes but the object ends after 7000")
    inside = element(0x00081140, b"SQ", length=UNDEFINED) + item(length=UNDEFINED)
    message = refusal(part10_file(uids() + inside + element(tag, b"OB", bytes(7000), length=8192)))
    assert message.startswith(f"{name} declares 8192 bytes")


def test_truncated_fragment_and_missing_delimiter() -> None:
    data = part10_file(uids() + fragments(b"abcd", b"efgh"), JPEG)
    assert "an item of PixelData (7FE0,0010) declares 4 bytes but the object ends after 2" in refusal(data[:-10])
    assert "the object ends inside PixelData (7FE0,0010)" in refusal(data[:-8])
    assert "the object ends inside PixelData (7FE0,0010)" in refusal(data[:-1])


def test_sequence_that_never_closes() -> None:
    data = part10_file(uids() + element(0x00081140, b"SQ", length=UNDEFINED) + item(length=UNDEFINED))
    assert "the object ends inside an item of (0008,1140)" in refusal(data)
    assert "the object ends inside an item of (0008,1140)" in refusal(data + bytes(4))


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (ITEM_END, "(FFFE,E00D) stands out of place"),
        (SEQUENCE_END, "(FFFE,E0DD) stands out of place"),
        (item(b"ab"), "an item stands between elements"),
        (sequence(ITEM_END), "(FFFE,E00D) stands out of place"),
        (sequence(item(length=UNDEFINED)), "(FFFE,E0DD) stands out of place"),
        (sequence(element(0x00100010, b"PN")), "(0010,0010) stands between items"),
        (fragments() + item(), "an item stands between elements"),
        (fragments()[:-8] + item(length=UNDEFINED), "PixelData (7FE0,0010) at byte"),
        (element(0x00104000, b"UT", length=UNDEFINED), "has an undefined length"),
        (element(0x00280010, b"US", b"ab") + b"\x28\0\x11", "inside the header of an element"),
        (b"\0" * 70_000 + b"x", "zeros stand where"),
        (b"\0" * 20 + b"x", "zeros stand where"),
    ],
)
def test_broken_structure(dataset: bytes, reason: str) -> None:
    assert reason in refusal(part10_file(uids() + dataset))


def test_object_shorter_than_its_size() -> None:
    data = part10_file(uids() + pixels())
    with pytest.raises(InvalidArgument, match="its size was said to be"):
        read_header(Source(data).read_at, len(data) + 100)


def test_deflated_damage() -> None:
    dataset = uids() + pixels(bytes(100_000))
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(dataset) + deflater.flush()
    assert "before the end of its deflated dataset" in refusal(part10_file(stream[:-3], DEFLATED))
    assert "before the end of its deflated dataset" in refusal(part10_file(b"", DEFLATED))
    assert "damaged" in refusal(part10_file(b"\xff" * 100, DEFLATED))
    assert "9 unknown bytes follow" in refusal(part10_file(stream + b"123456789", DEFLATED))
    cut = zlib.compressobj(wbits=-15)
    stream = cut.compress(dataset[:-10]) + cut.flush()
    assert "but the inflated dataset ends after" in refusal(part10_file(stream, DEFLATED))


# --- bounds on work


def test_one_read_for_a_ct_slice() -> None:
    header = b"".join(element(0x00180000 + number, b"LO", b"a value of twenty by") for number in range(180))
    data = part10_file(uids() + header + pixels(bytes(530_000)))
    source = Source(data)
    assert read_header(source.read_at, len(data)) == expected()
    assert (source.calls, source.bytes) == (1, walk.FIRST_WINDOW)


def test_defined_length_sequence_is_one_step() -> None:
    data = part10_file(element(0x00081140, b"SQ", item(bytes(3_000_000))) + uids())
    source = Source(data)
    assert read_header(source.read_at, len(data)) == expected()
    assert source.calls <= 2 and source.bytes <= walk.FIRST_WINDOW + walk.JUMP_WINDOW


def test_long_headers_are_read_in_growing_windows() -> None:
    data = part10_file(uids() + element(0x00091001, b"LO", b"12345678") * 200_000)
    source = Source(data)
    assert read_header(source.read_at, len(data)) == expected()
    assert source.calls < 20 and source.bytes < len(data) * 1.01


@pytest.mark.parametrize("at", range(walk.FIRST_WINDOW - 40, walk.FIRST_WINDOW + 2))
def test_elements_across_the_edge_of_a_window(at: int) -> None:
    fill = at - len(part10_file(b"")) - 8
    data = part10_file(element(0x00080008, b"CS", bytes(fill)) + uids() + pixels())
    assert read(data) == expected()


@pytest.mark.parametrize("length", [3 * 1024**3, UNDEFINED - 1])
def test_huge_declared_lengths_allocate_nothing(length: int) -> None:
    for dataset, syntax in [
        (pixels(b"ab", length), EXPLICIT),
        (implicit(0x7FE00010, b"ab", length), IMPLICIT),
        (fragments()[:-8] + item(length=length), JPEG),
        (element(0x00081140, b"SQ", length=length), EXPLICIT),
        (implicit(0x0020000D, b"1.2", length), IMPLICIT),
    ]:
        first = implicit_uids() if syntax == IMPLICIT else uids()
        data = part10_file(first + dataset, syntax)
        source = Source(data)
        with pytest.raises(InvalidArgument, match=f"declares {length} bytes but the object ends after"):
            read_header(source.read_at, len(data))
        assert source.bytes <= 2 * len(data)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_100_000_nested_items(syntax: str) -> None:
    start = (
        element(0x00081140, b"SQ", length=UNDEFINED) if syntax == EXPLICIT else implicit(0x00081140, length=UNDEFINED)
    )
    data = part10_file((start + item(length=UNDEFINED)) * 100_000, syntax)
    source = Source(data)
    with pytest.raises(InvalidArgument, match="nested deeper than 512 levels"):
        read_header(source.read_at, len(data))
    assert source.bytes < 100_000


def test_512_levels_are_read() -> None:
    start, end = element(0x00081140, b"SQ", length=UNDEFINED) + item(length=UNDEFINED), ITEM_END + SEQUENCE_END
    assert read(part10_file(start * 512 + end * 512 + uids())) == expected()


@pytest.mark.parametrize(
    "repeated",
    [
        element(0x00091001, b"LO"),
        element(0x00091001, b"SQ", length=UNDEFINED) + SEQUENCE_END,
        implicit(0x00091001),
    ],
)
def test_number_of_elements_is_bounded(repeated: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_ELEMENTS", 1000)
    assert "the dataset has more than" in refusal(part10_file(uids() + repeated * 1001))


def test_zeros_are_looked_at_once() -> None:
    source = Source(part10_file(uids() + bytes(walk.MAX_PADDING - 1) + b"x"))
    with pytest.raises(InvalidArgument, match="zeros stand where"):
        read_header(source.read_at, len(source.data))
    assert source.calls <= 3


def test_number_of_items_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_ELEMENTS", 1000)
    assert "the dataset has more than" in refusal(part10_file(fragments(*[b""] * 1001), JPEG))


def test_inflated_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflated, "MAX_INFLATED", 1_000_000)
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(uids() + pixels(bytes(50_000_000))) + deflater.flush()
    source = Source(part10_file(stream, DEFLATED))
    with pytest.raises(InvalidArgument, match="inflates to more than 1000000 bytes"):
        read_header(source.read_at, len(source.data))


def test_inflating_keeps_no_more_than_a_window() -> None:
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(pixels(bytes(20_000_000)) + uids()) + deflater.flush()
    inflated = deflated.Inflated(Source(stream).read_at, 0, len(stream))
    assert inflated.measure() == 20_000_012 + len(uids())
    assert len(inflated.read_at(0, 1000)) == 1000
    assert inflated.read_at(20_000_012, 10_000) == uids()
    assert len(inflated._chunk) <= deflated.INFLATE_CHUNK
    assert len(inflated._states) == 1, "the next one is kept after 32 MiB, so that the largest data set has 64"


def test_an_inflated_dataset_is_read_at_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward, backward, across chunks and at the end; a step back inflates no more than the distance of two states."""
    distance = 4 * deflated.INFLATE_CHUNK
    monkeypatch.setattr(deflated, "STATE_DISTANCE", distance)
    data = random.Random(5).randbytes(1_000_003)
    deflater = zlib.compressobj(wbits=-15)
    source = Source(deflater.compress(data) + deflater.flush())
    inflated = deflated.Inflated(source.read_at, 0, len(source.data), len(data))
    for offset in (0, 999_000, 5, 500_000, 262_143, 262_144, 262_145, 65_536, 1_000_002, 1_000_003, 2_000_000, 0):
        for length in (0, 1, 100_000, 1_000_003):
            assert inflated.read_at(offset, length) == data[offset : offset + length], (offset, length)
    inflated.read_at(999_000, 1)
    source.calls = 0
    inflated.read_at(700_000, 1)
    assert source.calls <= distance // deflated.INFLATE_CHUNK + 2


def test_what_read_at_raises_passes() -> None:
    def broken(offset: int, length: int) -> bytes:
        raise OSError("storage is away")

    with pytest.raises(OSError, match="storage is away"):
        read_header(broken, 1000)


# --- against pydicom


SHIPPED = sorted(Path(pydicom.data.__file__).parent.joinpath("test_files").glob("*.dcm"))
KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
REFUSED_FOR = {
    "ExplVR_BigEndNoMeta.dcm": "preamble",
    "ExplVR_LitEndNoMeta.dcm": "preamble",
    "no_meta.dcm": "preamble",
    "rtstruct.dcm": "preamble",
    "MR_truncated.dcm": "declares 8192 bytes",
    "rtplan_truncated.dcm": "declares",
    "meta_missing_tsyntax.dcm": "TransferSyntaxUID",
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_files_of_pydicom(path: Path) -> None:
    data = path.read_bytes()
    if path.name in REFUSED_FOR:
        assert REFUSED_FOR[path.name] in refusal(data)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        missing = [keyword for keyword in KEYWORDS if not dataset.get(keyword)]
        if missing:
            assert missing[0] in refusal(data)
            return
        assert read(data) == InstanceIdentity(
            *(dataset[keyword].value for keyword in KEYWORDS), dataset.file_meta.TransferSyntaxUID
        )


@pytest.mark.parametrize("rest", range(24))
@pytest.mark.parametrize("before", range(0, 600, 50))
def test_an_unknown_vr_near_the_end(before: int, rest: int) -> None:
    """What is looked at ahead may be in another window than what it is about."""
    syntax = struct.pack("<HH2sH", 2, 0x0010, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    private = struct.pack("<HH2sHI", 2, 0x0102, b"OB", 0, before) + bytes(before)
    data = bytes(128) + b"DICM" + syntax + private + b"\x02\x00\x12\x00ZZ\0\0" + bytes(rest)
    with pytest.raises(InvalidArgument):
        read_header(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize(
    ("name", "explicit", "little", "deflated"),
    [
        ("texts-explicit", True, True, False),
        ("texts-implicit", False, True, False),
        ("texts-big-endian", True, False, False),
        ("texts-deflated", True, True, True),
        ("declares-explicit-is-implicit", False, True, False),
        ("declares-implicit-is-explicit", True, True, False),
    ],
)
def test_the_layout_is_that_of_the_data_set_whatever_the_syntax_claims(
    name: str, explicit: bool, little: bool, deflated: bool
) -> None:
    """PS3.5 §7.1; both mistakes are known of real writers. What comes later reads by the layout alone."""
    data = FILES[name]
    found = read_header(lambda offset, length: data[offset : offset + length], len(data))
    assert (found.layout.explicit, found.layout.little, found.layout.deflated) == (explicit, little, deflated)
    assert found.transfer_syntax_uid == read_file(data).transfer_syntax
    (pixels,) = found.layout.cuts
    assert pixels.length == 4
    if not deflated:
        assert data[pixels.start + pixels.header :][:4] == PIXELS
