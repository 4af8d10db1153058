"""Range and If-None-Match: RFC 9110 §13.1.2, §14."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gantry.api.preconditions import is_known
from gantry.api.ranges import Unsatisfiable, parse_range
from gantry.errors import Code, OutOfRange


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-99", 1000, (0, 100)),
        ("bytes=0-0", 1000, (0, 1)),
        ("bytes=999-999", 1000, (999, 1)),
        ("bytes=100-", 1000, (100, 900)),
        ("bytes=999-", 1000, (999, 1)),
        ("bytes=-50", 1000, (950, 50)),
        ("bytes=-1", 1000, (999, 1)),
        ("bytes=-5000", 1000, (0, 1000)),
        ("bytes=500-5000", 1000, (500, 500)),
        ("bytes=0-" + "9" * 90, 1000, (0, 1000)),
        (" Bytes = 1-2 ", 1000, (1, 2)),
    ],
)
def test_one_range(header: str, size: int, expected: tuple[int, int]) -> None:
    """RFC 9110 §14.1.2: both ends belong to it; what is beyond the end is cut; the unit is in any case (§14.1)."""
    assert parse_range(header, size) == expected


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=x-",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=1-x",
            "bytes=+1-2",
        ),
        *(
            "lines=0-1",
            "bytes=0-1,5-6",
            "bytes=5000-,0-1",
            "bytes=2-1",
            "bytes=5000-4000",
            "bytes=٣-",
            "bytes=-٣",
            "bytes:0-1",
        ),
        *("bytes=0-" + "9" * 5000, "bytes=0-1\r\nx"),
    ],
)
def test_the_whole_where_the_range_is_not_understood(header: str) -> None:
    """RFC 9110 §14.2: a server may ignore Range, and must where it is invalid (last before first, §14.1.1)."""
    assert parse_range(header, 1000) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=1000-", 1000), ("bytes=1000-1001", 1000), ("bytes=0-0", 0), ("bytes=-0", 1000), ("bytes=-0", 0)],
)
def test_no_byte_is_in_the_range(header: str, size: int) -> None:
    """RFC 9110 §14.1.2, §15.5.17: 416, with the size for Content-Range."""
    with pytest.raises(Unsatisfiable) as caught:
        parse_range(header, size)
    error = caught.value
    assert (error.http, error.code, error.size) == (416, Code.OUT_OF_RANGE, size)
    assert isinstance(error, OutOfRange)
    assert f"{size} bytes" in error.message


def test_the_last_bytes_of_nothing() -> None:
    """RFC 9110 §14.1.2, §14.4: satisfiable, but no Content-Range can say it."""
    assert parse_range("bytes=-5", 0) is None


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_are_those_of_slices(size: int, first: int, last: int) -> None:
    """RFC 9110 §14.1.2, against Python's slices."""
    data = bytes(range(size))
    for header, expected in (
        (f"bytes={first}-{last}", data[first : last + 1] if first <= last else data),
        (f"bytes={first}-", data[first:]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        try:
            start, length = parse_range(header, size) or (0, size)
        except Unsatisfiable:
            assert expected == b""
            continue
        assert data[start : start + length] == expected
        assert start + length <= size


@pytest.mark.parametrize(
    ("header", "etag"),
    [
        ('"a"', '"a"'),
        ('W/"a"', '"a"'),
        ('"a"', 'W/"a"'),
        ('W/"a"', 'W/"a"'),
        ('"x", W/"y" ,"a"', '"a"'),
        ('"x","a",', '"a"'),
        ('"b,a"', '"b,a"'),
        ('""', '""'),
    ],
)
def test_the_client_has_it(header: str, etag: str) -> None:
    """RFC 9110 §13.1.2, §8.8.3.2: weak comparison with any of the list."""
    assert is_known(Headers({"if-none-match": header}), etag)


@pytest.mark.parametrize(
    ("header", "etag"),
    [
        ("", '"a"'),
        ('"b"', '"a"'),
        ('"A"', '"a"'),
        ("a", '"a"'),
        ('"b,a"', '"a"'),
        ('"aa"', '"a"'),
        ('"*"', '"a"'),
        ("*", '"a"'),
        ("*, *", '"a"'),
        ('"a', '"a"'),
        ("", ""),
        ('"x"', ""),
    ],
)
def test_the_client_has_it_not(header: str, etag: str) -> None:
    """RFC 9110 §13.1.2, §8.8.3: tags are opaque, compared to the letter, and always in quotes."""
    assert not is_known(Headers({"if-none-match": header}), etag)
