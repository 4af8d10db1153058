"""DICOM JSON out of headers (PS3.18 Annex F). Beside pydicom over whole files: test_corpus.py."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.dicom.elements import MAX_DEPTH
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import JsonWriter, dicom_json, fragments
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.errors import InvalidArgument
from gantry.studies.metadata import write_xml
from tests.dicomweb.instances import packaged
from tests.support.dicom import element

NAMES = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
)


def header_bytes_of(data: bytes) -> HeaderBytes:
    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    found = read_header_bytes(read_at, len(data), read_header(read_at, len(data)).layout)
    assert found is not None
    return found


def explicit(*elements: bytes) -> HeaderBytes:
    return HeaderBytes(b"", b"".join(elements), (), True, True)


def one(*elements: bytes, header_bytes: HeaderBytes | None = None) -> Any:
    """The only element of a dataset, without its tag."""
    (found,) = json.loads(dicom_json(header_bytes or explicit(*elements), "http://x")).values()
    return found


@pytest.mark.parametrize(
    "vr, value, expected",
    [
        (b"LO", "A\\ B \\", ["A", "B", None]),
        (b"LO", "", None),
        (b"LT", " kept \\ as one  ", [" kept \\ as one"]),
        (b"UR", "http://a/b\\c ", ["http://a/b\\c"]),
        (b"UI", "1.2.3\0", ["1.2.3"]),
        (b"IS", " 12\\-3\\+07", [12, -3, 7]),
        (b"DS", "1.50\\1e3\\ .5\\5.\\-0", [1.5, 1000.0, 0.5, 5, 0]),
        (b"DS", "abc\\1_0\\inf\\nan", ["abc", "1_0", "inf", "nan"]),
        (b"US", struct.pack("<HH", 1, 65535), [1, 65535]),
        (b"SS", struct.pack("<h", -5), [-5]),
        (b"UL", struct.pack("<I", 4294967295), [4294967295]),
        (b"SV", struct.pack("<q", -(2**62)), [-(2**62)]),
        (b"UV", struct.pack("<Q", 2**63), [2**63]),
        (b"FD", struct.pack("<dd", 0.1, -2.0), [0.1, -2.0]),
        (b"FL", struct.pack("<f", 0.5), [0.5]),
        (b"FD", struct.pack("<ddd", float("nan"), float("inf"), float("-inf")), ["NaN", "Infinity", "-Infinity"]),
        (b"AT", struct.pack("<HHHH", 0x0010, 0x0020, 0x7FE0, 0x0010), ["00100020", "7FE00010"]),
        (b"DA", "20240101", ["20240101"]),
        (b"TM", "1012 ", ["1012"]),
    ],
)
def test_values(vr: bytes, value: bytes | str, expected: list[Any] | None) -> None:
    """§F.2.3"""
    data = value if isinstance(value, bytes) else value.encode()
    long = vr in (b"SV", b"UV", b"UR")
    head = (
        struct.pack("<HH2s2xI", 0x0011, 0x0030, vr, len(data))
        if long
        else struct.pack("<HH2sH", 0x0011, 0x0030, vr, len(data))
    )
    found = one(head + data)
    assert found["vr"] == vr.decode()
    assert found.get("Value") == expected


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Doe^John", [{"Alphabetic": "Doe^John"}]),
        ("A^B=C^D=E^F", [{"Alphabetic": "A^B", "Ideographic": "C^D", "Phonetic": "E^F"}]),
        ("=C", [{"Ideographic": "C"}]),
        ("A\\\\B", [{"Alphabetic": "A"}, None, {"Alphabetic": "B"}]),
        ("", None),
        ("Doe^John^^^", [{"Alphabetic": "Doe^John^^^"}]),
    ],
)
def test_names(name: str, expected: Any) -> None:
    """§F.2.2: component groups by name."""
    assert one(element(0x0010, 0x0010, b"PN", name)).get("Value") == expected


@pytest.mark.parametrize(
    "vr, length, is_bulk",
    [(b"OB", 2, True), (b"OW", 2, True), (b"UN", 2, True), (b"OB", 0, False), (b"US", 1024, False), (b"US", 1026, True),
     (b"FD", 4096, False), (b"FD", 4104, True), (b"AT", 2052, True)],
)  # fmt: skip
def test_what_is_bulk_data(vr: bytes, length: int, is_bulk: bool) -> None:
    """§10.3.6"""
    found = one(element(0x0011, 0x1030, vr, bytes(length)))
    assert (found.get("BulkDataURI") == "http://x/00111030") == is_bulk


@pytest.mark.parametrize("vr, size", [("OD", 8), ("OF", 4), ("OL", 4), ("OV", 8)])
def test_short_binary_values_are_inline_and_little_endian(vr: str, size: int) -> None:
    """§F.2.7, §10.3.6"""
    from base64 import b64decode

    value = bytes(range(2 * size))
    for order, mark in (("<", True), (">", False)):
        head = struct.pack(f"{order}HH2s2xI", 0x0011, 0x0030, vr.encode(), len(value))
        found = one(header_bytes=HeaderBytes(b"", head + value, (), True, mark))
        swapped = value if mark else b"".join(value[at : at + size][::-1] for at in (0, size))
        assert b64decode(found["InlineBinary"]) == swapped
    long = struct.pack("<HH2s2xI", 0x0011, 0x0030, vr.encode(), 2056) + bytes(2056)
    assert "BulkDataURI" in one(long)


def test_public_elements_that_were_written_as_un() -> None:
    """PS3.5 §6.2.2: their values are those of the implicit encoding."""
    assert one(element(0x0010, 0x0010, b"UN", b"")) == {"vr": "PN"}
    data = struct.pack("<HH2s2xI", 0x0010, 0x0010, b"UN", 8) + b"Doe^John"
    assert one(data) == {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}


def test_lengths_of_groups_and_padding_are_left_out() -> None:
    """§F.2.2"""
    padding = struct.pack("<HH2s2xI", 0xFFFC, 0xFFFC, b"OB", 2) + b"\0\0"
    found = json.loads(
        dicom_json(explicit(element(8, 0, b"UL", b"\0\0\0\1"), element(8, 0x60, b"CS", "CT"), padding), "")
    )
    assert found == {"00080060": {"vr": "CS", "Value": ["CT"]}}


def test_what_was_cut_has_an_address() -> None:
    """§10.3.5"""
    sequence = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 2 << 20)
    value = struct.pack("<HH2s2xI", 0x0011, 0x0030, b"UT", 2 << 20)
    header_bytes = HeaderBytes(b"", sequence + value, ((0, 2 << 20), (12, 2 << 20)), True, True)
    assert header_bytes.lacks_sequences
    assert json.loads(dicom_json(header_bytes, "u")) == {
        "00081140": {"vr": "UN", "BulkDataURI": "u/00081140"},
        "00110030": {"vr": "UT", "BulkDataURI": "u/00110030"},
    }


def test_a_character_set_of_an_item_is_its_own() -> None:
    """PS3.3 §C.12.1.1.2"""
    inner = element(8, 5, b"CS", "ISO_IR 144") + element(0x10, 0x10, b"PN", "Люк".encode("iso8859-5"))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    sequence = element(0x0008, 0x1140, b"SQ", item)
    after = element(0x0010, 0x0010, b"PN", "Müller".encode("latin-1"))
    found = json.loads(dicom_json(explicit(element(8, 5, b"CS", "ISO_IR 100"), sequence, after), ""))
    assert found["00081140"]["Value"][0]["00100010"]["Value"] == [{"Alphabetic": "Люк"}]
    assert found["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


def test_the_members_that_are_wanted() -> None:
    header_bytes = header_bytes_of(packaged("CT_small.dcm"))
    whole = json.loads(dicom_json(header_bytes, ""))
    found = fragments(header_bytes, frozenset((0x00100010, 0x00080060, 0x00020010, 0x99990010)))
    assert {f"{tag:08X}": json.loads("{" + text + "}")[f"{tag:08X}"] for tag, text in found.items()} == {
        tag: whole[tag] for tag in ("00100010", "00080060", "00020010")
    }


def test_without_an_address_there_is_no_bulk_data_at_any_depth() -> None:
    bulk, text = element(0x0011, 0x1030, b"OB", b"\1\2"), element(0x0008, 0x0060, b"CS", "CT")
    inner = bulk + text
    for _ in range(2):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 2 * len(item)) + 2 * item
    found = fragments(explicit(inner, bulk), frozenset((0x00081140, 0x00111030)))
    assert found[0x00111030] == "" and "Bulk" not in found[0x00081140] and found[0x00081140].count('"CT"') == 4
    assert (
        "Bulk" not in dicom_json(explicit(inner, bulk), "") and dicom_json(explicit(inner, bulk), "u").count("u/") == 5
    )


# Alike headers --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(NAMES), st.data())
def test_headers_in_a_row_give_what_each_gives_alone(name: str, data: st.DataObject) -> None:
    """Whatever differs between them: values, lengths, elements."""
    header_bytes = header_bytes_of(packaged(name))
    writer = JsonWriter()
    for number in range(data.draw(st.integers(2, 6))):
        body = bytearray(header_bytes.body)
        for _ in range(data.draw(st.integers(0, 3))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        variant = header_bytes._replace(body=bytes(body))
        try:
            alone = dicom_json(variant, f"u/{number}")
        except InvalidArgument:
            continue
        assert json.loads(writer.write(variant, f"u/{number}")) == json.loads(alone)


def test_a_series_is_compared_and_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the fourth header on only what differs is looked at: the first one may be known from before."""
    from gantry.dicom import json_model

    header_bytes = header_bytes_of(packaged("CT_small.dcm"))
    series = [
        header_bytes._replace(body=header_bytes.body.replace(b"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322", uid))
        for uid in (f"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.{n}".encode() for n in range(10000, 10010))
    ]
    assert len({item.body for item in series}) == 10
    writer = JsonWriter()
    for item in series[:3]:
        writer.write(item, "u")
    alone = [dicom_json(item, "u") for item in series[3:]]
    monkeypatch.setattr(json_model._AlikeWriter, "write_in_full", lambda *_: pytest.fail("read in full"))
    for item, expected in zip(series[3:], alone, strict=True):
        assert json.loads(writer.write(item, "u")) == json.loads(expected)


