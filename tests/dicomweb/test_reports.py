"""Structured reports by ``/rendered`` (PS3.18 §8.7.4): pages and text that people read, whatever the values hold."""

from __future__ import annotations

import struct
from io import BytesIO

import httpx
import lxml.html
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.instances import packaged, uids_of
from tests.dicomweb.reports import KEY_OBJECTS, UIDS, code, content, report
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

RENDERED = f"{uid_path(*UIDS)}/rendered"
IMAGE = ("1.2.3", "1.2.3.4", "1.2.3.4.5")


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


def page(web: Web, data: bytes) -> lxml.html.HtmlElement:
    web.stored(data)
    answer = web.get(RENDERED)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), answer.text
    return lxml.html.fromstring(answer.content)


def lines(web: Web, data: bytes) -> list[str]:
    web.stored(data)
    answer = web.get(RENDERED, "text/plain")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8"), answer.text
    return answer.text.splitlines()


def sop(uid: str, *frames: int) -> Sequence:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    if frames:
        ds.ReferencedFrameNumber = list(frames)
    return Sequence([ds])


def evidence(study: str, series: str, uid: str) -> Sequence:
    of_series, of_study = Dataset(), Dataset()
    of_series.SeriesInstanceUID, of_series.ReferencedSOPSequence = series, sop(uid)
    of_study.StudyInstanceUID, of_study.ReferencedSeriesSequence = study, Sequence([of_series])
    return Sequence([of_study])


def measured(value: str, symbol: str, meaning: str) -> Sequence:
    ds = Dataset()
    ds.NumericValue, ds.MeasurementUnitsCodeSequence = value, code(meaning, symbol, "UCUM")
    return Sequence([ds])


@pytest.mark.parametrize(
    "item, shown",
    [
        (content("TEXT", "Finding", TextValue="A nodule.\r\nStable."), "Finding: A nodule."),
        (content("NUM", "Width", MeasuredValueSequence=measured("12.50", "mm", "millimeter")), "Width: 12.50 mm"),
        (content("NUM", "Ratio", MeasuredValueSequence=measured("3", "{ratio}", "ratio")), "Ratio: 3 ratio"),
        (content("NUM", "Count", MeasuredValueSequence=measured("3", "1", "no units")), "Count: 3"),
        (content("NUM", "Width", NumericValueQualifierCodeSequence=code("Not measured")), "Width: Not measured"),
        (content("CODE", "Side", ConceptCodeSequence=code("Left")), "Side: Left"),
        (content("CODE", "Side", ConceptCodeSequence=code("", "7771000", "SCT")), "Side: 7771000 (SCT)"),
        (content("PNAME", "Reader", PersonName="Curie^Marie^^Dr^PhD"), "Reader: Dr Marie Curie, PhD"),
        (content("PNAME", "Reader", PersonName="Yamada^Tarou=山田^太郎"), "Reader: Tarou Yamada (山田 太郎)"),
        (content("DATE", "On", Date="20240229"), "On: 2024-02-29"),
        (content("TIME", "At", Time="134501.5"), "At: 13:45:01.5"),
        (content("DATETIME", "At", DateTime="202402291345+0100"), "At: 2024-02-29 13:45 +0100"),
        (content("DATETIME", "At", DateTime="2024"), "At: 2024"),
        (content("UIDREF", "Region", UID="1.2.3"), "Region: 1.2.3"),
        (content("IMAGE", "Source", ReferencedSOPSequence=sop("1.9", 3, 4)), "Source: image 1.9, frames 3, 4"),
        (content("COMPOSITE", "Prior", ReferencedSOPSequence=sop("1.9")), "Prior: object 1.9"),
        (content("WAVEFORM", "Lead", ReferencedSOPSequence=sop("1.9")), "Lead: waveform 1.9"),
        (
            content("SCOORD", "Outline", GraphicType="POLYLINE", GraphicData=[1.0, 2.5, 3.0, 4.0]),
            "Outline: polyline 1.0, 2.5; 3.0, 4.0",
        ),
        (content("SCOORD3D", "At", GraphicType="POINT", GraphicData=[1.0, 2.0, 3.0]), "At: point 1.0, 2.0, 3.0"),
        (
            content("TCOORD", "When", TemporalRangeType="SEGMENT", ReferencedTimeOffsets=["1.5", "2"]),
            "When: segment 1.5, 2 s",
        ),
        (content("TEXT", "Kind", "HAS CONCEPT MOD", TextValue="x"), "[modifier] Kind: x"),
        (content("TEXT", "Kind", "INFERRED FROM", TextValue="x"), "[inferred from] Kind: x"),
        (content("CONTAINER", "Findings"), "Findings"),
    ],
)
def test_each_kind_of_item(web: Web, item: Dataset, shown: str) -> None:
    """PS3.3 Table C.17.3-7"""
    assert shown in lines(web, report(item))
    words = " ".join(lxml.html.fromstring(web.get(RENDERED).content).text_content().split())
    for word in shown.replace("[", "").replace("]", "").replace(",", "").split():
        assert word.rstrip(":") in words.replace(",", "")


