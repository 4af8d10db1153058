"""``JsonWriter`` gives for every header what it would give alone, whatever headers it has seen before.

It compares a header with those before it, so what decides the meaning of equal bytes (encoding, character set,
PixelRepresentation) has to be that of each header.
"""

from __future__ import annotations

import json
from itertools import permutations, product
from typing import Any

import pytest
from tests.support.datasets import (
    BIG_UID,
    EXPLICIT_UID,
    FILES,
    IMPLICIT_UID,
    SEQUENCE_END,
    SYNTAXES,
    Made,
    dataset,
    element,
    head,
    item,
    part10,
    sequence,
)
from tests.support.files import header_bytes_of
from tests.support.plain_reader import BIG, EXPLICIT, IMPLICIT, UNDEFINED, Encoding

from gantry.dicom import json_drafts, json_model
from gantry.dicom.elements import DataSet, Item
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import JsonWriter, dicom_json
from gantry.dicom.json_templates import Draft


def header(more: list[Made], encoding: Encoding = EXPLICIT, number: int = 0) -> HeaderBytes:
    syntax = {EXPLICIT: EXPLICIT_UID, IMPLICIT: IMPLICIT_UID, BIG: BIG_UID}[encoding]
    uids = ("1.2.826.0.9", "1.2.826.0.9.0", f"1.2.826.0.9.{1000 + number}")
    return header_bytes_of(part10(dataset(more, encoding, uids=uids), syntax))


def alike(headers: list[HeaderBytes]) -> None:
    """Each as alone, in this order and fed again."""
    writer = JsonWriter()
    for number, one in enumerate([*headers, *headers]):
        assert json.loads(writer.write(one, f"u/{number}")) == json.loads(dicom_json(one, f"u/{number}")), number


@pytest.mark.parametrize("order", list(product(SYNTAXES, repeat=3)), ids="-".join)
def test_encodings_that_change(order: tuple[str, ...]) -> None:
    names = list(SYNTAXES)
    kinds = ("explicit", "implicit", "big-endian", "deflated")
    alike([header_bytes_of(FILES[f"private-{kinds[names.index(syntax)]}"]) for syntax in (*order, *order)])


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big"])
@pytest.mark.parametrize("order", list(permutations(["ISO_IR 100", "ISO_IR 192", "ISO_IR 144"], 2)), ids="-".join)
def test_character_sets_that_change_over_the_same_bytes(encoding: Encoding, order: tuple[str, str]) -> None:
    name, other = order
    sets = [name, other, name, name, other, other, name]
    more = [[element(0x00080005, "CS", each, encoding), element(0x00100010, "PN", b"M\xc3\xbcller ", encoding)]
            for each in sets]  # fmt: skip
    alike([header(each, encoding) for each in more])
    alike([header(each, encoding, number) for number, each in enumerate(more)])


def test_a_name_is_read_in_the_character_set_of_its_own_header() -> None:
    """What is compared above is right in the first place."""
    values = {"ISO_IR 100": "MÃ¼ller", "ISO_IR 192": "Müller"}
    writer, found = JsonWriter(), []
    sets = ["ISO_IR 100", "ISO_IR 192", "ISO_IR 100", "ISO_IR 100", "ISO_IR 192"]
    for number, each in enumerate(sets):
        more = [element(0x00080005, "CS", each, EXPLICIT), element(0x00100010, "PN", b"M\xc3\xbcller ", EXPLICIT)]
        text = writer.write(header(more, number=number), "u")
        found.append(json.loads(text)["00100010"]["Value"][0]["Alphabetic"])
    assert found == [values[each] for each in sets]


def test_a_header_without_a_character_set_is_not_read_in_that_of_the_one_before() -> None:
    name = element(0x00100010, "PN", b"M\xc3\xbcller ", EXPLICIT)
    with_set = [element(0x00080005, "CS", "ISO_IR 192", EXPLICIT), name]
    alike([header(more, number=n) for n, more in enumerate([with_set, [name], with_set, with_set, [name], [name]])])


