"""What a header says of its study and series: one attribute that cannot be read costs that attribute alone."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest
from tests.support.dicom import element

from gantry.dicom import attributes
from gantry.dicom.header_bytes import HeaderBytes
from gantry.matching import MAX_TEXT
from gantry.resources import HeaderAttributes

NAME = element(0x0010, 0x0010, b"PN", "Doe^John")
MODALITY = element(0x0008, 0x0060, b"CS", "CT")


def said(*elements: bytes) -> HeaderAttributes:
    return attributes.read_attributes(HeaderBytes(b"", b"".join(elements), (), True, True))


def broken_sequence(group: int, number: int) -> bytes:
    """Of defined length, with an item that claims to be longer than it."""
    return element(group, number, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 4000) + b"\0" * 8)


def test_a_header_that_can_be_read() -> None:
    found = said(MODALITY, NAME)
    assert (found.study.patient_name, found.series.modality, found.whole) == ("Doe^John", "CT", True)


@pytest.mark.parametrize("tag", [(0x0008, 0x1032), (0x0032, 0x1064), (0x0040, 0x0275)], ids=["study", "none", "series"])
def test_a_broken_sequence_costs_itself_alone(tag: tuple[int, int]) -> None:
    pieces = sorted([MODALITY, NAME, broken_sequence(*tag)], key=lambda piece: struct.unpack("<HH", piece[:4]))
    found = said(*pieces)
    assert (found.study.patient_name, found.series.modality) == ("Doe^John", "CT")
    for members in (found.study.members, found.study.more_members, found.series.members, found.series.more_members):
        json.loads(f"{{{members}}}")


def test_a_number_of_any_length_costs_nothing() -> None:
    digits = "9" * 5000
    found = said(MODALITY, NAME, element(0x0020, 0x0011, b"IS", digits))
    assert (found.study.patient_name, found.series.modality) == ("Doe^John", "CT")
    assert found.series.series_number == digits[:MAX_TEXT]
    assert json.loads(f"{{{found.series.members}}}")["00200011"]["Value"] == [digits], "readers of JSON can bear it"


@pytest.mark.parametrize(
    ("written", "kept"),
    [(b"A\0B", "AB"), (b"A\x1bB", "A\ufffdB"), (b"A\r\nB", "A B"), (b"\x7fA\x01 \x02", "A"), (b"\0\1", "")],
)
def test_no_control_character_reaches_a_column(written: bytes, kept: str) -> None:
    found = said(
        element(0x0008, 0x1030, b"LO", written + b" " * (len(written) % 2)),
        element(0x0010, 0x0020, b"LO", written + b" " * (len(written) % 2)),
    )
    assert (found.study.study_description, found.study.patient_id) == (kept, kept)
    assert "\0" not in found.study.members + found.study.more_members


def test_a_mistake_about_one_attribute_is_that_attributes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = attributes.fragments

    def mistaken(header_bytes: HeaderBytes, wanted: frozenset[int]) -> dict[int, str]:
        if 0x00080060 in wanted:
            raise KeyError("nobody foresaw this")
        return whole(header_bytes, wanted)

    monkeypatch.setattr(attributes, "fragments", mistaken)
    found = said(MODALITY, NAME)
    assert (found.study.patient_name, found.series.modality, found.whole) == ("Doe^John", "", False)


def test_an_explicit_header_is_described_without_the_dictionary() -> None:
    """It takes 25 MB in each worker of an import, which needs it for implicit VR alone."""
    program = (
        "import sys; from gantry.dicom.attributes import read_attributes;"
        "from gantry.dicom.header_bytes import HeaderBytes;"
        f"read_attributes(HeaderBytes(b'', {NAME + MODALITY!r}, (), True, True));"
        "sys.exit(any(name.startswith('pydicom') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
