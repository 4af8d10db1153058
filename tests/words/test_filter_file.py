"""Filter files as people, spreadsheets and BigQuery write them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.names import DicomStoreName, ResourcePath
from gantry.operations.filter_file import MAX_LINE_BYTES, QUERY, SHAPE, Line, explain, read_lines

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


@pytest.mark.parametrize("data", [b"/studies/1.3\xc3", "\ufeff/studies/1.3".encode("utf-16-le") + b"1"])
def test_a_file_that_ends_in_the_middle_of_a_character_has_a_last_line_that_is_no_path(data: bytes) -> None:
    """It was cut: the path that is left could be that of another study."""
    (line,) = read_lines([data])
    assert line == Line(1, "/studies/1.3\ufffd", None)


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


STORE = DicomStoreName("p", "europe-west2", "dätaset", "store")
MARKS = {
    "utf-8": b"\xef\xbb\xbf",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32-le": b"\xff\xfe\0\0",
    "utf-32-be": b"\0\0\xfe\xff",
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", list(MARKS))
def test_text_with_a_byte_order_mark(encoding: str, end: str) -> None:
    """``>`` of Windows PowerShell 5.1 writes UTF-16."""
    text = end.join(["path", '"/studies/1.2"  ', "", "/studies/3\t"])
    data = MARKS[encoding] + text.encode(encoding)
    whole = [Line(2, "/studies/1.2", ResourcePath("1.2")), Line(4, "/studies/3", ResourcePath("3"))]
    for cut in range(len(data)):
        assert list(read_lines([data[:cut], data[cut:]])) == whole, cut


@pytest.mark.parametrize("text", ["1.2.840", "1.2,3.4,5.6", "*", "-", "²", '"1.2"', "/", "(path)", "2path"])
def test_a_header_begins_with_a_letter_or_an_underscore(text: str) -> None:
    assert [(line.number, line.path) for line in read_lines([f"{text}\n/studies/1".encode()])] == [
        (1, None),
        (2, ("1", "", "")),
    ]


@pytest.mark.parametrize("text", ["f0_", "_path", "Pfad der Studie", "é", "path,1", '"StudyInstanceUID"', "名前"])
def test_other_first_lines_without_a_slash_are_headers(text: str) -> None:
    assert [line.number for line in read_lines([f"{text}\n/studies/1".encode()])] == [2]


FULL = f"{STORE}/dicomWeb/studies/1.2/series/3/instances/4"


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        f"/{FULL}",
        f'"{FULL}/"',
        f"v1/{FULL}",
        f"https://healthcare.googleapis.com/v1/{FULL}",
        f"https://127.0.0.1:8080/v1beta1/{quote(FULL)}",
        f"http://[::1]:80/v1alpha2/{FULL}",
        f"//healthcare.googleapis.com/{FULL}",
        f"HTTPS://Healthcare.Googleapis.com/v1/{FULL}",
    ],
)
@pytest.mark.parametrize("head", ["", "path\n"])
def test_full_names_of_the_store_are_paths(text: str, head: str) -> None:
    (line,) = read_lines([(head + text).encode()], STORE)
    assert line.path == ("1.2", "3", "4")


def test_the_longest_full_name_is_a_path() -> None:
    store = DicomStoreName("p" * 30, "northamerica-northeast1", "語" * 256, "s" * 256)
    uid = "1" * 64
    text = f"https://a-rather-long-host.example.org:8443/v1beta1/{store}/dicomWeb/studies/{uid}/series/{uid}/instances/{uid}"
    (line,) = read_lines([text.encode()], store)
    assert line.path == (uid, uid, uid)


@pytest.mark.parametrize(
    "text",
    [
        FULL.replace("store/", "other/"),
        FULL.replace("dätaset", "dataset"),
        FULL.replace("store/", "store2/"),
        f"https://healthcare.googleapis.com/v1/{FULL.replace('europe-west2', 'eu')}",
    ],
)
def test_names_of_another_store_are_failures_that_say_so(text: str) -> None:
    (line,) = read_lines([text.encode()], STORE)
    assert line.path is None
    assert f"is not in this DICOM store, {STORE}" in explain(line, STORE)


@pytest.mark.parametrize("text", [FULL.replace("dicomWeb/studies", "dicomWeb/series"), f"{FULL}/frames/1", FULL + "x"])
def test_other_full_names_of_the_store_are_no_paths(text: str) -> None:
    (line,) = read_lines([text.encode()], STORE)
    assert line.path is None
    assert explain(line, STORE) == f"{text!r} is not a path; write {SHAPE}"


@pytest.mark.parametrize("text", ["1.2,3.4,5.6", '"1.2","3.4","5.6"', "1.2\t3.4\t5.6", "1.2; 3.4; 5.6", "1.2,3.4"])
def test_rows_of_uids_are_failures_that_name_the_query(text: str) -> None:
    for number, data in ((1, text), (2, f"StudyInstanceUID,SeriesInstanceUID,SOPInstanceUID\n{text}")):
        (line,) = read_lines([data.encode()], STORE)
        assert (line.number, line.path) == (number, None)
        assert SHAPE in explain(line, STORE)
        assert QUERY in explain(line, STORE)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/studies/study_1", ("study_1", "", "")),
        ("studies/a/series/1.b/instances/c-d+e=f@g~", ("a", "1.b", "c-d+e=f@g~")),
        ("/studies/" + "x" * 64, ("x" * 64, "", "")),
        ("/studies/" + "x" * 65, None),
        ("/studies/a..b", None),
        ("/studies/.a", None),
        ("/studies/-a", None),
        ("/studies/a b", None),
        ("/studies/a%2Fb", None),
        ("/studies/\u00fc", None),
        ("/studies/a,b", None),
    ],
)
def test_other_uids_where_a_store_accepts_them(text: str, path: Path | None) -> None:
    (line,) = read_lines([text.encode()], other_uids=True)
    assert line.path == path
    (line,) = read_lines([text.encode()])
    assert line.path is None
