"""The proof that a rewritten data set is the old one, and the border to the library that reads attributes of pixels."""

from __future__ import annotations

from struct import pack

import pytest
from tests.dicom.test_round_trips import written
from tests.pixels.instances import Opened
from tests.support.datasets import FILES
from tests.support.dicom import element

from gantry.dicom import image_attributes, transcoding
from gantry.dicom.buffers import Held
from gantry.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet
from gantry.dicom.forms import IMPLICIT_LE as IMPLICIT_LE_UID
from gantry.dicom.open_source import read_instance
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.dicom.rewriting import place_elements, require_same, rewrite
from gantry.errors import Internal, InvalidArgument


def item(content: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


NAME = element(0x0010, 0x0010, b"PN", "Doe^John")
CODE = element(0x0008, 0x0100, b"SH", "C1")
CODES = element(0x0008, 0x1032, b"SQ", item(CODE) + item(CODE))
WHOLE = CODES + NAME


@pytest.mark.parametrize(
    "tampered",
    [
        CODES,
        WHOLE + element(0x0010, 0x0020, b"LO", "P1"),
        CODES + element(0x0010, 0x0010, b"PN", "Doe^Jane"),
        element(0x0008, 0x1032, b"SQ", item(CODE)) + NAME,
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(element(0x0008, 0x0100, b"SH", "C2"))) + NAME,
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(CODE) + item(b"")) + NAME,
        WHOLE[:-1],
    ],
)
@pytest.mark.parametrize("target", [EXPLICIT_LE, IMPLICIT_LE])
def test_anything_else_than_the_old_data_set_is_a_mistake(tampered: bytes, target: object) -> None:
    """Elements, items and bytes that are missing, more, or other ones."""
    old = DataSet(WHOLE, EXPLICIT_LE)
    right = b"".join(rewrite(old, place_elements(old), {}, target))  # type: ignore[arg-type]
    require_same(old, place_elements(old), {}, DataSet(right, target))  # type: ignore[arg-type]
    other = DataSet(tampered, EXPLICIT_LE)
    try:
        wrong = b"".join(rewrite(other, place_elements(other), {}, target))  # type: ignore[arg-type]
    except InvalidArgument:
        wrong = tampered
    with pytest.raises(Internal):
        require_same(old, place_elements(old), {}, DataSet(wrong, target))  # type: ignore[arg-type]


def test_an_instance_that_was_written_wrong_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding, "rewrite", lambda *_: [b""])
    with pytest.raises(Internal):
        written(FILES["private-explicit"], IMPLICIT_LE_UID)


def test_attributes_that_the_library_loses_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that swallows elements gives fewer tags than were told apart."""
    data = FILES["16-bits-big-endian"]
    whole = image_attributes.read_dataset

    def swallow(*arguments: object) -> object:
        found = whole(*arguments)
        del found[0x00280010]
        return found

    monkeypatch.setattr(image_attributes, "read_dataset", swallow)
    with pytest.raises(InvalidArgument, match="attributes that describe the pixels"):
        _ = read_instance(Held(data)).source


def test_where_long_values_end_is_kept_with_the_header() -> None:
    """Also behind a value that was cut; so that a search need not walk what it does not look for."""
    long = pack("<HH2s2xI", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF) + item(element(0x0040, 0x0007, b"LO", "x" * 60)) * 40
    long += pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = FILES["long-explicit"] + long
    opened = Opened(data)
    layout = read_header(opened.read_at, opened.size).layout
    assert layout.cuts
    found = read_header_bytes(opened.read_at, opened.size, layout)
    assert found is not None
    again = type(found).from_bytes(found.to_bytes())
    assert again == found and found.ends
    for start, end in found.ends:
        assert found.body[end : end + 8] == pack("<HHI", 0xFFFE, 0xE0DD, 0)
        assert DataSet(found.body, found.encoding).find_end(start, len(found.body), found.encoding) == end


def test_stray_delimiters_between_items_are_passed_over() -> None:
    """As dcmtk does (some writers end items of defined length with one)."""
    stray = pack("<HHI", 0xFFFE, 0xE00D, 0)
    data_set = DataSet(element(0x0008, 0x1032, b"SQ", item(CODE) + stray + item(CODE) + stray) + NAME, EXPLICIT_LE)
    sequence, name = data_set.elements()
    assert [len(list(each.elements())) for each in data_set.read_items(sequence)] == [1, 1]
    assert name.tag == 0x00100010
