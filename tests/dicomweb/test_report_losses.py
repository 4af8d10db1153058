"""What a structured report says is shown, or the page says that it is not: no value vanishes without a word."""

from __future__ import annotations

import struct

import lxml.html
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.reports import UIDS, code, content, report
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

RENDERED = f"{uid_path(*UIDS)}/rendered"
UNREAD, CUT = "(cannot be read)", "A part of this report is not shown"
UNITS, MEASURED, CODED, NAMED = (0x0040, 0x08EA), (0x0040, 0xA300), (0x0040, 0xA168), (0x0040, 0xA043)
REFERENCES, VERIFIERS = (0x0008, 0x1199), (0x0040, 0xA073)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


def shown(web: Web, data: bytes) -> str:
    """The report as text, whose words are on the page too."""
    web.stored(data)
    text = web.get(RENDERED, "text/plain").text
    words = " ".join(lxml.html.fromstring(web.get(RENDERED).content).find("body").text_content().split())
    for mark in (UNREAD, CUT):
        assert text.count(mark) == words.count(mark)
    return text


def relabelled(data: bytes, tag: tuple[int, int], vr: bytes = b"UN") -> bytes:
    """With another VR at the last element of that tag, a sequence: its items are bytes to a reader."""
    before, found, after = data.rpartition(struct.pack("<HH", *tag) + b"SQ")
    assert found
    return before + found[:4] + vr + after


def dose() -> Dataset:
    value = Dataset()
    value.NumericValue, value.MeasurementUnitsCodeSequence = "7.5", code("mg", "mg", "UCUM")
    return content("NUM", "Dose", MeasuredValueSequence=Sequence([value]))


def negated() -> Dataset:
    absent = content("CODE", "Presence", "HAS CONCEPT MOD", ConceptCodeSequence=code("Absent"))
    return content("CODE", "Finding", "CONTAINS", absent, ConceptCodeSequence=code("Malignant"))


def sop(uid: str, frames: int = 0) -> Sequence:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    if frames:
        ds.ReferencedFrameNumber = list(range(1, frames + 1))
    return Sequence([ds])


def verifiers() -> Sequence:
    ds = Dataset()
    ds.VerifyingObserverName = "Serra^Ana"
    return Sequence([ds])


@pytest.mark.parametrize("vr", [b"UN", b"OB"])
@pytest.mark.parametrize(
    "data, tag, line",
    [
        (report(dose()), UNITS, f"Dose: 7.5 {UNREAD}"),
        (report(dose()), MEASURED, f"Dose: {UNREAD}"),
        (report(negated()), CODED, f"  [modifier] Presence: {UNREAD}"),
        (report(content("CODE", "Finding", ConceptCodeSequence=code("Malignant"))), CODED, f"Finding: {UNREAD}"),
        (report(content("TEXT", "Side", TextValue="left")), NAMED, f"{UNREAD}: left"),
        (report(content("IMAGE", "Source", ReferencedSOPSequence=sop("1.9"))), REFERENCES, f"Source: {UNREAD}"),
        (report(VerifyingObserverSequence=verifiers()), VERIFIERS, f"Verified by: {UNREAD}"),
    ],
)
def test_a_sequence_that_is_bytes_is_named(web: Web, data: bytes, tag: tuple[int, int], line: str, vr: bytes) -> None:
    text = shown(web, relabelled(data, tag, vr))
    assert line in text.splitlines() and CUT in text


def test_a_title_that_is_bytes_is_named(web: Web) -> None:
    text = shown(web, relabelled(report(content("TEXT", TextValue="x")), NAMED))
    assert text.startswith(f"{UNREAD}\n") and CUT in text


def test_a_measured_value_that_is_broken_inside_is_named(web: Web) -> None:
    """Its NumericValue is longer than the item it is in."""
    data = report(dose(), content("TEXT", "Next", TextValue="still here"))
    at = data.index(b"DS\x04\x007.5 ") + 2
    text = shown(web, data[:at] + b"\xc8\0" + data[at + 2 :])
    assert "7.5" in text or UNREAD in text or CUT in text
    assert CUT in text


