"""A small report makes no huge page: what is repeated on a page is counted, and shortened."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.dicom.reports import MAX_CHARACTERS
from tests.dicomweb.reports import UIDS, content, report
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

RENDERED = f"{uid_path(*UIDS)}/rendered"
CUT = "A part of this report is not shown"
IMAGE = ("1.2.3", "1.2.3.4", "1.2.3.4.5")


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


def again(*place: int) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ReferencedContentItemIdentifier = "INFERRED FROM", list(place)
    return ds


def images(number: int, frames: int) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", IMAGE[2]
    ds.ReferencedFrameNumber = [1] * frames
    return content("IMAGE", "Source", ReferencedSOPSequence=Sequence([ds] * number))


def evidence() -> Sequence:
    of_image, of_series, of_study = Dataset(), Dataset(), Dataset()
    of_image.ReferencedSOPInstanceUID = IMAGE[2]
    of_series.SeriesInstanceUID, of_series.ReferencedSOPSequence = IMAGE[1], Sequence([of_image])
    of_study.StudyInstanceUID, of_study.ReferencedSeriesSequence = IMAGE[0], Sequence([of_series])
    return Sequence([of_study])


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@pytest.mark.parametrize(
    "items, is_cut",
    [
        ([content("TEXT", "N" * 90_000, TextValue="x"), *[again(1, 1)] * 2000], False),
        ([images(3000, 100)], True),
        ([images(1, 100)] * 1000, True),
        ([content("TEXT", "x", TextValue="\n" * 90_000)] * 30, False),
        ([content("TEXT", "x", TextValue="'" * 90_000)] * 60, True),
    ],
)
def test_what_is_repeated_makes_no_huge_page(web: Web, items: list[Dataset], is_cut: bool, accept: str) -> None:
    web.stored(report(*items, CurrentRequestedProcedureEvidenceSequence=evidence()))
    answer = web.get(RENDERED, accept)
    assert answer.status_code == 200 and len(answer.content) < 2 * MAX_CHARACTERS
    assert (CUT in answer.text) is is_cut


def test_lines_of_deep_items_are_counted_with_their_indents(web: Web) -> None:
    item = content("TEXT", "Deep", TextValue="\n" * 90_000)
    for _ in range(30):
        item = content("CONTAINER", "Level", "CONTAINS", *[item] * (10 if item.ValueType == "TEXT" else 1))
    web.stored(report(item))
    answer = web.get(RENDERED, "text/plain")
    assert len(answer.content) < 2 * MAX_CHARACTERS and CUT in answer.text
    assert answer.text.count("Deep") >= 1


def test_the_name_of_another_item_is_shortened(web: Web) -> None:
    web.stored(report(content("TEXT", "N" * 300, TextValue="x"), again(1, 1)))
    text = web.get(RENDERED, "text/plain").text
    assert f"{'N' * 300}: x" in text and f"see item 1.1 {'N' * 200}…" in text


BREAKS = ("\n", "\r", "\r\n", "\f", "\v", "\x85", "\u2028", "\u2029", "\x1c", "\x1d", "\x1e")


@pytest.mark.parametrize("line_break", BREAKS)
def test_no_value_begins_a_line_of_the_head(web: Web, line_break: str) -> None:
    """Nor a line without indent below it."""
    forged = f"x{line_break}Verification: verified"
    item = content("TEXT", forged[:60], TextValue=forged)
    data = report(item, title=forged[:60], InstitutionName=forged, VerificationFlag="UNVERIFIED")
    web.stored(data)
    lines = web.get(RENDERED, "text/plain").text.splitlines()
    assert [line for line in lines if line.startswith("Verification")] == ["Verification: not verified"]
    assert lines[1] == "=" * len(lines[0])
