"""A file of a patched DICOM JSON object: what is not patched keeps its bytes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.pixels.instances import Opened
from tests.support.datasets import (
    BIG_UID,
    DEFLATED_UID,
    EXPLICIT_UID,
    IMPLICIT_UID,
    JPEG_UID,
    PROCEDURES,
    SYNTAXES,
    Made,
    dataset,
    element,
    fragments,
    part10,
    sequence,
)
from tests.support.files import header_bytes_of
from tests.support.plain_reader import EXPLICIT, find, read_file

from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import read_header
from gantry.dicom.updating import rebuild
from gantry.errors import DataLoss, FailedPrecondition, InvalidArgument

COMMENTS = "00104000"
UID, META = "1.2.826.0.9", 0x00020000
NATIVE = pytest.mark.parametrize("syntax", [EXPLICIT_UID, IMPLICIT_UID])


def metadata(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dicom_json(header_bytes_of(data), "u"))
    return found


def update(data: bytes, attributes: Any) -> bytes:
    """The new file."""
    opened = Opened(data)
    return b"".join(rebuild(opened, read_header(opened.read_at, len(data)), header_bytes_of(data), "u", attributes))


def patched(data: bytes, **changes: Any) -> bytes:
    """With other elements by ``_tag``; None takes one out."""
    attributes = metadata(data)
    for key, value in changes.items():
        attributes.pop(key[1:], None)
        if value is not None:
            attributes[key[1:]] = value
    return update(data, attributes)


def refuse(data: bytes, words: str, **changes: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        patched(data, **changes)
    assert words in caught.value.message, caught.value.message


def make(more: list[Made], syntax: str = EXPLICIT_UID, **kw: Any) -> bytes:
    return part10(dataset(more, SYNTAXES.get(syntax, EXPLICIT), **kw), syntax)


def bytes_by_tag(data: bytes) -> dict[int, bytes]:
    """Each top-level element's value as it stands in the file."""
    return {each.tag: each.value for each in read_file(data).elements}


@NATIVE
def test_one_element_changes_and_all_others_keep_their_bytes(syntax: str) -> None:
    """Also those that no writer of JSON would write so: odd padding, text outside of its form, private ones."""
    encoding = SYNTAXES[syntax]
    odd = [element(0x00080050, "SH", "a\0", encoding), element(0x00080070, "LO", " padded  ", encoding),
           element(0x00090010, "LO", "ACME", encoding), element(0x00091001, "UN", b"\1\2\3", encoding),
           element(0x00280030, "DS", "0.50\\ 0.500", encoding)]  # fmt: skip
    data = make(odd, syntax)
    made = patched(data, _00100020={"vr": "LO", "Value": ["New"]})
    before, after = bytes_by_tag(data), bytes_by_tag(made)
    assert after.pop(0x00100020) == b"New " and before.pop(0x00100020) == b"P1"
    assert after == before
    assert list(after) == list(before), "in the order of tags"


@NATIVE
def test_elements_are_added_in_their_place_and_removed(syntax: str) -> None:
    data = make([], syntax)
    made = patched(data, _00081030={"vr": "LO", "Value": ["Knee"]}, _00100010=None, _00080020=None)
    before, after = bytes_by_tag(data), bytes_by_tag(made)
    assert after == {tag: value for tag, value in before.items() if tag not in (0x00100010, 0x00080020)} | {
        0x00081030: b"Knee"
    }
    assert list(after) == sorted(after)


@NATIVE
def test_nothing_changes(syntax: str) -> None:
    data = make([], syntax)
    assert read_file(update(data, metadata(data))).body == read_file(data).body


def test_the_meta_group_stays_but_for_who_wrote_it() -> None:
    """PS3.10 §7.1: implementation class and version name the writer; the length is that of the group."""
    more = [element(0x00020016, "AE", "SCANNER ", EXPLICIT), element(0x00020100, "UI", "1.2\0", EXPLICIT),
            element(0x00020102, "OB", b"\1\2", EXPLICIT)]  # fmt: skip
    data = part10(dataset([], EXPLICIT), EXPLICIT_UID, more=more)
    made = patched(data, _00100020={"vr": "LO", "Value": ["New"]})
    before = {each.tag & 0xFFFF: each.value for each in read_file(data).meta}
    after = {each.tag & 0xFFFF: each.value for each in read_file(made).meta}
    own = (0, 0x12, 0x13)
    assert {key: value for key, value in after.items() if key not in own} == {
        key: value for key, value in before.items() if key not in own
    }
    assert int.from_bytes(after[0], "little") == made.index(b"\x08\0\x16\0UI") - 144
    assert after[0x12] != before[0x12] and after[0x13].startswith(b"GANTRY")