@pytest.mark.parametrize("kind", ["TABLE", "NONSENSE", "text", "", "CONTAINER", "IMAGE"])
def test_a_value_is_shown_whatever_its_type_is_called(web: Web, kind: str) -> None:
    item = content(kind, "Finding", TextValue="IMPORTANT TEXT")
    coded = content(kind, "Kind", ConceptCodeSequence=code("Malignant"))
    text = shown(web, report(item, coded))
    assert "Finding: IMPORTANT TEXT" in text and "Kind: Malignant" in text and CUT not in text


def test_a_number_without_a_value_type(web: Web) -> None:
    item = dose()
    del item.ValueType
    assert "Dose: 7.5 mg" in shown(web, report(item))


def test_a_number_that_is_only_a_floating_point_value(web: Web) -> None:
    item = dose()
    del item.MeasuredValueSequence[0].NumericValue
    item.MeasuredValueSequence[0].FloatingPointValue = 5.25
    assert "Dose: 5.25 mg" in shown(web, report(item))


def test_a_table_is_named(web: Web) -> None:
    cells = Dataset()
    cells.NumberOfTableRows = 1
    text = shown(web, report(content("TABLE", "Values", TabulatedValuesSequence=Sequence([cells]))))
    assert "Values: (a table, not shown here)" in text and CUT in text


@pytest.mark.parametrize("numbers, said", [(10, False), (60, True), (700, True), (4000, True)])
def test_coordinates_that_are_not_shown_are_named(web: Web, numbers: int, said: bool) -> None:
    data = [float(number) for number in range(numbers)]
    text = shown(web, report(content("SCOORD", "Edge", GraphicType="POLYLINE", GraphicData=data)))
    assert ("more" in text or "not shown here" in text) is said
    assert ("0.0, 1.0" in text) or "(a long value, not shown here)" in text


@pytest.mark.parametrize("length, is_cut", [(100_000, False), (150_000, True)])
def test_a_text_that_is_cut_says_so(web: Web, length: int, is_cut: bool) -> None:
    text = shown(web, report(content("TEXT", "Long", TextValue="x" * length)))
    assert ("… (the rest is not shown here)" in text) is is_cut
    assert (CUT in text) is is_cut


def test_when_something_was_observed(web: Web) -> None:
    item = content("TEXT", "Finding", TextValue="x", ObservationDateTime="20200101120000")
    group = content("CONTAINER", "Group", ObservationDateTime="2019")
    text = shown(web, report(item, group, ObservationDateTime="20180203"))
    assert "Finding: x (observed 2020-01-01 12:00:00)" in text and "Group: (observed 2019)" in text
    assert "Observed: 2018-02-03" in text


def test_an_item_by_reference_that_cannot_be_read_is_named(web: Web) -> None:
    again = Dataset()
    again.RelationshipType, again.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1]
    data = report(content("TEXT", "Seen", TextValue="x"), again)
    at = data.index(struct.pack("<HH", 0x0040, 0xDB73) + b"UL") + 4
    text = shown(web, data[:at] + b"CS" + data[at + 2 :])
    assert f"[inferred from] : see item {UNREAD}" in text and CUT in text


def test_frames_that_are_not_shown_are_named(web: Web) -> None:
    text = shown(web, report(content("IMAGE", "Source", ReferencedSOPSequence=sop("1.9", 130))))
    assert "99, 100" in text and "and 30 more frames" in text and CUT in text


def test_references_that_are_not_shown_are_named(web: Web) -> None:
    text = shown(web, report(content("IMAGE", "Source", ReferencedSOPSequence=Sequence([*sop("1.9")] * 130))))
    assert text.count("image 1.9") == 100 and "and 30 more objects" in text and CUT in text


def test_a_whole_report_is_not_called_cut(web: Web) -> None:
    text = shown(web, report(dose(), negated(), VerifyingObserverSequence=verifiers()))
    assert CUT not in text and UNREAD not in text and "Dose: 7.5 mg" in text


