"""Filter files as people, spreadsheets and BigQuery write them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.operations.filter_file import MAX_LINE_BYTES, Line, read_lines

Path = tuple[str, str, str]


def paths(data: bytes) -> list[Path | None]:
    return [line.path for line in read_lines([data])]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/studies/1.2", ("1.2", "", "")),
        ("studies/1.2", ("1.2", "", "")),
        ("/studies/1.2/", ("1.2", "", "")),
        ("/studies/1.2/series/3.4", ("1.2", "3.4", "")),
        ("/studies/1.2/series/3.4/instances/5.6", ("1.2", "3.4", "5.6")),
        ("  /studies/1.2\t", ("1.2", "", "")),
        ('"/studies/1.2/series/3.4"', ("1.2", "3.4", "")),
        ("/studies/" + "1" * 64, ("1" * 64, "", "")),
    ],
)
def test_paths_of_three_levels(text: str, path: Path) -> None:
    assert paths(text.encode()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "/studies/",
        "/studies/1.2/instances/3",
        "/studies/1.2/series/",
        "/studies/a",
        "/studies/1.2/series/3/instances/x",
        "/Studies/1.2",
        "/studies/1.2 /studies/3",
        "/studies/1.2,/studies/3",
        "/studies/" + "1" * 65,
        "/studies/١.٢",
        "projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb/studies/1.2",
        "/",
    ],
)
def test_other_lines_are_kept_with_their_number_and_text(text: str) -> None:
    assert list(read_lines([f"\n{text}\n".encode()])) == [Line(2, text, None)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends(end: str) -> None:
    data = end.join(["/studies/1", "/studies/2", "/studies/3"]).encode()
    for text in (data, data + end.encode()):
        assert [(line.number, line.path) for line in read_lines([text])] == [
            (1, ("1", "", "")),
            (2, ("2", "", "")),
            (3, ("3", "", "")),
        ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert paths(b"\xef\xbb\xbf/studies/1\n/studies/2") == [("1", "", ""), ("2", "", "")]


@pytest.mark.parametrize("header", [b"path", b'"path"', b"dicom_web_path,count", b"\xef\xbb\xbfpath"])
def test_a_header_is_skipped(header: bytes) -> None:
    assert list(read_lines([header + b"\r\n/studies/1\r\n"])) == [Line(2, "/studies/1", ("1", "", ""))]


def test_only_the_first_line_can_be_a_header() -> None:
    assert list(read_lines([b"/studies/1\nheader\n"]))[1] == Line(2, "header", None)


def test_blank_lines_are_counted_but_not_told() -> None:
    data = b'\n  \n\r\n""\n/studies/1\n\n/studies/2\n\n'
    assert [line.number for line in read_lines([data])] == [5, 7]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"header"])
def test_an_empty_file_names_nothing(data: bytes) -> None:
    assert list(read_lines([data])) == []


def test_what_is_not_utf_8_is_a_line_that_is_no_path() -> None:
    assert [line.path for line in read_lines([b"/studies/\xff\n/studies/1"])] == [None, ("1", "", "")]


SAMPLE = (
    b"\xef\xbb\xbfpath\r\n/studies/1.2\r\n\r\n"
    b'"/studies/1.2/series/3"\nnot a path\n/studies/' + "é".encode() + b"\n/studies/9/series/8/instances/7"
)


def test_it_does_not_matter_where_the_chunks_end() -> None:
    whole = list(read_lines([SAMPLE]))
    assert len(whole) == 5
    for cut in range(len(SAMPLE) + 1):
        assert list(read_lines([SAMPLE[:cut], SAMPLE[cut:]])) == whole
    assert list(read_lines(SAMPLE[at : at + 1] for at in range(len(SAMPLE)))) == whole
    assert list(read_lines([b"", *(SAMPLE[at : at + 7] for at in range(0, len(SAMPLE), 7)), b""])) == whole


OVERLONG = b" " * (MAX_LINE_BYTES - 8) + b"/studies/" + b"9" * 30 + b"\n/studies/1\n"


def test_it_does_not_matter_where_the_chunks_end_in_a_line_that_is_too_long() -> None:
    whole = list(read_lines([OVERLONG]))
    for cut in range(len(OVERLONG) + 1):
        assert list(read_lines([OVERLONG[:cut], OVERLONG[cut:]])) == whole, f"cut at {cut}"


def giant_line(chunks: int) -> Iterator[bytes]:
    yield b"/studies/1\n/studies/"
    for _ in range(chunks):
        yield b"1" * 100_000
    yield b"\n/studies/2\n"


def test_a_line_without_end_takes_bounded_memory() -> None:
    tracemalloc.start()
    try:
        found = list(read_lines(giant_line(200)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(line.number, line.path) for line in found] == [(1, ("1", "", "")), (2, None), (3, ("2", "", ""))]
    assert len(found[1].text) <= 200
    assert peak < 2_000_000


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_in_any_chunks_give_the_same_lines(data: bytes, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(ends)]
    assert list(read_lines(chunks)) == list(read_lines([data]))