def test_the_head_of_a_report(web: Web) -> None:
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Serra^Ana", "Lisboa"
    observer.VerificationDateTime = "20240301101500"
    found = page(
        web,
        report(
            title="Relatório",
            PatientName="Müller^Jürgen",
            PatientBirthDate="19700131",
            StudyDescription="Thorax",
            StudyDate="20240229",
            CompletionFlag="COMPLETE",
            VerificationFlag="VERIFIED",
            VerifyingObserverSequence=Sequence([observer]),
        ),
    )
    assert found.get("lang") == "en"
    assert found.findtext(".//title") == "Relatório"
    labels = [label.text_content() for label in found.iter("dt")]
    facts = dict(zip(labels, (value.text_content() for value in found.iter("dd")), strict=True))
    assert facts == {
        "Patient": "Jürgen Müller",
        "Patient ID": "P1",
        "Birth date": "1970-01-31",
        "Study": "Thorax 2024-02-29",
        "Completion": "complete",
        "Verification": "verified",
        "Verified by": "Ana Serra, Lisboa, 2024-03-01 10:15:00",
    }


def test_items_are_nested_as_in_the_document(web: Web) -> None:
    inner = content("CONTAINER", "Lesion", "CONTAINS", content("TEXT", "Site", "HAS PROPERTIES", TextValue="apex"))
    found = page(
        web, report(content("CONTAINER", "Findings", "CONTAINS", inner), content("TEXT", "End", TextValue="x"))
    )
    assert [(name.tag, name.text_content()) for name in found.iter("h2", "h3", "h4")] == [
        ("h2", "Findings"),
        ("h3", "Lesion"),
    ]
    (site,) = found.xpath("//li[@id='item-1.1.1.1']")
    assert "apex" in site.text_content()
    assert [item.get("id") for item in site.iterancestors("li")] == ["item-1.1.1", "item-1.1"]
    (end,) = found.xpath("//li[@id='item-1.2']")
    assert not list(end.iterancestors("li"))
    assert lines_of(web.get(RENDERED, "text/plain"))[-4:] == [
        "Findings",
        "  Lesion",
        "    [property] Site: apex",
        "End: x",
    ]


def lines_of(answer: httpx.Response) -> list[str]:
    return answer.text.splitlines()


def test_references_to_images_are_links_where_the_evidence_has_them(web: Web) -> None:
    found = page(
        web,
        report(
            content("IMAGE", "Known", ReferencedSOPSequence=sop(IMAGE[2])),
            content("IMAGE", "Frames", ReferencedSOPSequence=sop(IMAGE[2], 2, 5)),
            content("IMAGE", "Unknown", ReferencedSOPSequence=sop("1.9.9")),
            CurrentRequestedProcedureEvidenceSequence=evidence(*IMAGE),
        ),
    )
    place = f"{web.url}/{uid_path(*IMAGE)}"
    assert [link.get("href") for link in found.iter("a")] == [
        f"{place}/rendered",
        f"{place}/frames/2/rendered",
        f"{place}/frames/5/rendered",
    ]
    assert "1.9.9" in found.text_content()


def test_evidence_with_a_path_in_it_is_no_link(web: Web) -> None:
    found = page(
        web,
        report(
            content("IMAGE", "Known", ReferencedSOPSequence=sop(IMAGE[2])),
            CurrentRequestedProcedureEvidenceSequence=evidence('javascript:"', "1.2.3.4", IMAGE[2]),
        ),
    )
    assert not list(found.iter("a"))


def test_an_item_by_reference_leads_to_the_other_one(web: Web) -> None:
    seen = content("TEXT", "Seen", TextValue="x")
    again = Dataset()
    again.RelationshipType, again.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1]
    lost = Dataset()
    lost.RelationshipType, lost.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 77]
    found = page(web, report(seen, again, lost))
    assert [(link.get("href"), link.text) for link in found.iter("a")] == [("#item-1.1", "see item 1.1 Seen")]
    assert "see item 1.77" in found.text_content()