@pytest.mark.parametrize("frames", [b"2\\X ", b"0 ", b"-1"])
def test_frames_that_are_no_numbers_are_named(web: Web, frames: bytes) -> None:
    data = report(content("IMAGE", "Source", ReferencedSOPSequence=sop("1.9", 4)))
    before, found, after = data.partition(b"IS\x08\x001\\2\\3\\4 ")
    assert found
    text = shown(web, before + found[:4] + frames.ljust(8) + after)
    assert f"frames {UNREAD}" in text and CUT in text


def test_a_part_of_the_place_of_another_item_leads_nowhere(web: Web) -> None:
    again = Dataset()
    again.RelationshipType, again.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 0, 1]
    text = shown(web, report(content("TEXT", "Seen", TextValue="x"), again))
    assert f"see item {UNREAD}" in text and "1.1" not in text


def test_a_number_that_is_no_decimal_is_shown_as_it_is(web: Web) -> None:
    data = report(dose())
    assert "Dose: 7,5 mg" in shown(web, data.replace(b"7.5 ", b"7,5 "))


def test_items_of_a_measured_value_that_are_none_are_named(web: Web) -> None:
    """The first tag inside the sequence is not that of an item."""
    before, found, after = report(dose()).partition(struct.pack("<HH", *MEASURED) + b"SQ")
    assert found and after[6:10] == b"\xfe\xff\0\xe0"
    text = shown(web, before + found + after[:6] + b"\xfe\xff\1\xe0" + after[10:])
    assert CUT in text


def test_a_coordinate_that_is_no_number_keeps_its_place(web: Web) -> None:
    data = [1.0, float("nan"), 3.0, float("inf"), 5.0, 6.0]
    text = shown(web, report(content("SCOORD", "Edge", GraphicType="POLYLINE", GraphicData=data)))
    assert "5.0, 6.0" in text and "1.0, 3.0" not in text


def test_a_name_of_six_parts_is_shown_in_full(web: Web) -> None:
    """PS3.5 §6.2.1 has five."""
    assert "MORE" in shown(web, report(content("PNAME", "Reader", PersonName="A^B^C^Dr^PhD^MORE")))


def test_an_author_that_is_a_device(web: Web) -> None:
    """PS3.3 Table 10-1 and §C.17.2: with ObserverType DEV, an author has no name of a person."""
    device = Dataset()
    device.ObserverType, device.StationName, device.Manufacturer = "DEV", "CAD1", "Acme"
    device.ManufacturerModelName, device.DeviceUID = "Finder", "1.2.3.4"
    nothing = Dataset()
    nothing.ObserverType = "DEV"
    text = shown(web, report(AuthorObserverSequence=Sequence([device, nothing])))
    assert "Author: CAD1, Acme, Finder, 1.2.3.4" in text and text.count("Author:") == 1


def test_a_heading_and_its_values_are_two_words(web: Web) -> None:
    web.stored(report(content("CONTAINER", "Group", TextValue="IMPORTANT")))
    assert "Group IMPORTANT" in lxml.html.fromstring(web.get(RENDERED).content).text_content()


@pytest.mark.parametrize("length", [4, 8000])
def test_a_text_that_is_bytes_is_named(web: Web, length: int) -> None:
    before, found, after = report(content("TEXT", "Finding", TextValue="x" * length)).partition(b"\x40\0\x60\xa1UT")
    assert found
    text = shown(web, before + found[:4] + b"OB" + after)
    assert f"Finding: {UNREAD}" in text.splitlines() and CUT in text


def test_a_relationship_that_is_not_known_is_shown(web: Web) -> None:
    item = content("TEXT", "Finding", "RULED OUT BY", TextValue="biopsy")
    assert "[ruled out by] Finding: biopsy" in shown(web, report(item))


def test_items_that_are_bytes_are_named_at_the_one_above(web: Web) -> None:
    data = report(negated(), content("TEXT", "Last", TextValue="still here"))
    at = data.index(struct.pack("<HH", 0x0040, 0xA730) + b"SQ", data.index(b"Finding")) + 4
    lines = shown(web, data[:at] + b"UN" + data[at + 2 :]).splitlines()
    place = lines.index(f"Finding: Malignant; items below {UNREAD}")
    assert lines[place + 1] == "Last: still here"
