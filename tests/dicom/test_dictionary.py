"""Our reading of pydicom's tables says what pydicom says."""

from __future__ import annotations

import pytest
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from gantry.dicom.dictionary import keyword_of, tag_of, vr_of

REPEATED = [int(text.replace("x", digit), 16) for text in RepeatersDictionary for digit in "0249F"]
BESIDE = [tag ^ bit for tag in REPEATED for bit in (1, 0x10, 0x100, 0x10000, 0x20000, 0x10000000)]
OTHERS = [0x00091001, 0x00090010, 0x60010010, 0x60030000, 0x0008FFFF, 0xFFFEE000, 0xFFFFFFFF, 0x00000000, 0x00300000]


def test_every_tag_of_the_dictionary_has_its_keyword_and_its_vr() -> None:
    assert len(DicomDictionary) > 5000
    for tag, entry in DicomDictionary.items():
        assert (keyword_of(tag), vr_of(tag)) == (entry[4], entry[0]), f"{tag:08X}"
        if entry[4]:
            assert tag_of(entry[4]) == tag_for_keyword(entry[4])


def test_elements_of_repeating_groups_have_those_of_their_group() -> None:
    assert len(REPEATED) > 100
    for tag in (*REPEATED, *BESIDE):
        assert (keyword_of(tag), vr_of(tag)) == (keyword_for_tag(tag), _vr(tag)), f"{tag:08X}"


@pytest.mark.parametrize("tag", OTHERS, ids=lambda tag: f"{tag:08X}")
def test_what_is_in_no_table_has_no_keyword(tag: int) -> None:
    assert (keyword_of(tag), vr_of(tag)) == (keyword_for_tag(tag), _vr(tag))


def _vr(tag: int) -> str:
    """What PS3.5 §7.2 and §7.8.1 say of those that are in no table."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        is_private = tag >> 16 & 1
        if is_private:
            return "LO" if 0x0010 <= tag & 0xFFFF <= 0x00FF else "UN"
        return "UN" if tag & 0xFFFF else "UL"