@NATIVE
def test_group_lengths_are_left_out_as_they_would_be_wrong(syntax: str) -> None:
    """PS3.5 §7.2: they are retired."""
    encoding = SYNTAXES[syntax]
    lengths = [element(group << 16, "UL", b"\x10\0\0\0", encoding) for group in (8, 0x10, 0x28)]
    data = make(lengths, syntax)
    made = bytes_by_tag(patched(data, _00100020={"vr": "LO", "Value": ["New"]}))
    assert made.keys() == bytes_by_tag(data).keys() - {0x00080000, 0x00100000, 0x00280000}


@pytest.mark.parametrize(
    "tag",
    ["00080016", "00080018", "0020000D", "0020000E", "00020002", "00020003", "00020010", "00020012", "00020016",
     "7FE00010", "7FE00008", "7FE00009"],
)  # fmt: skip
def test_uids_pixels_and_the_meta_group_stay(tag: str) -> None:
    data, vr = make([]), "OW" if tag.startswith("7FE0") else "UI"
    value = {"InlineBinary": "AAA="} if vr == "OW" else {"Value": ["1.2.3.9"]}
    words = f"({tag}) cannot be patched: UIDs, pixels and group 0002 stay as they are"
    refuse(data, words, **{f"_{tag}": {"vr": vr, **value}})
    if tag in metadata(data):
        refuse(data, words, **{f"_{tag}": None})


def test_what_are_no_attributes() -> None:
    data = make([])
    for attributes in ([], None, "x", {"00100020": {"vr": "LO"}, "0010002": {"vr": "LO"}}):
        with pytest.raises(InvalidArgument):
            update(data, attributes)


def test_a_key_in_both_cases() -> None:
    data = make([])
    refuse(data, "upper and in lower case", _0020000d={"vr": "UI", "Value": ["1.2"]})


PALETTE = element(0x00281201, "OW", bytes(range(256)) * 16, EXPLICIT)