HOSTILE = (
    "<script>alert(1)</script>",
    "</bdi></li></ul></main><h1>gone",
    "<!-- never closed",
    '"><img src=x onerror=alert(1)>',
    "&lt;b&gt; &#x3c;",
    "</style><style>*{display:none}",
    "\u202egnorw",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_becomes_markup(web: Web, text: str) -> None:
    """In every place that a value is shown."""
    item = content("TEXT", text[:60], TextValue=text)
    coded = content("CODE", "Coded", ConceptCodeSequence=code(text[:60]))
    unit = content("NUM", "Number", MeasuredValueSequence=measured("1", text[:16], text[:60]))
    uid = content("UIDREF", "Place", ReferencedSOPSequence=sop("1.2"))
    data = report(item, coded, unit, uid, title=text[:60], PatientName=text.replace("=", "").replace("\\", "")[:60])
    found = page(web, data)
    assert {element.tag for element in found.iter() if isinstance(element.tag, str)} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "dl", "dt", "dd", "ul", "li"),
        *("span", "bdi", "a", "p", "strong"),
    }
    assert len(list(found.iter("style"))) == 1 and len(list(found.iter("h1"))) == 1
    assert not [name for element in found.iter() for name in element.attrib if name.startswith("on")]
    assert sum(text in bdi.text_content() for bdi in found.iter("bdi")) >= 1
    assert any(text in line for line in lines_of(web.get(RENDERED, "text/plain")))


def test_a_browser_runs_nothing_of_a_page(web: Web) -> None:
    web.stored(report(content("TEXT", "x", TextValue="y")))
    answer = web.get(RENDERED)
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy and "default-src 'none'" in policy and "script-src" not in policy
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_control_characters_are_replaced(web: Web) -> None:
    web.stored(report(content("TEXT", "x", TextValue="a\0b\x07c\x9bd\x1fe\nf")))
    text = web.get(RENDERED).text
    assert "a\ufffdb\ufffdc\ufffdd\ufffde\nf" in text
    assert not [character for character in text if ord(character) < 32 and character != "\n"]


def nested(levels: int) -> bytes:
    """Content sequences of undefined length inside of each other, each with a text; and one text behind them all."""
    begin = struct.pack("<HH2sHI", 0x40, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

    def text(shown: bytes) -> bytes:
        head = struct.pack("<HH2sH4s", 0x40, 0xA040, b"CS", 4, b"TEXT")
        return head + struct.pack("<HH2sHI", 0x40, 0xA160, b"UT", 0, len(shown)) + shown

    inside = b"".join(text(f"Level {level:4}".encode()) + begin for level in range(1, levels)) + text(b"Deepest.")
    last = struct.pack("<HHI", 0xFFFE, 0xE000, len(text(b"still here"))) + text(b"still here")
    return begin + inside + ends * (levels - 1) + ends[:8] + last + ends[8:]


def test_three_hundred_levels(web: Web) -> None:
    data = report()
    at = data.index(b"\x40\0\x30\xa7SQ")
    end = data.index(b"\xe0\x7f\x10\0", at)
    found = page(web, data[:at] + nested(300) + data[end:])
    text = found.text_content()
    assert "Level  100" in text and "Level  101" not in text
    assert "still here" in text and "A part of this report is not shown" in text
    assert any("still here" in line for line in lines_of(web.get(RENDERED, "text/plain")))


def test_a_huge_text_is_shortened(web: Web) -> None:
    text = "word " * 60_000
    web.stored(report(content("TEXT", "Long", TextValue=text), content("TEXT", "Last", TextValue="still here")))
    answer = web.get(RENDERED)
    assert len(answer.content) < 150_000
    assert "…" in answer.text and "still here" in answer.text


def test_a_text_that_is_bulk_data_is_named(web: Web) -> None:
    """Longer than what the metadata has as a value."""
    found = page(web, report(content("TEXT", "x", TextValue="y"), CompletionFlagDescription="x" * (3 << 20)))
    assert "a long value, not shown here" in found.text_content()


def test_content_that_is_too_long_to_be_read_is_not_silently_left_out(web: Web) -> None:
    """More than 16 MiB of items are one value of bytes."""
    found = page(web, report(*(content("TEXT", "x", TextValue="y" * (1 << 20)) for _ in range(18))))
    assert "A part of this report is not shown" in found.text_content()
    assert "no content" not in found.text_content()


@pytest.mark.slow
def test_very_many_items(web: Web) -> None:
    items = (content("TEXT", TextValue=str(number)) for number in range(21_000))
    web.stored(report(*items))
    answer = web.get(RENDERED)
    assert answer.text.count("<li ") == 20_000
    assert "A part of this report is not shown" in answer.text


def _odd_trees() -> list[bytes]:
    nothing = Dataset()
    no_code = content("CODE", ConceptCodeSequence=Sequence([]))
    no_kind = content("TEXT", "x", TextValue="y")
    del no_kind.ValueType
    return [
        report(nothing, content("TEXT", "Last", TextValue="still here")),
        report(no_code, no_kind, content("TEXT", "Last", TextValue="still here")),
        report(content("NONSENSE", "x", "BESIDE"), content("TEXT", "Last", TextValue="still here")),
        report(
            content("NUM", "x", MeasuredValueSequence=Sequence([Dataset()])), content("TEXT", TextValue="still here")
        ),
        report(
            content("IMAGE", "x", ReferencedSOPSequence=Sequence([Dataset()])), content("TEXT", TextValue="still here")
        ),
        report(content("SCOORD", "x", GraphicType="POINT"), content("TEXT", TextValue="still here")),
        report(content("TEXT", "Last", TextValue="still here"), ConceptNameCodeSequence=Sequence([])),
    ]


@pytest.mark.parametrize("data", _odd_trees())
def test_of_an_odd_tree_the_rest_is_shown(web: Web, data: bytes) -> None:
    assert "still here" in page(web, data).text_content()
    assert any("still here" in line for line in lines_of(web.get(RENDERED, "text/plain")))


def test_a_broken_tree_gives_the_head(web: Web) -> None:
    """An element that is longer than the sequence it is in; such insides are only read when somebody looks."""
    data = report(content("TEXT", "Finding", TextValue="MARK"), PatientName="Doe^Jane")
    at = data.index(b"MARK") - 4
    found = page(web, data[:at] + b"\xff\xff" + data[at + 2 :])
    assert "Jane Doe" in found.text_content()
    assert "A part of this report is not shown" in found.text_content()


def test_a_report_without_content(web: Web) -> None:
    assert "no content" in page(web, report()).text_content()


@pytest.mark.parametrize(
    "charset, text",
    [
        ("ISO_IR 100", "Übergang"),
        ("ISO_IR 144", "Лёгкое"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "肺に結節"),
        ("GB18030", "肺结节"),
    ],
)
def test_character_sets(web: Web, charset: str, text: str) -> None:
    web.stored(report(content("TEXT", "x", TextValue=text), charset=charset))
    assert text in web.get(RENDERED).text
    assert text in web.get(RENDERED, "text/plain").text


@pytest.mark.parametrize(
    "accept, sent",
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/*", "text/html"),
        ("text/plain", "text/plain"),
        ("text/html;q=0.5, text/plain", "text/plain"),
        ("image/jpeg, text/plain;q=0.1", "text/plain"),
        ("text/html;q=0, */*", "text/plain"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "text/html"),
    ],
)
def test_what_is_accepted(web: Web, accept: str, sent: str) -> None:
    web.stored(report())
    assert web.get(RENDERED, accept).headers["content-type"] == f"{sent}; charset=utf-8"