@pytest.mark.parametrize("encoding", [IMPLICIT, EXPLICIT, BIG], ids=["implicit", "explicit", "big"])
@pytest.mark.parametrize("order", [(0, 1, 0), (1, 0, 1), (0, 0, 1, 1, 0), (1, 1, 0, 0, 1)], ids=str)
def test_pixel_representation_that_changes(encoding: Encoding, order: tuple[int, ...]) -> None:
    """It decides whether equal bytes are US or SS (PS3.5 §A.1)."""

    def one(signed: int, number: int) -> HeaderBytes:
        representation = element(0x00280103, "US", bytes((signed, 0)), encoding)
        smallest = element(0x00280106, "SS" if signed else "US", b"\xfe\xff", encoding)
        return header([representation, smallest, element(0x00280107, "US", b"\0\x10", encoding)], encoding, number)

    alike([one(signed, 0) for signed in order])
    alike([one(signed, number) for number, signed in enumerate(order)])


def test_the_order_of_bytes_that_changes_over_the_same_bytes() -> None:
    """A header whose bytes are the same in both orders but for the values of its words."""
    little, big = header([], EXPLICIT), header([], BIG)
    same = HeaderBytes(b"", b"\x28\x28\x10\x10US\x02\x02" + b"\1\2" * 0x101, (), True, True)
    alike([same, same._replace(little=False), same, same, same._replace(little=False), same._replace(little=False)])
    alike([little, big, little, little, big, big, little])


def test_explicit_and_implicit_over_the_same_bytes() -> None:
    body = element(0x00080060, "", "CT", IMPLICIT)[1]
    one = HeaderBytes(b"", body, (), False, True)
    alike([one, one, one, one])
    explicit = HeaderBytes(b"", element(0x00080060, "CS", "CT", EXPLICIT)[1], (), True, True)
    alike([explicit, explicit, one, explicit, one, one, explicit])


def test_values_left_out_that_change_places() -> None:
    """The same heads, of a value that is there and of one that is long and was left out."""
    long, short = (header([element(0x00091001, "OB", bytes(size), EXPLICIT)]) for size in (6000, 8))
    alike([long, short, long, long, short, short, long])
    pixels = [header([element(0x7FE00010, "OB", bytes(size), EXPLICIT)]) for size in (4, 6, 4)]
    alike([*pixels, *pixels])


def test_every_made_file_between_two_of_another() -> None:
    names = [name for name in FILES if "-200-" not in name and not name.startswith("numbers")]
    headers = [header_bytes_of(FILES[name]) for name in names]
    alone = [dicom_json(one, "u") for one in headers]
    for number, other in enumerate(headers):
        writer = JsonWriter()
        for position in (number - 1, number - 1, number, number - 1, number, number):
            expected = alone[position]
            assert json.loads(writer.write(headers[position], "u")) == json.loads(expected), names[number]
        assert other is headers[number]


# Items, of which the third one is compared with the two before ------------------------------------------------------

CODES, MEANING = 0x00081032, 0x00080104


def meaning(text: str, *more: Made, encoding: Encoding = EXPLICIT) -> list[Made]:
    return [element(MEANING, "LO", text, encoding), *more]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
def test_an_element_more_in_the_third_item(encoding: Encoding, defined: bool) -> None:
    more = element(0x00080105, "CS", "DCMR", encoding)
    items = [meaning(text, encoding=encoding) for text in ("AA", "BB")] + [meaning("CC", more, encoding=encoding)]
    found = json.loads(dicom_json(header([sequence(CODES, items, encoding, defined=defined)], encoding), "u"))
    values = [[value["Value"] for value in item.values()] for item in found[f"{CODES:08X}"]["Value"]]
    assert values == [[["AA"]], [["BB"]], [["CC"], ["DCMR"]]]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