class TestBulkValues:
    def test_they_are_copied_and_can_be_removed(self) -> None:
        data = make([PALETTE])
        made = patched(data, _00100020={"vr": "LO", "Value": ["New"]})
        assert bytes_by_tag(made)[0x00281201] == bytes(range(256)) * 16
        assert 0x00281201 not in bytes_by_tag(patched(data, _00281201=None))

    @pytest.mark.parametrize(
        "value",
        [{"vr": "OW", "InlineBinary": "AAA="}, {"vr": "OW"}, {"vr": "OW", "BulkDataURI": "u/00281202"},
         {"vr": "OW", "BulkDataURI": "http://elsewhere/x"}, {"vr": "OB", "BulkDataURI": "u/00281201"}],
    )  # fmt: skip
    def test_they_are_not_replaced(self, value: Any) -> None:
        refuse(make([PALETTE]), "(00281201) cannot be patched: bulk data stays as it is", _00281201=value)

    def test_none_is_added(self) -> None:
        refuse(make([PALETTE]), "(00281202) cannot be patched", _00281202={"vr": "OW", "BulkDataURI": "u/00281201"})

    def test_those_of_items_move_with_them(self) -> None:
        values = [bytes([number]) * 4000 for number in (1, 2)]
        items = [[element(0x00281201, "OW", value, EXPLICIT)] for value in values]
        data = make([sequence(PROCEDURES, items, EXPLICIT)])
        wanted = metadata(data)
        wanted[f"{PROCEDURES:08X}"]["Value"].reverse()
        made = read_file(update(data, wanted)).elements
        found = [find(made, (PROCEDURES, number, 0x00281201))[0].value for number in (0, 1)]
        assert found == [values[1], values[0]]

    @pytest.mark.parametrize(
        "value",
        [{"vr": "OW", "BulkDataURI": "http://elsewhere/00281201"}, {"vr": "OW", "BulkDataURI": "u/00281202"},
         {"vr": "OB", "BulkDataURI": f"u/{PROCEDURES:08X}/0/00281201"}, {"vr": "OW", "BulkDataURI": 1},
         {"vr": "OW", "BulkDataURI": f"u/{PROCEDURES:08X}/1/00281201"}, {"vr": "OW", "BulkDataURI": "u/7FE00010"},
         {"vr": "OW", "InlineBinary": "AAA="}, {"vr": "LO", "Value": ["x"]}, {"vr": "OW"}],
    )  # fmt: skip
    def test_those_of_items_are_no_others(self, value: Any) -> None:
        """A value of another place, of another instance, or none, would be lost or falsified."""
        data = make([sequence(PROCEDURES, [[element(0x00281201, "OW", bytes(4000), EXPLICIT)]], EXPLICIT)])
        refuse(data, "", **{f"_{PROCEDURES:08X}": {"vr": "SQ", "Value": [{"00281201": value}]}})

    def test_one_in_the_place_of_another_that_has_moved(self) -> None:
        data = make([sequence(PROCEDURES, [[element(0x00281201, "OW", bytes(4000), EXPLICIT)]], EXPLICIT)])
        wanted = metadata(data)[f"{PROCEDURES:08X}"]
        wanted["Value"].insert(0, {"00281201": {"vr": "OW", "InlineBinary": "AQI="}})
        made = read_file(patched(data, **{f"_{PROCEDURES:08X}": wanted})).elements
        found = [find(made, (PROCEDURES, number, 0x00281201))[0].value for number in (0, 1)]
        assert found == [b"\1\2", bytes(4000)]

    def test_one_is_not_put_under_another_tag(self) -> None:
        data = make([sequence(PROCEDURES, [[element(0x00281201, "OW", bytes(4000), EXPLICIT)]], EXPLICIT)])
        value = {"vr": "OW", "BulkDataURI": f"u/{PROCEDURES:08X}/0/00281201"}
        wanted = {"vr": "SQ", "Value": [{"00281201": value, "00281202": value}]}
        refuse(data, "(00281202) cannot be written", **{f"_{PROCEDURES:08X}": wanted})

    @pytest.mark.parametrize("uri", [None, 1, ["u"], {}])
    def test_an_address_that_is_no_text(self, uri: Any) -> None:
        data = make([sequence(PROCEDURES, [[element(0x00281201, "OW", bytes(4000), EXPLICIT)]], EXPLICIT)])
        wanted = {"vr": "SQ", "Value": [{"00281201": {"vr": "OW", "BulkDataURI": uri}}]}
        refuse(data, "no such bulk data", **{f"_{PROCEDURES:08X}": wanted})

    def test_those_of_items_can_be_removed(self) -> None:
        data = make([sequence(PROCEDURES, [[element(0x00281201, "OW", bytes(4000), EXPLICIT)]], EXPLICIT)])
        made = patched(data, **{f"_{PROCEDURES:08X}": {"vr": "SQ", "Value": [{}]}})
        assert bytes_by_tag(made)[PROCEDURES] == b"\xfe\xff\0\xe0\0\0\0\0"

    def test_fragments_are_copied(self) -> None:
        pixels = fragments(0x7FE00010, [b"abcd", b"ef"])
        data = make([], JPEG_UID, pixels=pixels)
        made = patched(data, _00100020={"vr": "LO", "Value": ["New"]})
        assert made.endswith(pixels[1])

    def test_a_file_that_ends_in_the_middle_of_one(self) -> None:
        data = make([element(0x00281201, "OW", bytes(3 << 20), EXPLICIT)])
        attributes, header_bytes = metadata(data), header_bytes_of(data)
        opened, header = Opened(data), read_header(Opened(data).read_at, len(data))
        cut = Opened(data[: 1 << 20])
        attributes["00100020"] = {"vr": "LO", "Value": ["New"]}
        assert len(b"".join(rebuild(opened, header, header_bytes, "u", attributes))) > 3 << 20
        with pytest.raises(DataLoss, match="the old file ends at byte 1048576"):
            list(rebuild(cut, header, header_bytes, "u", attributes))