@pytest.mark.parametrize("accept", ["image/jpeg", "image/*", "application/pdf", "*/*;q=0"])
def test_what_is_not_there_is_406_and_names_what_is(web: Web, accept: str) -> None:
    web.stored(report())
    refused(web.get(RENDERED, accept), "INVALID_ARGUMENT", "text/html", "text/plain", http=406)


def test_ranges_entity_tags_and_head(web: Web) -> None:
    web.stored(report())
    whole, text = web.get(RENDERED), web.get(RENDERED, "text/plain")
    assert whole.headers["etag"] != text.headers["etag"]
    assert web.get(RENDERED, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    assert web.get(RENDERED, headers={"range": "bytes=0-14"}).content == b"<!DOCTYPE html>"
    head = web.gantry.request("HEAD", f"{web.root}/{RENDERED}")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("name", ["reportsi.dcm", "test-SR.dcm"])
def test_reports_of_others(web: Web, name: str) -> None:
    """Each text and each meaning of a code in the file is on the page."""
    data = packaged(name)
    web.stored(data)
    shown = web.get(f"{uid_path(*uids_of(data))}/rendered").content.decode()
    words = " ".join(lxml.html.fromstring(shown).text_content().split())
    texts = [
        " ".join(str(element.value).split())
        for element in pydicom.dcmread(BytesIO(data)).iterall()
        if element.keyword == "TextValue"
    ]
    assert texts
    for text in texts:
        assert text in words


def test_key_objects(web: Web) -> None:
    note = report(
        content("IMAGE", ReferencedSOPSequence=sop(IMAGE[2])),
        title="Of Interest",
        SOPClassUID=KEY_OBJECTS,
        CurrentRequestedProcedureEvidenceSequence=evidence(*IMAGE),
    )
    found = page(web, note)
    assert found.findtext(".//title") == "Of Interest"
    assert [link.get("href") for link in found.iter("a")] == [f"{web.url}/{uid_path(*IMAGE)}/rendered"]