def test_values_in_items_that_differ_are_all_that_is_read(
    encoding: Encoding, defined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the fourth header on. An item of defined length keeps it as long as its values do (PS3.5 §7.5.1)."""
    representation, texts = element(0x00280103, "US", b"\0\0", encoding), ("AA", "BB", "CC", "DD", "EE")
    codes = [sequence(CODES, [meaning(text, encoding=encoding)], encoding, defined=defined) for text in texts]
    headers = [header([one, representation], encoding, number) for number, one in enumerate(codes)]
    alone, writer = [dicom_json(one, "u") for one in headers], JsonWriter()
    for one in headers[:3]:
        writer.write(one, "u")
    monkeypatch.setattr(json_model._AlikeWriter, "write_in_full", lambda *_: pytest.fail("read in full"))
    assert [json.loads(writer.write(one, "u")) for one in headers[3:]] == [json.loads(text) for text in alone[3:]]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
def test_a_long_sequence_that_differs_is_all_that_is_read(
    encoding: Encoding, defined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the fourth header on, wherever in the sequence the difference is."""
    headers = []
    for number in range(5):
        items = [meaning(text, encoding=encoding) for text in ("AA", "BB", f"C{number}", "DD")]
        more = [sequence(CODES, items, encoding, defined=defined), element(0x00280103, "US", b"\0\0", encoding)]
        headers.append(header(more, encoding, number))
    alone, writer = [dicom_json(one, "u") for one in headers], JsonWriter()
    for one in headers[:3]:
        writer.write(one, "u")
    monkeypatch.setattr(json_model._AlikeWriter, "write_in_full", lambda *_: pytest.fail("read in full"))
    assert [json.loads(writer.write(one, "u")) for one in headers[3:]] == [json.loads(text) for text in alone[3:]]


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
def test_values_in_items_of_one_sequence_that_differ_are_all_that_is_read(
    encoding: Encoding, defined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the third item on."""
    texts, drafts = [f"{number:04}" for number in range(50)], list[int]()
    draft_elements = json_drafts.draft_elements

    def draft(data_set: DataSet, within: Item, *more: Any) -> Draft:
        drafts.append(within.start)
        return draft_elements(data_set, within, *more)

    monkeypatch.setattr(json_drafts, "draft_elements", draft)
    one = header([sequence(CODES, [meaning(text, encoding=encoding) for text in texts], encoding, defined=defined)],
                 encoding)  # fmt: skip
    found = json.loads(dicom_json(one, "u"))[f"{CODES:08X}"]["Value"]
    assert [each[f"{MEANING:08X}"]["Value"] for each in found] == [[text] for text in texts]
    assert len(drafts) == 2


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_a_value_that_reaches_beyond_its_item_in_the_third_header(encoding: Encoding) -> None:
    """The item of the others has the same length, and what follows it the same bytes."""
    after = element(0x00081090, "LO", "Scanner ", encoding)[1]

    def one(text: str, beyond: bytes = b"") -> HeaderBytes:
        long = element(MEANING, "LO", text.encode() + beyond, encoding)[1]
        value = item([(MEANING, long[: len(long) - len(beyond)])], encoding)
        codes = CODES, head(CODES, "SQ", len(value), encoding) + value
        return header([codes, (0x00081090, beyond + after)], encoding)

    last, writer = one("CC", after), JsonWriter()
    for before in (one("AA"), one("BB"), one("AB")):
        writer.write(before, "u")
    found = json.loads(writer.write(last, "u"))
    assert found[f"{CODES:08X}"] == {"vr": "UN", "BulkDataURI": f"u/{CODES:08X}"}
    assert found["00081090"]["Value"] == ["Scanner"]


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_a_value_that_reaches_beyond_its_item_in_a_sequence_of_undefined_length(encoding: Encoding) -> None:
    """The item of the others has the same length, and where the value ends the same bytes follow."""
    end = head(SEQUENCE_END, "", 0, encoding)
    between = element(0x00081040, "LO", b"Radiology " + end, encoding)[1]

    def one(text: str, beyond: bytes = b"", more: bytes = b"") -> HeaderBytes:
        long = element(MEANING, "LO", text.encode() + beyond, encoding)[1]
        value = item([(MEANING, long[: len(long) - len(beyond)])], encoding)
        codes = CODES, head(CODES, "SQ", UNDEFINED, encoding) + value + end + more
        return header([codes, element(0x00081090, "LO", "Scanner ", encoding)], encoding)

    last, writer = one("CC", end + between[: -len(end)], between), JsonWriter()
    for before in (one("AA"), one("BB"), one("AB")):
        writer.write(before, "u")
    found = json.loads(writer.write(last, "u"))
    assert found == json.loads(dicom_json(last, "u")) and "00081040" in found


def test_a_group_length_in_alike_headers_leaves_no_mark() -> None:
    """It is no member of the object, and no comma either (PS3.18 §F.2.2)."""
    headers = [
        header([element(0x00080000, "UL", bytes([number, 0, 0, 0]), EXPLICIT)], number=number) for number in range(4)
    ]
    alike(headers)
    alike(headers[:1] * 4)