class TestCharacterSets:
    """Of an instance whose text is Latin-1 (PS3.3 §C.12.1.1.2)."""

    DATA = make(
        [
            element(0x00080005, "CS", "ISO_IR 100", EXPLICIT),
            element(0x00081030, "LO", b"Gr\xf6\xdfe ", EXPLICIT),
            sequence(PROCEDURES, [[element(0x00080104, "LO", b"\xe9 ", EXPLICIT)]], EXPLICIT),
        ]
    )

    def test_text_is_written_anew_in_another_one(self) -> None:
        made = patched(self.DATA, _00080005={"vr": "CS", "Value": ["ISO_IR 192"]})
        found = read_file(made).elements
        assert find(found, (0x00081030,))[0].value == "Größe ".encode()
        assert find(found, (PROCEDURES, 0, 0x00080104))[0].value == "é".encode()
        expected = metadata(self.DATA) | {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
        for found in (expected, after := metadata(made)):
            for key in [key for key in found if key.startswith("0002")]:
                del found[key]
        assert after == expected

    def test_bulk_values_beside_the_text_of_an_item_stay(self) -> None:
        item = [element(0x00080104, "LO", b"\xe9 ", EXPLICIT), element(0x00281201, "OW", bytes(4000), EXPLICIT)]
        latin = element(0x00080005, "CS", "ISO_IR 100", EXPLICIT)
        made = patched(
            make([latin, sequence(PROCEDURES, [item], EXPLICIT)]), _00080005={"vr": "CS", "Value": ["ISO_IR 192"]}
        )
        found = read_file(made).elements
        assert find(found, (PROCEDURES, 0, 0x00080104))[0].value == "é".encode()
        assert find(found, (PROCEDURES, 0, 0x00281201))[0].value == bytes(4000)

    def test_one_that_does_not_have_the_text(self) -> None:
        refuse(self.DATA, "(00081030) cannot be written", _00080005={"vr": "CS", "Value": ["ISO_IR 144"]})
        refuse(self.DATA, "(00081030) cannot be written", _00080005=None)

    def test_what_is_patched_or_removed_at_the_same_time_need_not_be_converted(self) -> None:
        """The new text counts, and what is gone does not."""
        other = {"vr": "CS", "Value": ["ISO_IR 144"]}
        sequence = {f"_{PROCEDURES:08X}": None}
        made = patched(self.DATA, _00080005=other, _00081030=None, **sequence)
        assert 0x00081030 not in bytes_by_tag(made)
        made = patched(self.DATA, _00080005=other, _00081030={"vr": "LO", "Value": ["Да"]}, **sequence)
        assert bytes_by_tag(made)[0x00081030] == b"\xb4\xd0"

    def test_text_that_could_not_be_read_is_not_written_as_if_it_had_been(self) -> None:
        data = make([element(0x00080005, "CS", "ISO_IR 192", EXPLICIT), element(0x00081030, "LO", b"\xff ", EXPLICIT)])
        refuse(data, "(00081030) cannot be converted", _00080005={"vr": "CS", "Value": ["ISO_IR 100"]})
        made = patched(data, _00100020={"vr": "LO", "Value": ["é"]})
        assert bytes_by_tag(made)[0x00081030] == b"\xff "
        assert bytes_by_tag(made)[0x00100020] == "é".encode()


@pytest.mark.parametrize("syntax", [BIG_UID, DEFLATED_UID])
def test_big_endian_and_deflated_ones_are_not_patched(syntax: str) -> None:
    with pytest.raises(FailedPrecondition, match="deflated or big endian"):
        patched(make([], syntax), _00100020={"vr": "LO", "Value": ["New"]})


def test_text_outside_of_its_form_may_stay_in_a_sequence_but_not_come() -> None:
    wrong = element(0x00080100, "SH", "x" * 18, EXPLICIT)
    data = make([sequence(PROCEDURES, [[wrong]], EXPLICIT)])
    wanted = copy.deepcopy(metadata(data)[f"{PROCEDURES:08X}"])
    wanted["Value"][0]["00080104"] = {"vr": "LO", "Value": ["new"]}
    made = patched(data, **{f"_{PROCEDURES:08X}": wanted})
    assert find(read_file(made).elements, (PROCEDURES, 0, 0x00080100))[0].value == b"x" * 18
    wanted["Value"][0]["00080100"]["Value"] = ["y" * 17]
    refuse(data, "as SH has to be", **{f"_{PROCEDURES:08X}": wanted})


@pytest.mark.parametrize("syntax", [EXPLICIT_UID, IMPLICIT_UID])
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280103, "US", b"\1"),
        (0x00280009, "AT", b"\x18\0\x63"),
        (0x00091001, "OB", b"abc"),
        (0x00091001, "UN", b"a"),
    ],
)
def test_bulk_values_of_odd_length_stay_where_their_sequence_changes(
    syntax: str, tag: int, vr: str, value: bytes
) -> None:
    """A byte more would make a number of what is none."""
    encoding = SYNTAXES[syntax]
    odd = element(tag, vr, value, encoding)
    data = part10(dataset([sequence(PROCEDURES, [[odd], [odd, odd]], encoding)], encoding), syntax)
    wanted = json.loads(dicom_json(header_bytes_of(data), "u"))
    wanted[f"{PROCEDURES:08X}"]["Value"][0][COMMENTS] = {"vr": "LT", "Value": ["odd"]}
    opened = Opened(data)
    made = b"".join(rebuild(opened, read_header(opened.read_at, len(data)), header_bytes_of(data), "u", wanted))
    found = json.loads(dicom_json(header_bytes_of(made), "u"))
    assert found[f"{PROCEDURES:08X}"] == wanted[f"{PROCEDURES:08X}"]
    for number in (0, 1):
        assert [each.value for each in find(read_file(made).elements, (PROCEDURES, number, tag))] == [value]
