"""DICOM JSON to a file (PS3.18 §10.5.2, §F.2; PS3.10 §7.1): whole files, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.support.plain_reader import read_file

from gantry.dicom.from_json import SplitFile, check_bulk_type, encode_instance, file_chunks
from gantry.errors import InvalidArgument

Json = Any
EXPLICIT_LE, IMPLICIT_LE, JPEG, J2K = (f"1.2.840.10008.1.2{more}" for more in (".1", "", ".4.50", ".4.90"))
MINIMAL: Json = {
    "00020010": {"vr": "UI", "Value": [EXPLICIT_LE]},
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080016": {"vr": "UI", "Value": ["1.2.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
}
BODY = (
    b"\x08\0\x05\0CS\x0a\0ISO_IR 192"
    b"\x08\0\x16\0UI\6\x001.2.7\0"
    b"\x08\0\x18\0UI\x08\x001.2.3.4\0"
    b"\x20\0\x0d\0UI\4\x001.2\0"
    b"\x20\0\x0e\0UI\6\x001.2.3\0"
)


def instance(**changes: Json) -> Json:
    """MINIMAL with other elements by ``_tag``; None takes one out."""
    found = copy.deepcopy(MINIMAL)
    for key, element in changes.items():
        found.pop(key[1:], None)
        if element is not None:
            found[key[1:]] = element
    return found


def uid(value: str) -> Json:
    return {"vr": "UI", "Value": [value]}


def whole(attributes: Json, bulk: bytes = b"") -> bytes:
    return b"".join(file_chunks(encode_instance(attributes), [bulk[:1], bulk[1:]], len(bulk)))


def body_of(data: bytes) -> bytes:
    """What follows the meta group, whose length must be right."""
    assert data[:132] == bytes(128) + b"DICM"
    assert data[132:144] == b"\2\0\0\0UL\4\0" + data[140:144]
    return data[144 + int.from_bytes(data[140:144], "little") :]


def refuse(attributes: Json, *words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_instance(attributes)
    for word in words:
        assert word in caught.value.message, caught.value.message


class TestFiles:
    def test_the_smallest(self) -> None:
        assert body_of(whole(instance())) == BODY

    @pytest.mark.parametrize("more", ["_00020002", "_00020003", "_00020012", "_00020016", "_00020001", "_00020000"])
    def test_the_meta_group_has_each_element_once(self, more: str) -> None:
        """PS3.10 §7.1: what the instance says of it is written anew, out of the instance itself."""
        element = {"vr": "OB", "InlineBinary": "AAE="} if more == "_00020001" else uid("9.9.9")
        data = whole(instance(**{more: element}))
        meta = read_file(data).meta
        assert [each.tag for each in meta] == [0x00020000 | number for number in (0, 1, 2, 3, 0x10, 0x12, 0x13)]
        values = {each.tag: each.value.rstrip(b"\0") for each in meta}
        assert values[0x00020002] == b"1.2.7" and values[0x00020003] == b"1.2.3.4"
        assert values[0x00020010] == EXPLICIT_LE.encode() and meta[1].value == b"\0\1"
        assert body_of(data) == BODY

    def test_the_split(self) -> None:
        found = encode_instance(instance())
        assert found[:2] == ("1.2.3.4", EXPLICIT_LE) and found[3:] == (b"", "", 0, "", "")

    def test_the_available_transfer_syntax_stands_for_the_meta_group(self) -> None:
        """PS3.18 §10.5.2: the metadata of a search has it as (0008,3002)."""
        data = whole(instance(_00020010=None, _00083002=uid(IMPLICIT_LE)))
        assert read_file(data).transfer_syntax == IMPLICIT_LE
        assert body_of(data)[:8] == b"\x08\0\x05\0\x0a\0\0\0"
        both = whole(instance(_00083002=uid(IMPLICIT_LE)))
        assert read_file(both).transfer_syntax == EXPLICIT_LE


class TestBulk:
    PALETTE = b"\x28\0\x01\x12OW\0\0"
    COMMENT = b"\x28\0\x00\x40LT\2\0hi"

    def test_a_value_stands_in_the_order_of_tags(self) -> None:
        attributes = instance(
            _00281201={"vr": "OW", "BulkDataURI": "b"}, _00284000={"vr": "LT", "Value": ["hi"]}
        )  # fmt: skip
        assert body_of(whole(attributes, b"\1\2")) == BODY + self.PALETTE + b"\2\0\0\0\1\2" + self.COMMENT
        found = encode_instance(attributes)
        assert (found.bulk_uri, found.tag, found.vr) == ("b", 0x00281201, "OW")

    def test_odd_and_empty_ones(self) -> None:
        attributes = instance(_00281201={"vr": "OW", "BulkDataURI": "b"})
        assert body_of(whole(attributes, b"\1\2\3")) == BODY + self.PALETTE + b"\4\0\0\0\1\2\3\0"
        assert body_of(whole(attributes, b"")) == BODY + self.PALETTE + b"\0\0\0\0"

    @pytest.mark.parametrize("vr", ["OB", "OW"])
    def test_native_pixels(self, vr: str) -> None:
        attributes = instance(_7FE00010={"vr": vr, "BulkDataURI": "b"})
        head = b"\xe0\x7f\x10\0" + vr.encode() + b"\0\0\4\0\0\0"
        assert body_of(whole(attributes, b"abc")) == BODY + head + b"abc\0"

    def test_native_pixels_in_implicit_vr(self) -> None:
        attributes = instance(_00020010=uid(IMPLICIT_LE), _7FE00010={"vr": "OW", "BulkDataURI": "b"})
        assert body_of(whole(attributes, b"abcd")).endswith(b"\xe0\x7f\x10\0\4\0\0\0abcd")

    @pytest.mark.parametrize("vr", ["OB", "OW"])
    def test_compressed_pixels_become_one_fragment(self, vr: str) -> None:
        """PS3.5 §A.4: OB, an empty offset table, the fragment padded to even length, the delimiter."""
        attributes = instance(_00020010=uid(JPEG), _7FE00010={"vr": vr, "BulkDataURI": "b"},
                              _FFFCFFFC={"vr": "OB", "InlineBinary": "AAA="})  # fmt: skip
        table, fragment = b"\xfe\xff\0\xe0\0\0\0\0", b"\xfe\xff\0\xe0\4\0\0\0abc\0"
        pixels = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + table + fragment + b"\xfe\xff\xdd\xe0\0\0\0\0"
        assert body_of(whole(attributes, b"abc")) == BODY + pixels + b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0"

    def test_other_values_beside_compressed_pixels_are_no_fragments(self) -> None:
        attributes = instance(_00020010=uid(JPEG), _00281201={"vr": "OW", "BulkDataURI": "b"})
        assert body_of(whole(attributes, b"\1\2")) == BODY + self.PALETTE + b"\2\0\0\0\1\2"

    def test_a_value_that_no_element_can_have(self) -> None:
        """PS3.5 §7.1.1: lengths have 32 bits, and FFFFFFFF is no length."""
        file = encode_instance(instance(_00281201={"vr": "OW", "BulkDataURI": "b"}))
        for size in (0xFFFFFFFF, 0xFFFFFFFF + 1, 1 << 40):
            chunks = file_chunks(file, [], size)
            with pytest.raises(InvalidArgument, match=f"{size} bytes is longer than an element can be"):
                list(chunks)
        assert b"".join(file_chunks(file, [], 0xFFFFFFFE)).endswith(self.PALETTE + b"\xfe\xff\xff\xff")


class TestRefused:
    @pytest.mark.parametrize(
        ("tag", "name"),
        [("00080016", "SOPClassUID"), ("00080018", "SOPInstanceUID"), ("0020000D", "StudyInstanceUID"),
         ("0020000E", "SeriesInstanceUID"), ("00020010", "TransferSyntaxUID")],
    )  # fmt: skip
    def test_uids_that_an_instance_needs(self, tag: str, name: str) -> None:
        key = f"_{tag}"
        for missing in (None, {"vr": "UI"}, {"vr": "UI", "Value": []}, {"vr": "UI", "Value": [None]}, uid("")):
            refuse(instance(**{key: missing}), f"{name} ({tag}) is missing")
        wrong = ("1..2", "x/", "1.2 ", "1.2\n", "1" * 65, "../1", 1.2, ["1.2"], "٣")
        for value in wrong:
            refuse(instance(**{key: {"vr": "UI", "Value": [value]}}), f"{name} ({tag}) is not one UID")
        refuse(instance(**{key: {"vr": "UI", "Value": ["1.2", "1.3"]}}), "is not one UID")
        refuse(instance(**{key: {"vr": "LO", "Value": ["1.2"]}}), "is not one UID")

    @pytest.mark.parametrize(
        "element", [None, {"vr": "CS"}, {"vr": "CS", "Value": ["ISO_IR 100"]}, {"vr": "CS", "Value": "ISO_IR 192"},
                    {"vr": "CS", "Value": ["ISO_IR 192", "ISO_IR 100"]}, {"vr": "CS", "Value": [None, "ISO_IR 192"]}]
    )  # fmt: skip
    def test_json_is_utf_8(self, element: Json) -> None:
        refuse(instance(_00080005=element), "SpecificCharacterSet (00080005) is missing or not ISO_IR 192")

    @pytest.mark.parametrize("syntax", [".2", ".1.99", ".4.95", ".4.205"])
    def test_big_endian_and_deflated(self, syntax: str) -> None:
        refuse(instance(_00020010=uid(f"1.2.840.10008.1.2{syntax}")), "cannot be stored from JSON")

    def test_several_values_in_parts_of_their_own(self) -> None:
        two = {key: {"vr": "OW", "BulkDataURI": "b"} for key in ("_00281201", "_7FE00010")}
        refuse(instance(**two), "(00281201)", "(7FE00010)", "one attribute can")

    @pytest.mark.parametrize(
        ("tag", "element"),
        [
            ("00281201", {"vr": "OF", "BulkDataURI": "b"}),
            ("00104000", {"vr": "LT", "BulkDataURI": "b"}),
            ("00281201", {"vr": "OW", "BulkDataURI": ""}),
            ("00281201", {"vr": "OW", "BulkDataURI": None}),
            ("00281201", {"vr": "OW", "BulkDataURI": 1}),
            ("00020102", {"vr": "OB", "BulkDataURI": "b"}),
        ],
    )
    def test_addresses_that_are_none_or_stand_where_none_can(self, tag: str, element: Json) -> None:
        refuse(instance(**{f"_{tag}": element}), tag, "a BulkDataURI is a string, for the VRs OB, OW, UN")

    def test_pixels(self) -> None:
        for element in ({"vr": "OW", "InlineBinary": "AAA="}, {"vr": "OW", "Value": ["x"]}):
            refuse(instance(_7FE00010=element), "PixelData (7FE00010) must be bulk data in a part of its own")
        refuse(instance(_7FE00010={"vr": "UN", "BulkDataURI": "b"}), "PixelData (7FE00010) is OB or OW, not UN")
        assert body_of(whole(instance(_7FE00010={"vr": "OW"}))) == BODY + b"\xe0\x7f\x10\0OW\0\0\0\0\0\0"
        assert encode_instance(instance(_00091001={"vr": "UN", "BulkDataURI": "b"})).vr == "UN"

    @pytest.mark.parametrize("attributes", [None, [], "x", {}, {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}])
    def test_what_is_no_instance(self, attributes: Json) -> None:
        refuse(attributes)


class TestTypesOfParts:
    """PS3.18 §8.7.3.3: pixels come in the media type of their transfer syntax."""

    @staticmethod
    def file(syntax: str, tag: int = 0x7FE00010) -> SplitFile:
        return SplitFile("1.2", syntax, b"", b"", "b", tag, "OB")

    @pytest.mark.parametrize(
        ("syntax", "content_type"),
        [
            *((syntax, "application/octet-stream") for syntax in (EXPLICIT_LE, IMPLICIT_LE, JPEG, J2K)),
            *((syntax, "") for syntax in (EXPLICIT_LE, JPEG)),
            (JPEG, "image/jpeg"), (JPEG, "IMAGE/JPEG"), (J2K, "image/jp2"), (J2K, "image/jp2; transfer-syntax=*"),
            (f"{IMPLICIT_LE}.4.92", "image/jpx"), (f"{IMPLICIT_LE}.5", "image/dicom-rle"),
            (f"{IMPLICIT_LE}.4.80", "image/jls"), (f"{IMPLICIT_LE}.4.201", "image/jphc"),
            (J2K, f"image/jp2; transfer-syntax={J2K}"), (J2K, f'image/jp2;Transfer-Syntax = "{J2K}"'),
        ],
    )  # fmt: skip
    def test_those_that_go_together(self, syntax: str, content_type: str) -> None:
        check_bulk_type(self.file(syntax), content_type)

    @pytest.mark.parametrize(
        ("syntax", "content_type", "words"),
        [
            (EXPLICIT_LE, "image/jpeg", "'image/jpeg' does not go with"),
            (J2K, "image/jpeg", "'image/jpeg' does not go with"),
            (JPEG, "image/jp2", "does not go with"),
            (JPEG, "text/plain", "does not go with"),
            (J2K, f"image/jp2; transfer-syntax={JPEG}", f"bulk data in {JPEG}, but the TransferSyntaxUID is {J2K}"),
            (EXPLICIT_LE, f"application/octet-stream; transfer-syntax={IMPLICIT_LE}", "bulk data in"),
            (J2K, f"image/jp2; TRANSFER-SYNTAX={JPEG}", "bulk data in"),
        ],
    )
    def test_those_that_do_not(self, syntax: str, content_type: str, words: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            check_bulk_type(self.file(syntax), content_type)
        assert words in caught.value.message

    def test_what_is_no_pixels_comes_as_octets(self) -> None:
        check_bulk_type(self.file(JPEG, 0x00281201), "application/octet-stream")
        with pytest.raises(InvalidArgument, match="does not go with"):
            check_bulk_type(self.file(JPEG, 0x00281201), "image/jpeg")

    def test_pixels_do_not_come_in_the_type_of_a_document(self) -> None:
        """(0042,0012) speaks of (0042,0011) alone."""
        named = {"_00420012": {"vr": "LO", "Value": ["application/pdf"]}}
        document = encode_instance(instance(**named, _00420011={"vr": "OB", "BulkDataURI": "x"}))
        check_bulk_type(document, "application/pdf")
        pixels = encode_instance(instance(**named, _7FE00010={"vr": "OW", "BulkDataURI": "x"}))
        with pytest.raises(InvalidArgument, match="'application/pdf' does not go with"):
            check_bulk_type(pixels, "application/pdf")
