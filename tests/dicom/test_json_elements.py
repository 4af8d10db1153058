"""DICOM JSON elements to bytes (PS3.18 §F.2, PS3.5 §6.2, §7.1): every expected byte is written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.dicom.elements import MAX_DEPTH
from gantry.dicom.json_elements import BulkValue, ElementEncoder, by_tag, character_set_of, name_of, to_json
from gantry.errors import InvalidArgument

UTF_8, LATIN_1 = "ISO_IR 192", "ISO_IR 100"
EXPLICIT, IMPLICIT = ElementEncoder(False, UTF_8), ElementEncoder(True, UTF_8)
Json = Any


def encode(attributes: Json, encoder: ElementEncoder = EXPLICIT) -> bytes:
    return encoder.encode(by_tag(attributes))


def refuse(attributes: Json, *words: str, encoder: ElementEncoder = EXPLICIT) -> str:
    with pytest.raises(InvalidArgument) as caught:
        encode(attributes, encoder)
    for word in words:
        assert word in caught.value.message, caught.value.message
    assert len(caught.value.message) < 1000
    return caught.value.message


# Tags whose VR in PS3.6 is the key.
TAGS = {
    "AE": "00080055", "AS": "00101010", "AT": "00280009", "CS": "00080060", "DA": "00080020", "DS": "00281050",
    "DT": "0008002A", "FD": "00189073", "FL": "00720076", "IS": "00200013", "LO": "00081030", "LT": "00104000",
    "OB": "00420011", "OD": "00701A05", "OF": "00640009", "OL": "00660129", "OV": "7FE00001", "OW": "00281201",
    "PN": "00100010", "SH": "00080050", "SL": "00186020", "SQ": "00081140", "SS": "0072007E", "ST": "00080081",
    "SV": "00720082", "TM": "00080030", "UC": "00080119", "UI": "0020000D", "UL": "00081161", "UN": "00091001",
    "UR": "00081190", "US": "00280010", "UT": "0040A160", "UV": "00720083",
}  # fmt: skip
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")

VALUES: list[tuple[str, list[Json], bytes]] = [
    ("AE", ["STORESCP"], b"STORESCP"),
    ("AS", ["018M"], b"018M"),
    ("AT", ["00180063", "0018106A"], b"\x18\0\x63\0\x18\0\x6a\x10"),
    ("CS", ["ORIGINAL", "PRIMARY"], b"ORIGINAL\\PRIMARY"),
    ("CS", ["CT", None, "MR"], b"CT\\\\MR"),
    ("CS", [None], b""),
    ("CS", [], b""),
    ("DA", ["19930822"], b"19930822"),
    ("DS", [40, -1.5, "2.50"], b"40\\-1.5\\2.50"),
    ("DS", [40.0, None], b"40.0\\ "),
    ("DS", [1 / 3], b"0.33333333333333"),
    ("DT", ["20240229135960.123456+0100"], b"20240229135960.123456+0100"),
    ("FD", [1.5, -0.0], b"\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\0\x80"),
    ("FD", ["NaN", "Infinity", "-Infinity"], b"\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\xf0\x7f\0\0\0\0\0\0\xf0\xff"),
    ("FD", ["inf", "-inf"], b"\0\0\0\0\0\0\xf0\x7f\0\0\0\0\0\0\xf0\xff"),
    ("FL", [1.5, 2], b"\0\0\xc0\x3f\0\0\0\x40"),
    ("IS", [5, "-07", 3.0], b"5\\-07\\3 "),
    ("LO", ["Größe"], "Größe ".encode()),
    ("LT", ["a\\b\r\n"], b"a\\b\r\n "),
    ("PN", [{"Alphabetic": "Doe^John"}], b"Doe^John"),
    ("PN", [{"Alphabetic": "A", "Ideographic": "山", "Phonetic": "ya"}], "A=山=ya".encode()),
    ("PN", [{"Ideographic": "山"}], "=山".encode()),
    ("PN", [{"Phonetic": "ya"}, {"Alphabetic": "B"}], b"==ya\\B"),
    ("PN", [{}, {"Alphabetic": "", "Phonetic": ""}, None], b"\\\\"),
    ("SH", ["A", "B"], b"A\\B "),
    ("SL", [-1, 2147483647, -2147483648], b"\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\x80"),
    ("SS", [-2, 32767, -32768], b"\xfe\xff\xff\x7f\0\x80"),
    ("ST", ["a\\b"], b"a\\b "),
    ("SV", [-1, "-2", "+3"], b"\xff" * 8 + b"\xfe" + b"\xff" * 7 + b"\3" + bytes(7)),
    ("TM", ["101559.1"], b"101559.1"),
    ("UC", ["a", "b"], b"a\\b "),
    ("UI", ["1.2.3", "1.2"], b"1.2.3\\1.2\0"),
    ("UL", [4294967295, 1.0], b"\xff\xff\xff\xff\1\0\0\0"),
    ("UR", ["http://h/a\\b"], b"http://h/a\\b"),
    ("US", [0, 65535, 258], b"\0\0\xff\xff\2\1"),
    ("UT", ["é\n"], "é\n ".encode()),
    ("UV", [18446744073709551615, "1"], b"\xff" * 8 + b"\1" + bytes(7)),
]  # fmt: skip


def even(value: bytes, vr: str) -> bytes:
    return value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)


@pytest.mark.parametrize(("vr", "values", "expected"), VALUES)
def test_values(vr: str, values: list[Json], expected: bytes) -> None:
    tag, value = TAGS[vr], even(expected, vr)
    start = bytes((int(tag[2:4], 16), int(tag[:2], 16), int(tag[6:], 16), int(tag[4:6], 16)))
    length = len(value).to_bytes(4, "little")
    explicit = vr.encode() + (b"\0\0" + length if vr in LONG else length[:2])
    assert encode({tag: {"vr": vr, "Value": values}}) == start + explicit + value
    assert encode({tag: {"vr": vr, "Value": values}}, IMPLICIT) == start + length + value


OCTETS = [("OB", b"\1"), ("OW", b"\1\2"), ("OF", b"\1\2\3\4"), ("OL", b"\1\2\3\4"), ("OD", bytes(8)), ("OV", bytes(8)),
          ("UN", b"\1\2\3")]  # fmt: skip
BASE64 = {b"\1": "AQ==", b"\1\2": "AQI=", b"\1\2\3": "AQID", b"\1\2\3\4": "AQIDBA==", bytes(8): "AAAAAAAAAAA="}


@pytest.mark.parametrize(("vr", "value"), OCTETS)
def test_bytes_and_their_padding(vr: str, value: bytes) -> None:
    """PS3.18 §F.2.7; PS3.5 §7.1: a zero makes the length even."""
    padded = value + b"\0" * (len(value) % 2)
    made = encode({TAGS[vr]: {"vr": vr, "InlineBinary": BASE64[value]}})
    assert made[4:] == vr.encode() + b"\0\0" + len(padded).to_bytes(4, "little") + padded
    empty = vr.encode() + bytes(6)
    assert encode({TAGS[vr]: {"vr": vr}})[4:] == encode({TAGS[vr]: {"vr": vr, "InlineBinary": ""}})[4:] == empty


@pytest.mark.parametrize(
    ("vr", "text"),
    [("OW", "AQ=="), ("OW", "AQID"), ("OF", "AQI="), ("OL", "AQID"), ("OD", "AQIDBA=="), ("OV", "AQIDBA==")],
)
def test_half_words_are_refused(vr: str, text: str) -> None:
    refuse({TAGS[vr]: {"vr": vr, "InlineBinary": text}}, f"({TAGS[vr]})", "are no whole number of")


@pytest.mark.parametrize(
    "value", ["A", "A===", "AQ=", "AQ==AQ==", "A!==", "A Q=", "AQ\n==", "é", 1, None, ["AQ=="], {}]
)
def test_what_is_no_base64(value: Json) -> None:
    refuse({"00420011": {"vr": "OB", "InlineBinary": value}}, "InlineBinary")


class TestWhereElementsStand:
    def test_in_the_order_of_tags_and_without_group_lengths(self) -> None:
        """PS3.5 §7.1, §7.2"""
        attributes = {"00100020": {"vr": "LO", "Value": ["P1"]}, "00080000": {"vr": "UL", "Value": [99]},
                      "00080060": {"vr": "CS", "Value": ["CT"]}, "00100000": {"vr": "UL", "Value": [1]}}  # fmt: skip
        assert encode(attributes) == b"\x08\0\x60\0CS\2\0CT" + b"\x10\0\x20\0LO\2\0P1"

    def test_items_have_defined_lengths(self) -> None:
        """PS3.5 §7.5"""
        inner = {"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081150": {"vr": "UI", "Value": ["1.3"]}}
        attributes = {"00081140": {"vr": "SQ", "Value": [inner, {}]}}
        body = b"\x08\0\x50\x11UI\4\x001.3\0" + b"\x08\0\x55\x11UI\4\x001.2\0"
        items = b"\xfe\xff\0\xe0\x18\0\0\0" + body + b"\xfe\xff\0\xe0\0\0\0\0"
        assert encode(attributes) == b"\x08\0\x40\x11SQ\0\0\x28\0\0\0" + items
        body = b"\x08\0\x50\x11\4\0\0\x001.3\0" + b"\x08\0\x55\x11\4\0\0\x001.2\0"
        items = b"\xfe\xff\0\xe0\x18\0\0\0" + body + b"\xfe\xff\0\xe0\0\0\0\0"
        assert encode(attributes, IMPLICIT) == b"\x08\0\x40\x11\x28\0\0\0" + items

    def test_a_sequence_without_items(self) -> None:
        for element in ({"vr": "SQ"}, {"vr": "SQ", "Value": []}):
            assert encode({"00081140": element}) == b"\x08\0\x40\x11SQ\0\0\0\0\0\0"

    def test_an_item_has_a_character_set_of_its_own(self) -> None:
        """PS3.5 §7.5.3; below it that set goes on, beside it the outer one does."""
        name = {"00081030": {"vr": "LO", "Value": ["é"]}}
        inner = {"00080005": {"vr": "CS", "Value": [LATIN_1]}, "00081140": {"vr": "SQ", "Value": [name]}, **name}
        made = encode({"00081140": {"vr": "SQ", "Value": [inner, name]}})
        latin, utf_8 = b"\x08\0\x30\x10LO\2\0\xe9 ", b"\x08\0\x30\x10LO\2\0\xc3\xa9"
        assert (made.count(latin), made.count(utf_8)) == (2, 1)
        assert made.endswith(utf_8)

    def test_depth(self) -> None:
        def nested(levels: int) -> Json:
            attributes: Json = {}
            for _ in range(levels):
                attributes = {"00081140": {"vr": "SQ", "Value": [attributes]}}
            return attributes

        assert len(encode(nested(MAX_DEPTH))) == 20 * MAX_DEPTH
        refuse(nested(MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels")

    def test_a_message_from_the_depth_is_short(self) -> None:
        attributes: Json = {"00080100": {"vr": "SH", "Value": [1]}}
        for _ in range(MAX_DEPTH):
            attributes = {"00081140": {"vr": "SQ", "Value": [attributes]}}
        assert len(refuse(attributes, "/0/CodeValue (00080100) cannot be written")) < 600

    def test_the_message_names_the_place(self) -> None:
        wrong = {"00081155": {"vr": "UI", "Value": ["x"]}}
        attributes = {"00081140": {"vr": "SQ", "Value": [{}, {"00081140": {"vr": "SQ", "Value": [wrong]}}]}}
        place = "ReferencedImageSequence (00081140)"
        assert refuse(attributes).startswith(
            f"{place}/1/{place}/0/ReferencedSOPInstanceUID (00081155) cannot be written"
        )


class TestWhatIsNoAttribute:
    """PS3.18 §F.2.2"""

    @pytest.mark.parametrize("attributes", [None, [], "x", 1, True])
    def test_no_object(self, attributes: Json) -> None:
        refuse(attributes, "an instance is no JSON object of attributes")

    @pytest.mark.parametrize("item", [None, [], "x", 1])
    def test_an_item_that_is_no_object(self, item: Json) -> None:
        refuse({"00081140": {"vr": "SQ", "Value": [{}, item]}}, "00081140)/1/is no JSON object")

    @pytest.mark.parametrize(
        "key", ["", "0010001", "001000100", "0010001G", "PatientName", "0010,0010", " 00100010", "٠٠١٠٠٠١٠"]
    )
    def test_keys_that_are_no_tag(self, key: str) -> None:
        refuse({key: {"vr": "PN"}}, repr(key), "8 hexadecimal digits")

    @pytest.mark.parametrize("element", [None, [], "x", {}, {"vr": None}, {"vr": 1}, {"VR": "PN"}, {"Value": []}])
    def test_elements_without_a_vr(self, element: Json) -> None:
        refuse({"00100010": element}, "'00100010' is not an attribute")

    @pytest.mark.parametrize("vr", ["", "XX", "pn", "PNX", "OX", "US or SS"])
    def test_what_is_no_vr(self, vr: str) -> None:
        refuse({"00100010": {"vr": vr}}, "is no VR")

    def test_a_tag_in_both_cases(self) -> None:
        refuse({"0020000D": {"vr": "UI"}, "0020000d": {"vr": "UI"}}, "is there twice")
        assert encode({"0020000d": {"vr": "UI"}}) == b"\x20\0\x0d\0UI\0\0"

    @pytest.mark.parametrize(
        "tag", ["00000002", "00010010", "00040010", "00060010", "00070010", "FFFEE000", "FFFF0010"]
    )
    def test_groups_that_no_data_set_has(self, tag: str) -> None:
        refuse({tag: {"vr": "UL"}}, tag, "cannot be in a dataset")

    def test_the_meta_group_stands_at_the_top_alone(self) -> None:
        assert by_tag({"00020010": {"vr": "UI"}}) == {0x00020010: {"vr": "UI"}}
        refuse({"00081140": {"vr": "SQ", "Value": [{"00020010": {"vr": "UI"}}]}}, "cannot be in a dataset")

    @pytest.mark.parametrize("member", ["value", "Values", "inlineBinary", "keyword", "privateCreator"])
    def test_members_that_it_does_not_know(self, member: str) -> None:
        refuse({"00100010": {"vr": "PN", member: []}}, member)

    @pytest.mark.parametrize(
        "two", [("Value", "InlineBinary"), ("Value", "BulkDataURI"), ("InlineBinary", "BulkDataURI")]
    )
    def test_two_kinds_of_value(self, two: tuple[str, str]) -> None:
        refuse(
            {"00420011": {"vr": "OB", **dict.fromkeys(two, "")}}, "more than one of Value, InlineBinary, BulkDataURI"
        )

    @pytest.mark.parametrize("value", [None, "x", 1, {}, True])
    def test_a_value_that_is_no_array(self, value: Json) -> None:
        for vr in ("PN", "US", "SQ", "AT", "LT"):
            refuse({TAGS[vr]: {"vr": vr, "Value": value}}, "Value is no array")

    def test_kinds_that_do_not_go_with_the_vr(self) -> None:
        refuse({"00100020": {"vr": "LO", "InlineBinary": "AQ=="}}, "InlineBinary is for OB, OD, OF, OL, OV, OW, UN")
        refuse({"00420011": {"vr": "OB", "Value": ["AQ=="]}}, "InlineBinary")
        refuse({"00420011": {"vr": "OB", "BulkDataURI": "x"}}, "no BulkDataURI")


REFUSED: list[tuple[str, Json]] = [
    ("AT", "0018006"), ("AT", "0018,0063"), ("AT", 1), ("AT", None), ("AT", "0018006G"), ("AT", "001800634"),
    ("CS", "ct"), ("CS", 1), ("CS", ["CT"]), ("CS", "C\\T"), ("CS", "CÉ"),
    ("DS", "1,5"), ("DS", True), ("DS", float("nan")), ("DS", float("inf")), ("DS", {}), ("DS", "NaN"),
    ("FD", "1.5"), ("FD", True), ("FD", None), ("FD", "nan"), ("FD", float("nan")), ("FD", float("inf")), ("FL", 1e39),
    ("IS", 1.5), ("IS", "1.5"), ("IS", 2147483648), ("IS", True), ("IS", "x"), ("IS", float("nan")),
    ("LO", 1), ("LO", "x" * 65), ("LO", "a\\b"), ("LO", "a\0"), ("LO", "\ufffd"), ("LO", "\ud800"), ("LO", {}),
    ("LT", "a\0b"), ("LT", 1),
    ("PN", "Doe^John"), ("PN", {"alphabetic": "x"}), ("PN", {"Alphabetic": "A=B"}), ("PN", {"Alphabetic": None}),
    ("PN", {"Alphabetic": 1}), ("PN", {"Alphabetic": "a\\b"}), ("PN", ["x"]), ("PN", {"Alphabetic": "x" * 65}),
    ("SL", 2147483648), ("SL", 0.5), ("SL", "1"), ("SS", 32768), ("SS", -32769), ("SS", True), ("SS", None),
    ("SV", 1 << 63), ("SV", "1.0"), ("SV", "x"), ("SV", ""), ("SV", "1" * 21),
    ("UI", "1..2"), ("UI", 1), ("UL", -1), ("UL", 1 << 32), ("UL", "1"), ("UR", "a b"), ("US", 65536), ("US", -1),
    ("US", 1.5), ("US", "1"), ("US", float("inf")), ("UV", -1), ("UV", 1 << 64), ("UV", "-1"),
]  # fmt: skip


@pytest.mark.parametrize(("vr", "value"), REFUSED)
def test_values_that_the_vr_cannot_have(vr: str, value: Json) -> None:
    refuse({TAGS[vr]: {"vr": vr, "Value": [value]}}, f"({TAGS[vr]}) cannot be written: ")


@pytest.mark.parametrize("vr", ["LT", "ST", "UR", "UT"])
def test_texts_of_one_value(vr: str) -> None:
    """PS3.5 §6.2: a backslash between two would become text of one."""
    refuse({TAGS[vr]: {"vr": vr, "Value": ["a", "b"]}}, f"{vr} has one value, not 2")


def test_text_that_the_character_set_does_not_have() -> None:
    encoder = ElementEncoder(False, LATIN_1)
    assert encode({"00081030": {"vr": "LO", "Value": ["é"]}}, encoder) == b"\x08\0\x30\x10LO\2\0\xe9 "
    refuse({"00081030": {"vr": "LO", "Value": ["山"]}}, "StudyDescription (00081030)", encoder=encoder)


class TestImplicitVr:
    """PS3.5 §7.1.3: nobody reads a VR there, so that of the dictionary must be right."""

    def test_another_vr_than_the_dictionary_has(self) -> None:
        refuse({"00100020": {"vr": "SH", "Value": ["x"]}}, "it is LO, not SH", encoder=IMPLICIT)
        assert encode({"00100020": {"vr": "SH", "Value": ["x"]}}) == b"\x10\0\x20\0SH\2\0x "

    def test_one_of_several_and_unknown_ones(self) -> None:
        assert encode({"00280106": {"vr": "SS", "Value": [-1]}}, IMPLICIT) == b"\x28\0\x06\1\2\0\0\0\xff\xff"
        assert encode({"00280106": {"vr": "US", "Value": [1]}}, IMPLICIT) == b"\x28\0\x06\1\2\0\0\0\1\0"
        refuse({"00280106": {"vr": "UL", "Value": [1]}}, "US", encoder=IMPLICIT)
        assert encode({"00100020": {"vr": "UN", "InlineBinary": "AQI="}}, IMPLICIT) == b"\x10\0\x20\0\2\0\0\0\1\2"
        assert encode({"00091001": {"vr": "LO", "Value": ["x"]}}, IMPLICIT) == b"\x09\0\1\x10\2\0\0\0x "


class TestLengths:
    """PS3.5 §6.2.2, §7.1.2"""

    def test_the_longest_of_16_bits(self) -> None:
        values = [1] * 0x7FFF
        made = encode({"00280009": {"vr": "AT", "Value": ["00000000"] * 0x3FFF}})
        assert made[:8] == b"\x28\0\x09\0AT\xfc\xff" and len(made) == 8 + 0xFFFC
        made = encode({"00280010": {"vr": "US", "Value": values}})
        assert made[:8] == b"\x28\0\x10\0US\xfe\xff" and len(made) == 8 + 0xFFFE

    def test_what_is_longer_is_un_where_the_dictionary_knows_it(self) -> None:
        made = encode({"00280010": {"vr": "US", "Value": [1] * 0x8000}})
        assert made[:12] == b"\x28\0\x10\0UN\0\0\0\0\1\0" and len(made) == 12 + 0x10000
        refuse({"00091001": {"vr": "US", "Value": [1] * 0x8000}}, "65536 bytes are more than a US can have")
        assert encode({"00091001": {"vr": "US", "Value": [1] * 0x8000}}, IMPLICIT)[:8] == b"\x09\0\1\x10\0\0\1\0"


class TestKnownElements:
    """What the old file had wrong may stay so; every other text must have its form."""

    def test_a_known_element_keeps_its_text(self) -> None:
        wrong = {"vr": "CS", "Value": ["ct é"]}
        encoder = ElementEncoder(False, UTF_8, frozenset([to_json(wrong)]))
        assert encode({"00080060": wrong}, encoder) == b"\x08\0\x60\0CS\4\0ct \xe9"
        refuse({"00080060": {"vr": "CS", "Value": ["ct f"]}}, "as CS has to be", encoder=encoder)
        refuse({"00080060": wrong}, "as CS has to be")

    def test_a_known_whole_number_with_a_fraction(self) -> None:
        element = {"vr": "IS", "Value": [1.5]}
        encoder = ElementEncoder(False, UTF_8, frozenset([to_json(element)]))
        assert encode({"00200013": element}, encoder) == b"\x20\0\x13\0IS\4\x001.5 "

    @pytest.mark.parametrize("text", ["a\\b", "a\0b"])
    def test_a_known_text_is_still_one_value(self, text: str) -> None:
        element = {"vr": "LO", "Value": [text]}
        encoder = ElementEncoder(False, UTF_8, frozenset([to_json(element)]))
        refuse({"00081030": element}, "a zero or a backslash", encoder=encoder)

    def test_a_known_element_is_still_json_that_can_be_written(self) -> None:
        element = {"vr": "PN", "Value": [{"Alphabetic": "A=B"}]}
        encoder = ElementEncoder(False, UTF_8, frozenset([to_json(element)]))
        refuse({"00100010": element}, "without =", encoder=encoder)


class TestBulkValues:
    def test_they_are_found_by_address_tag_and_vr(self) -> None:
        asked: list[tuple[Json, int, str]] = []

        def find(uri: Json, tag: int, vr: str) -> BulkValue:
            asked.append((uri, tag, vr))
            return BulkValue(b"\1\2\3", has_fragments=False)

        encoder = ElementEncoder(False, UTF_8, find_bulk=find)
        attributes = {"00420011": {"vr": "OB", "BulkDataURI": "u"}}
        assert encode(attributes, encoder) == b"\x42\0\x11\0OB\0\0\3\0\0\0\1\2\3", "as long as it was"
        assert asked == [("u", 0x00420011, "OB")]

    def test_fragments_end_with_a_delimiter(self) -> None:
        encoder = ElementEncoder(False, UTF_8, find_bulk=lambda *_: BulkValue(b"frag", has_fragments=True))
        made = encode({"7FE00010": {"vr": "OB", "BulkDataURI": "u"}}, encoder)
        assert made == b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xfffrag" + b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (None, ""),
        ({"vr": "CS"}, ""),
        ({"vr": "CS", "Value": "x"}, ""),
        ({"vr": "CS", "Value": ["ISO_IR 100"]}, "ISO_IR 100"),
        ({"vr": "CS", "Value": [None, "ISO 2022 IR 87"]}, "\\ISO 2022 IR 87"),
    ],
)
def test_the_text_of_a_character_set(element: Json, expected: str) -> None:
    assert character_set_of(element) == expected


def test_names_of_tags_and_equal_json() -> None:
    assert (name_of(0x00100010), name_of(0x00091001)) == ("PatientName (00100010)", "(00091001)")
    assert to_json({"vr": "LO", "Value": [1]}) == to_json({"Value": [1], "vr": "LO"}) != to_json({"vr": "LO"})
    assert to_json([1]) != to_json([1.0])


def test_what_python_says_of_a_value_is_for_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("text of a library")

    monkeypatch.setattr("gantry.dicom.json_elements.encode", fail)
    with pytest.raises(InvalidArgument) as caught:
        ElementEncoder(False, "ISO_IR 192").encode({0x00100010: {"vr": "PN", "Value": [{"Alphabetic": "A"}]}})
    assert caught.value.message == "PatientName (00100010) cannot be written: it is no value that PN can have"
    assert "text of a library" in caplog.text


@pytest.mark.parametrize(("vr", "tag"), [("FD", 0x00189073), ("FL", 0x00189308), ("DS", 0x00281050)])
def test_a_whole_number_that_no_float_can_be(vr: str, tag: int) -> None:
    with pytest.raises(InvalidArgument, match="cannot be written"):
        ElementEncoder(False, "ISO_IR 192").encode({tag: {"vr": vr, "Value": [10**400]}})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 200, "'" + "x" * 99 + " is no whole number"),
        ([[]], "list is no"),
        ({"a": 1}, "dict is no"),
        (1.5, "1.5 is"),
    ],
    ids=["text", "list", "object", "number"],
)
def test_a_message_shows_a_value_that_is_refused_as_far_as_it_is_short(value: Json, words: str) -> None:
    refuse({"00280010": {"vr": "US", "Value": [value]}}, f": {words}")