def test_an_element_more_at_the_end_is_seen() -> None:
    header_bytes = header_bytes_of(packaged("test-SR.dcm"))
    writer = JsonWriter()
    for _ in range(3):
        writer.write(header_bytes, "u")
    longer = header_bytes._replace(body=header_bytes.body + element(0x7FF1, 0x0010, b"LO", "creator"))
    assert json.loads(writer.write(longer, "u"))["7FF10010"]["Value"] == ["creator"]


# Hostile bytes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=400)
@given(st.sampled_from(NAMES), st.data())
def test_damaged_headers_are_refused_or_give_json(name: str, data: st.DataObject) -> None:
    header_bytes = header_bytes_of(packaged(name))
    body = bytearray(header_bytes.body)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    try:
        text = dicom_json(header_bytes._replace(body=bytes(body)), "http://x")
    except InvalidArgument:
        return
    json.loads(text)
    text.encode("utf-8")


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_at_all(body: bytes, is_explicit: bool, little: bool) -> None:
    try:
        json.loads(dicom_json(HeaderBytes(b"", body, (), is_explicit, little), "u"))
    except InvalidArgument:
        pass


def nested(levels: int, innermost: bytes = b"") -> bytes:
    """ReferencedImageSequence in itself, with defined lengths."""
    found = innermost
    for _ in range(levels):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(found)) + found
        found = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", len(item)) + item
    return found


