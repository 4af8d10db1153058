"""PixelRepresentation, BitsAllocated and the size of the picture, as odd files have them: written twice, or as UN."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.pixels.instances import Opened
from tests.support.datasets import (
    BIG_UID,
    DEFLATED_UID,
    EXPLICIT_UID,
    ICONS,
    IMPLICIT_UID,
    SYNTAXES,
    Made,
    dataset,
    element,
    head,
    number,
    part10,
    sequence,
)
from tests.support.files import header_bytes_of
from tests.support.plain_reader import BIG

from gantry.dicom.buffers import FileValue
from gantry.dicom.bulk import find_bulk, parse_bulk_path
from gantry.dicom.forms import DICOM, Form
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import read_header
from gantry.dicom.representations import represent
from gantry.dicom.words import swap_words

NATIVE = [EXPLICIT_UID, IMPLICIT_UID, BIG_UID, DEFLATED_UID]
SMALLEST, SIGNED, BITS, PIXELS = 0x00280106, 0x00280103, 0x00280100, 0x7FE00010


def metadata_of(data: bytes) -> dict[str, Any]:
    return json.loads(dicom_json(header_bytes_of(data), "u"))  # type: ignore[no-any-return]


def bulk_of(data: bytes, path: str) -> bytes:
    found = find_bulk(Opened(data), parse_bulk_path(path))
    assert isinstance(found, bytes | FileValue)
    return bytes(found[:])


def described_twice(syntax: str) -> list[Made]:
    """First signed cells of 16 bits, then unsigned ones of 32."""
    e = SYNTAXES[syntax]
    cells = (PIXELS, head(PIXELS, "OW", 4, e) + b"\1\2\3\4")
    return [
        *(number(BITS, bits, e) for bits in (16, 32)),
        *(number(SIGNED, signed, e) for signed in (1, 0)),
        element(SMALLEST, "UN" if e.explicit else "SS", b"\xfe\xff", e),
        cells,
    ]


@pytest.mark.parametrize("target", [EXPLICIT_UID, IMPLICIT_UID])
@pytest.mark.parametrize("syntax", NATIVE)
def test_of_two_with_one_tag_the_first_counts_for_what_follows(syntax: str, target: str) -> None:
    """In metadata, bulk data and other transfer syntaxes alike, at the top level and in an item."""
    e = SYNTAXES[syntax]
    *inside, cells = described_twice(syntax)
    data = part10(dataset([*inside, sequence(ICONS, [[*inside, cells]], e)], e, pixels=cells), syntax)
    (part,) = represent(Opened(data), Form(DICOM, target), lambda: None)
    wanted = b"\2\1\4\3" if syntax == BIG_UID else b"\1\2\3\4"
    for each in (data, part.data):
        found = metadata_of(each)
        for place, members in (("", found), (f"{ICONS:08X}/0/", found[f"{ICONS:08X}"]["Value"][0])):
            assert members[f"{SMALLEST:08X}"] == {"vr": "SS", "Value": [-2]}, place
            assert bulk_of(each, f"{place}{PIXELS:08X}") == wanted, place


def test_an_item_has_its_own_for_what_is_around_it_says_something_else() -> None:
    e = SYNTAXES[IMPLICIT_UID]
    smallest = element(SMALLEST, "SS", b"\xfe\xff", e)
    items = [[number(SIGNED, 0, e), smallest], [smallest], [number(SIGNED, 1, e), number(SIGNED, 0, e), smallest]]
    data = part10(dataset([number(SIGNED, 1, e), sequence(ICONS, items, e)], e), IMPLICIT_UID)
    (part,) = represent(Opened(data), Form(DICOM, EXPLICIT_UID), lambda: None)
    for each in (data, part.data):
        found = [item[f"{SMALLEST:08X}"]["vr"] for item in metadata_of(each)[f"{ICONS:08X}"]["Value"]]
        assert found == ["US", "SS", "SS"]


def described_as_unknown(rows: int) -> bytes:
    """In big endian: as UN nothing is (PS3.5 §6.2.2)."""
    words = {0x00280010: rows, 0x00280011: 3, BITS: 16, 0x00280101: 16, 0x00280102: 15, SIGNED: 1}
    more = [element(tag, "UN", value.to_bytes(2, "little"), BIG) for tag, value in words.items()]
    value = swap_words(bytes(each % 256 for each in range(6 * rows)), 2)
    return part10(dataset(more, BIG, pixels=(PIXELS, head(PIXELS, "OW", len(value), BIG) + value)), BIG_UID)


def test_as_un_they_are_little_endian() -> None:
    """Several files in a row: heads of elements are known from the one before."""
    for rows in (2, 5, 7, 9, 300):
        data = described_as_unknown(rows)
        header = read_header(Opened(data).read_at, len(data))
        assert [header.numbers[tag] for tag in (0x00280010, 0x00280011, BITS)] == [rows, 3, 16]
        assert metadata_of(data)["00280010"]["Value"] == [rows]
        assert bulk_of(data, f"{PIXELS:08X}") == bytes(each % 256 for each in range(6 * rows))
