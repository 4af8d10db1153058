"""The table of value representations, compared with pydicom's and with PS3.5."""

from __future__ import annotations

import struct

import pytest
from pydicom import valuerep

from gantry.dicom.vr import LONG, NUMBERS, OCTETS, ONE_TEXT, SHORT, TABLE, TEXT, fits

UNITS = {
    **dict.fromkeys(("AT", "FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
    **dict.fromkeys(("OW", "SS", "US"), 2),
}
"""Bytes of one value of a fixed length, and of one word of bulk data (PS3.5 table 6.2-1)."""

STRUCTS = {"AT": "H", "FL": "f", "FD": "d", "SL": "i", "SS": "h", "UL": "I", "US": "H", "SV": "q", "UV": "Q"}


def test_each_vr_of_the_standard_has_a_row() -> None:
    assert set(TABLE) == {vr.value for vr in valuerep.STANDARD_VR}


def test_lengths_of_32_bits_are_those_of_the_standard() -> None:
    assert set(LONG) == {vr.value.encode() for vr in valuerep.EXPLICIT_VR_LENGTH_32}
    assert set(SHORT) == {vr.value.encode() for vr in valuerep.EXPLICIT_VR_LENGTH_16}


@pytest.mark.parametrize("vr", sorted(TABLE))
def test_words_and_values_have_the_bytes_of_the_standard(vr: str) -> None:
    about, unit = TABLE[vr], UNITS.get(vr, 1)
    assert about.unit == unit
    assert about.word == (2 if vr == "AT" else unit), "an AT is two numbers of 16 bits (PS3.5 §7.3)"
    assert about.letter == STRUCTS.get(vr, "")
    assert not about.letter or struct.calcsize("<" + about.letter) == about.word


@pytest.mark.parametrize("vr", sorted(TABLE))
def test_what_fits_is_whole_values_and_no_more_than_its_length_field_can_say(vr: str) -> None:
    unit, is_long = UNITS.get(vr, 1), vr.encode() in LONG
    assert fits(vr, 0) and fits(vr, 3 * unit) and fits(vr, 1) is (unit == 1)
    last = 0xFFFF // unit * unit
    assert fits(vr, last) and fits(vr, last + unit) is is_long


def test_kinds_of_values() -> None:
    assert set(NUMBERS) == set(STRUCTS)
    assert {vr.value for vr in valuerep.BYTES_VR} == OCTETS
    assert {vr.value for vr in valuerep.CUSTOMIZABLE_CHARSET_VR} == TEXT
    assert {"LT", "ST", "UR", "UT"} == ONE_TEXT, "of one value (PS3.5 §6.2)"
