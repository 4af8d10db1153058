"""How numbers, times and charts are written."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from gantry.console.charts import Point, draw_line_chart, round_up
from gantry.console.formats import abbreviate, dicom_day, duration, number, when
from gantry.console.rows import Row, as_text
from gantry.console.studies import _order, _rate, _window
from gantry.console.tags import Tag, filter_tags, list_tags
from gantry.sizes import format_size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 60, "1,024.0 PiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_and_numbers() -> None:
    time = datetime(2026, 11, 25, 16, 41, 7, 5, UTC)
    assert str(when(time)) == '<time datetime="2026-11-25T16:41:07.000005+00:00">2026-11-25 16:41:07 UTC</time>'
    assert when("2026-11-25T17:41:07+01:00") == when("2026-11-25T16:41:07+00:00")
    assert number(1234567.4) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.5, 2), (4, 5), (5.1, 10), (99, 100), (100, 100), (101, 200)]
)
def test_the_top_of_a_chart(value: float, top: float) -> None:
    assert round_up(value) == top


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2e6, "2M"), (3.21e9, "3.21G")])
def test_short_numbers(value: float, text: str) -> None:
    assert abbreviate(value) == text


def test_a_chart_is_a_drawing_with_words() -> None:
    chart = str(
        draw_line_chart([Point(number * 60, number * 10) for number in range(2000)], "A <b>", "/s", is_short=True)
    )
    root = ElementTree.fromstring(chart)  # noqa: S314 - our own
    assert root.get("aria-label") == "A <b>: from 0 to 19,990/s, at most 19,990"
    line = next(each for each in root if each.get("class") == "line").get("d", "")
    assert line.count("L") <= 500 and "nan" not in chart
    assert [each.text for each in root if each.tag == "text"][-2:] == ["0 s", "33.3 h"]


def test_a_chart_of_nothing() -> None:
    assert "nan" not in str(draw_line_chart([Point(1, 0), Point(1, 0)], "x"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Alphabetic": "Doe^Jane^M"}, "Doe, Jane M"),
        ({"Ideographic": "王^小明"}, "王, 小明"),
        ({}, ""),
        (None, ""),
        (3, "3"),
        ({"Alphabetic": "^Jane"}, "Jane"),
    ],
)
def test_names(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("text", "date"), [("20240131", "2024-01-31"), ("2024", "2024"), ("", ""), ("abcdefgh", "abcdefgh")]
)
def test_dates(text: str, date: str) -> None:
    assert dicom_day(text) == date


FOUND = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C"}]},
    "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
    "7FE00010": {"vr": "OW", "BulkDataURI": "x"},
    "00091001": {"vr": "OB", "InlineBinary": "AAAA"},
    "00080008": {"vr": "CS", "Value": ["A", None, "B"]},
    "00280010": {"vr": "US"},
}


def test_tags_of_an_instance() -> None:
    assert list(list_tags(FOUND)) == [
        Tag(0, "(0008,0008)", "ImageType", "CS", "A\\\\B"),
        Tag(0, "(0008,1140)", "ReferencedImageSequence", "SQ", "1 item"),
        Tag(1, "", "Item 1", "", ""),
        Tag(2, "(0008,1155)", "ReferencedSOPInstanceUID", "UI", "1.2"),
        Tag(0, "(0009,1001)", "", "OB", "(3 bytes)"),
        Tag(0, "(0010,0010)", "PatientName", "PN", "A^B=C"),
        Tag(0, "(0028,0010)", "Rows", "US", ""),
        Tag(0, "(7FE0,0010)", "PixelData", "OW", "(bulk data)"),
    ]


def test_long_values_and_deep_sequences_are_cut() -> None:
    (row,) = list_tags({"00080008": {"vr": "CS", "Value": ["x" * 50] * 1000}})
    assert len(row.value) <= 301
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"00081140": {"vr": "SQ", "Value": [deep]}}
    assert max(row.depth for row in list_tags(deep)) < 30


@pytest.mark.parametrize(
    ("query", "count"), [("", 8), ("rows", 1), ("0028", 1), ("(7fe0,0010)", 1), ("a^b", 1), ("zz", 0)]
)
def test_tags_are_searched(query: str, count: int) -> None:
    assert len(list(filter_tags(list_tags(FOUND), query))) == count


GREY = {"00280004": "MONOCHROME2", "00280101": 12, "00280103": 0}


@pytest.mark.parametrize(
    ("values", "window"),
    [
        ({"00281050": 60, "00281051": 400}, (60, 400)),
        ({}, (2048, 4096)),
        ({"00280103": 1}, (0, 4096)),
        ({"00281053": 2, "00281052": -1024}, (3072, 8192)),
        ({"00281050": 60, "00281051": 0}, (2048, 4096)),
        ({"00281050": "nan", "00281051": "inf"}, (2048, 4096)),
        ({"00280004": "RGB", "00281050": 60, "00281051": 400}, None),
        ({"00280101": 1000}, None),
    ],
)
def test_the_window_to_begin_with(values: dict[str, object], window: tuple[float, float] | None) -> None:
    found = {tag: {"vr": "DS", "Value": [value]} for tag, value in (GREY | values).items()}
    assert _window(Row(found)) == window


@pytest.mark.parametrize(
    ("tag", "value", "rate"),
    [
        ("00082144", 30, 30),
        ("00180040", "25", 25),
        ("00181063", 40, 25),
        ("00181063", 0, 12),
        ("00181063", "nan", 12),
        ("00180040", "1A", 12),
        ("00180040", 1000, 60),
        ("00180040", -5, 1),
    ],
)
def test_frames_per_second(tag: str, value: object, rate: float) -> None:
    assert _rate(Row({tag: {"vr": "DS", "Value": [value]}})) == rate


def test_what_has_no_number_comes_last() -> None:
    rows = [Row({"00200011": {"vr": "IS", "Value": [value]}}) for value in ("x", "nan", 2, "10", -1)]
    ordered = sorted(rows, key=lambda row: _order(row, "00200011"))
    assert [row.text("00200011") for row in ordered] == ["-1", "2", "10", "x", "nan"]