def test_nesting_without_end_is_refused() -> None:
    opening = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(InvalidArgument):
        dicom_json(explicit(opening * 5000), "u")


@pytest.mark.parametrize("levels", [1, MAX_DEPTH, MAX_DEPTH + 1, 300, 3000])
def test_what_is_nested_too_deep_is_bytes(levels: int) -> None:
    """The levels above are told apart, and what stands beside the sequence is untouched."""
    found = json.loads(dicom_json(explicit(element(0x0008, 0x0060, b"CS", "CT"), nested(levels)), "u"))
    assert found["00080060"]["Value"] == ["CT"]
    depth = 0
    while "Value" in found.get("00081140", ()):
        found = found["00081140"]["Value"][0]
        depth += 1
    assert depth == min(levels, MAX_DEPTH)
    deeper = found.get("00081140")
    assert deeper is None if levels <= MAX_DEPTH else (deeper["vr"] == "UN" and deeper["BulkDataURI"].startswith("u/"))


def test_every_packaged_file_gives_json() -> None:
    folder = Path(pydicom.__file__).parent / "data"
    count = 0
    for path in sorted(folder.rglob("*.dcm")):
        try:
            header_bytes = header_bytes_of(path.read_bytes())
        except InvalidArgument:
            continue
        json.loads(dicom_json(header_bytes, "u"))
        count += 1
    assert count > 60


# XML ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", ["1e3", "1.50", "-0", "0.1", "1000"])
def test_numbers_in_xml_are_as_they_are_written(digits: str) -> None:
    """PS3.19 §A.1: the value, and not what a parser of JSON makes of it."""
    found = write_xml(dicom_json(explicit(element(0x0020, 0x0013, b"IS", digits)), "u"))
    assert f'<Value number="1">{digits}</Value>'.encode() in found
