"""multipart/related as a stream: RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1.2."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.api.multipart import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    MAX_PADDING,
    Delimiters,
    new_boundary,
    parse_content_type,
    parts,
)
from gantry.errors import InvalidArgument

Parts = list[tuple[dict[str, str], bytes]]

B = "a.B-9"
DICOM = {"content-type": "application/dicom"}


def reader(*pieces: bytes) -> Callable[[], bytes]:
    """``read`` that must not be called again once it gave b"" (a request that has ended)."""
    left = iter((*filter(None, pieces), b""))
    return lambda: next(left)


def bytewise(body: bytes) -> Callable[[], bytes]:
    return reader(*(body[i : i + 1] for i in range(len(body))))


def read_all(read: Callable[[], bytes], boundary: str = B) -> Parts:
    return [(part.headers, b"".join(part.chunks())) for part in parts(read, boundary)]


def bodies(body: bytes, boundary: str = B) -> list[bytes]:
    """The bodies of the parts, which must not depend on how the stream is cut."""
    found = read_all(reader(body), boundary)
    assert read_all(bytewise(body), boundary) == found
    return [data for _, data in found]


def problem(body: bytes, boundary: str = B) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read_all(reader(body), boundary)
    with pytest.raises(InvalidArgument) as again:
        read_all(bytewise(body), boundary)
    assert again.value.message == caught.value.message
    return caught.value.message


# --- any parts, cut anywhere

BCHARS = "abcXYZ019'()+_,-./:=?"
boundaries = st.builds(str.__add__, st.text(BCHARS + " ", max_size=69), st.sampled_from(BCHARS))
header_values = st.text('abc/;="\t é', max_size=20).map(lambda text: text.strip(" \t"))
headers = st.dictionaries(st.sampled_from(("content-type", "content-id", "x")), header_values, max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, Parts]:
    """A boundary and parts whose bodies are full of what looks like a delimiter and is none."""
    boundary = draw(boundaries)
    dashes = b"--" + boundary.encode()
    near = st.sampled_from(
        [
            *(b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n\r\n", b"\r\r\n", b"\0", b"\r\n--", b" ", b"x"),
            *(b"\r\n" + dashes[:-1], b"\n" + dashes, b"\r" + dashes, dashes),
            *(b"\r\n" + dashes + tail for tail in (b"Z", b"-Z", b" Z", b" \rZ", b" " * (MAX_PADDING + 1) + b"\r\n")),
        ]
    )
    body = st.lists(st.one_of(near, st.binary(max_size=8)), max_size=12).map(b"".join)
    found = draw(st.lists(st.tuples(headers, body), max_size=4))
    return boundary, [(head, data) for head, data in found if not has_delimiter(dashes, data)]


def has_delimiter(dashes: bytes, data: bytes) -> bool:
    """By the grammar of RFC 2046 §5.1.1, within the line ends before and behind the data."""
    line = rb"\r\n" + re.escape(dashes) + rb"(?:--|[ \t]{0,%d}\r?\n)" % MAX_PADDING
    return re.search(line, b"\r\n" + data + b"\r\n") is not None


def cut(draw: Callable[..., Any], body: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(body)), max_size=12))
    return [body[start:end] for start, end in pairwise(sorted((0, len(body), *places)))]


def written(boundary: str, given: Parts) -> bytes:
    between = Delimiters(boundary)
    return b"".join(between.head(head) + data for head, data in given) + between.end()


def by_hand(draw: Callable[..., Any], boundary: str, given: Parts) -> bytes:
    """As a client might, which RFC 2046 §5.1.1 allows or readers put up with."""
    dashes = b"--" + boundary.encode()
    padding = st.sampled_from([b"", b" ", b"\t \t"])
    line_end = st.sampled_from([b"\r\n", b"\n"])
    body = draw(st.sampled_from([b"", b"\r\n", b"no MIME here\r\n", b"\r\n--\n\r\n", b"\r\n" + dashes + b"Z\r\n"]))
    for number, (head, data) in enumerate(given):
        body += (b"\r\n" if number else b"") + dashes + draw(padding) + draw(line_end)
        for name, value in head.items():
            body += f"{draw(st.sampled_from([name, name.upper()]))}:{draw(st.sampled_from(['', ' ']))}{value}".encode(
                "latin-1"
            )
            body += draw(line_end)
        body += draw(line_end) + data
    body += (b"\r\n" if given else b"") + dashes + b"--"
    return body + draw(st.sampled_from([b"", b"\r\n", b" \r\nepilogue\r\n" + dashes + b"\r\n\r\nno part", b"\0"]))


@pytest.mark.slow
@settings(max_examples=300)
@given(streams(), st.data())
def test_what_is_written_is_read_however_it_is_cut(stream: tuple[str, Parts], data: st.DataObject) -> None:
    """RFC 2046 §5.1.1."""
    boundary, given_parts = stream
    pieces = cut(data.draw, written(boundary, given_parts))
    assert read_all(reader(*pieces), boundary) == given_parts


@pytest.mark.slow
@settings(max_examples=300)
@given(streams(), st.data())
def test_what_a_client_writes_is_read_however_it_is_cut(stream: tuple[str, Parts], data: st.DataObject) -> None:
    """RFC 2046 §5.1.1: preamble, transport padding and epilogue; bare LF in headers."""
    boundary, given_parts = stream
    body = by_hand(data.draw, boundary, given_parts)
    assert read_all(reader(*cut(data.draw, body)), boundary) == given_parts
    assert read_all(bytewise(body), boundary) == given_parts


@pytest.mark.slow
@settings(max_examples=300)
@given(streams(), st.data())
def test_parts_that_are_not_read_are_skipped(stream: tuple[str, Parts], data: st.DataObject) -> None:
    """RFC 2046 §5.1.1: what a reader leaves of one part is not in the next."""
    boundary, given_parts = stream
    pieces = cut(data.draw, written(boundary, given_parts))
    for part, (head, body) in zip(parts(reader(*pieces), boundary), given_parts, strict=True):
        assert part.headers == head
        begun = b"".join(chunk for _, chunk in zip(range(data.draw(st.integers(0, 3))), part.chunks(), strict=False))
        assert body.startswith(begun)


@pytest.mark.slow
@settings(max_examples=400)
@given(streams(), st.data())
def test_a_damaged_body_raises_nothing_but_invalid_argument(stream: tuple[str, Parts], data: st.DataObject) -> None:
    """RFC 2046 §5.1.1: what is wrong with a body is its sender's fault. Whatever is cut, the answer is the same."""
    boundary, given_parts = stream
    body = bytearray(written(boundary, given_parts))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = start + data.draw(st.integers(0, 6))
        body[start:end] = data.draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b":", b"-", b"\xff", b"\0\0"]))
    damaged = bytes(body)
    assert outcome(reader(*cut(data.draw, damaged)), boundary) == outcome(reader(damaged), boundary)


def outcome(read: Callable[[], bytes], boundary: str) -> tuple[Parts, str]:
    found: Parts = []
    try:
        for part in parts(read, boundary):
            found.append((part.headers, b""))
            for chunk in part.chunks():
                assert chunk
                found[-1] = (part.headers, found[-1][1] + chunk)
    except InvalidArgument as error:
        return found, error.message
    return found, ""


@pytest.mark.slow
@settings(max_examples=200)
@given(streams(), st.data())
def test_every_truncation_is_told_after_what_there_is(stream: tuple[str, Parts], data: st.DataObject) -> None:
    """RFC 2046 §5.1.1: only ``--boundary--`` is the end."""
    boundary, given_parts = stream
    body = written(boundary, given_parts)
    end = data.draw(st.integers(0, len(body) - 3))
    found, message = outcome(reader(*cut(data.draw, body[:end])), boundary)
    assert message
    assert found[:-1] == given_parts[: max(len(found) - 1, 0)]
    assert [head for head, _ in found] == [head for head, _ in given_parts[: len(found)]]
    if found and len(found) < len(given_parts):
        assert found[-1][1].startswith(given_parts[len(found) - 1][1]) or given_parts[len(found) - 1][1].startswith(
            found[-1][1]
        )


# --- single cases


def test_the_first_delimiter() -> None:
    """RFC 2046 §5.1.1: at the very start, after CRLF, or after a preamble that is ignored."""
    for before in (b"", b"\r\n", b"preamble\r\n", b"--\r\n", b"--a.B\r\n", b"--a.B-9x\r\n", b"x--a.B-9\r\n\r\n"):
        assert bodies(before + b"--a.B-9\r\n\r\nbody\r\n--a.B-9--") == [b"body"], before


def test_empty_parts_and_no_parts() -> None:
    """RFC 2046 §5.1.1: headers and bodies may be empty; a delimiter may follow the empty line at once."""
    assert bodies(b"--a.B-9\r\n\r\n\r\n--a.B-9\r\nX: y\r\n\r\n\r\n--a.B-9--\r\n") == [b"", b""]
    assert bodies(b"--a.B-9\r\n\r\n--a.B-9\r\nX: y\r\n\r\n--a.B-9--") == [b"", b""]
    assert bodies(b"--a.B-9\n\n--a.B-9\nX: y\n\n--a.B-9--") == [b"", b""]
    assert bodies(b"--a.B-9--") == []
    assert bodies(b"\r\n--a.B-9--\r\n") == []


def test_a_delimiter_needs_the_rest_of_its_line() -> None:
    """RFC 2046 §5.1.1: delimiter transport-padding CRLF; all else that begins alike is data."""
    head, tail = b"--a.B-9\r\n\r\n", b"\r\n--a.B-9--"
    for data in (b"\r\n--a.B-9x", b"\r\n--a.B-9-", b"\r\n--a.B-9 x\r\n", b"\r\n--a.B-9\rx", b"--a.B-9x\r\n--a.B-9x"):
        assert bodies(head + data + tail) == [data]
    for line in (b"\r\n--a.B-9 \t\r\n", b"\r\n--a.B-9\n", b"\r\n--a.B-9" + b" " * MAX_PADDING + b"\r\n"):
        assert bodies(head + b"1" + line + b"\r\n2" + tail) == [b"1", b"2"]
    assert bodies(head + b"1\r\n--a.B-9--x\r\n--a.B-9\r\n\r\nepilogue") == [b"1"]


def test_padding_has_a_limit() -> None:
    """RFC 2046 §5.1.1: composers must not pad; blanks without end are not held in memory but data."""
    assert MAX_PADDING == 64
    data = b"1\r\n--a.B-9" + b" " * (MAX_PADDING + 1) + b"\r\n2"
    assert bodies(b"--a.B-9\r\n\r\n" + data + b"\r\n--a.B-9--") == [data]
    pieces = (b"--a.B-9\r\n\r\n", b"\r\n--a.B-9", b" " * (MAX_PADDING + 1), b" ", b"\r\n--a.B-9--")
    (chunks,) = (list(part.chunks()) for part in parts(reader(*pieces), B))
    assert chunks == [pieces[1] + pieces[2], b" "]


def test_a_delimiter_begins_with_crlf() -> None:
    """RFC 2046 §5.1.1: the CRLF belongs to the delimiter; a lone LF or CR before it is the body's, which is binary."""
    for data in (b"1\n--a.B-9\r\n2", b"1\r--a.B-9\r\n2", b"1--a.B-9--2"):
        assert bodies(b"--a.B-9\r\n\r\n" + data + b"\r\n--a.B-9--") == [data]
    assert bodies(b"--a.B-9\r\n\r\n1\r\n\r\n\r\n--a.B-9--") == [b"1\r\n\r\n"]
    assert bodies(b"--a.B-9\r\n\r\n1\r\r\n--a.B-9--") == [b"1\r"]


def test_a_multipart_body_inside_whose_boundary_is_longer() -> None:
    """RFC 2046 §5.1.2."""
    inner = written(B + ".2", [(DICOM, b"in")])
    assert bodies(written(B, [({}, inner), ({}, b"out")])) == [inner, b"out"]


def test_content_length_is_not_believed() -> None:
    """RFC 2046 §5.1: a part ends at its delimiter."""
    for length in (b"0", b"3", b"99999999999999999999", b"-1", b"x"):
        assert bodies(b"--a.B-9\r\nContent-Length: " + length + b"\r\n\r\nabcdef\r\n--a.B-9--") == [b"abcdef"]


def test_headers() -> None:
    """RFC 5322 §2.2: names in any case, folded lines, bare LF; the first of a name."""
    text = b"CONTENT-Type : Application/DICOM ; x=y\nX:\r\nLong: a;\r\n\t b\n  c\r\nx: second\r\nNoise: \xe9:\xff\r\n"
    (part,) = parts(reader(b"--a.B-9\r\n" + text + b"\r\n--a.B-9--"), B)
    assert part.headers == {
        "content-type": "Application/DICOM ; x=y",
        "x": "",
        "long": "a; b c",
        "noise": "é:ÿ",
    }
    assert part.content_type == "application/dicom"


def test_a_part_without_content_type() -> None:
    """RFC 2046 §5.1: no header is required."""
    (part,) = parts(reader(b"--a.B-9\r\n\r\n--a.B-9--"), B)
    assert (part.headers, part.content_type) == ({}, "")


@pytest.mark.parametrize(
    "line", [b"no colon", b"none", b": no name", b"na me: x", b"n\xe4me: x", b" folded: x", b"--a.B-9", b"--a.B-9--: x"]
)
def test_headers_that_are_none(line: bytes) -> None:
    """RFC 5322 §2.2; lines of a part do not start with its delimiter (RFC 2046 §5.1.1)."""
    assert "part 2" in problem(b"--a.B-9\r\n\r\n\r\n--a.B-9\r\n" + line + b"\r\n\r\nx\r\n--a.B-9--")


def test_limits_of_headers() -> None:
    """Invariant 6: nothing is held because a request says so. Each limit is reached and then exceeded by one."""
    assert (MAX_HEADER_LINES, MAX_HEADER_BYTES) == (64, 16 << 10)
    tail = b"\r\n\r\n--a.B-9--"
    lines = b"\r\n".join(b"n%d: x" % i for i in range(MAX_HEADER_LINES))
    assert bodies(b"--a.B-9\r\n" + lines + tail) == [b""]
    assert f"{MAX_HEADER_LINES} lines" in problem(b"--a.B-9\r\nmore: x\r\n" + lines + tail)
    folded = b"n: x\r\n" + b" y\r\n" * MAX_HEADER_LINES
    assert f"{MAX_HEADER_LINES} lines" in problem(b"--a.B-9\r\n" + folded + tail)
    long = b"n:" + b"x" * (MAX_HEADER_BYTES - len(b"n:\r\n\r\n"))
    assert bodies(b"--a.B-9\r\n" + long + tail) == [b""]
    assert f"{MAX_HEADER_BYTES} bytes" in problem(b"--a.B-9\r\n" + long + b"x" + tail)
    assert f"{MAX_HEADER_BYTES} bytes" in problem(b"--a.B-9\r\na: b\r\n" + long + tail)


def test_headers_without_end_are_not_read_on() -> None:
    """Invariant 6: refused after the limit, not at the end of the stream."""
    calls = chain([b"--a.B-9\r\nn: "], (b"x" * 1000 for _ in range(20)))
    with pytest.raises(InvalidArgument, match="bytes of headers"):
        list(parts(lambda: next(calls), B))


@pytest.mark.parametrize("boundary", ["", "a" * 257, "a ", " ", "a\r\nb", "a\n", "ä", 'a"b', "a;b", "a*b", "a@b"])
def test_boundaries_that_are_none(boundary: str) -> None:
    """RFC 2046 §5.1.1: bchars, the last one no blank, and 256 where the RFC has 70, as clients write more. Refused at
    once, before anything is read."""
    with pytest.raises(InvalidArgument, match="boundary"):
        parts(reader(), boundary)


@pytest.mark.parametrize("boundary", ["a", "0" * 70, "0" * 256, "a2a1b0c3-" * 8, "a b", "'()+_,-./:=?", "--", "-" * 70])
def test_boundaries(boundary: str) -> None:
    """RFC 2046 §5.1.1: all bchars, also those that mean something to regular expressions."""
    given_parts: Parts = [({}, b"1\r\n-"), (DICOM, b"\r\n--2")]
    assert read_all(reader(written(boundary, given_parts)), boundary) == given_parts


# --- truncation


def test_what_there_is_of_the_last_part_comes_before_the_error() -> None:
    """A truncated upload: no ``--boundary--`` (RFC 2046 §5.1.1)."""
    for held in (b"", b"\r", b"\r\n--a.B", b"\r\n--a.B-9", b"\r\n--a.B-9-", b"\r\n--a.B-9 \r"):
        found = parts(reader(b"--a.B-9\r\n\r\nda", b"ta" + held), B)
        chunks = next(found).chunks()
        given_bytes = b""
        with pytest.raises(InvalidArgument, match=r"ends within part 1, without '--a\.B-9--'"):
            while True:
                given_bytes += next(chunks)
        assert given_bytes == b"data" + held
        assert list(found) == []  # it was told


def test_a_truncated_part_that_nobody_reads() -> None:
    """RFC 2046 §5.1.1: asking for the next part tells it instead, and once."""
    found = parts(reader(written(B, [({}, b"1"), ({}, b"2")])[:-9]), B)
    next(found)
    next(found)
    with pytest.raises(InvalidArgument, match="ends within part 2"):
        next(found)


def test_truncated_before_a_body() -> None:
    """RFC 2046 §5.1.1: within the headers; or there was no such boundary at all."""
    for body in (b"--a.B-9\r\n", b"--a.B-9\r\nX: y", b"--a.B-9\r\nX: y\r\n"):
        assert "ends within part 1" in problem(body)
    for body in (b"", b"--a.B-", b"--a.B-9", b"\r\n--other\r\n\r\n1\r\n--other--", b"DICM" * 1000):
        assert "no line '--a.B-9'" in problem(body)


def test_errors_of_the_reader_come_through() -> None:
    """A client that goes away is no truncated body: whoever reads decides."""

    def read() -> bytes:
        if first:
            return first.pop()
        raise ConnectionError

    first = [b"--a.B-9\r\n\r\ndata"]
    chunks = next(parts(read, B)).chunks()
    assert next(chunks) == b"data"
    with pytest.raises(ConnectionError):
        next(chunks)


# --- the contract of a stream


def test_the_body_is_read_to_its_end_once() -> None:
    """RFC 2046 §5.1.1: the epilogue is ignored. ``reader`` fails when asked again after its b""."""
    asked = []
    read = reader(written(B, [({}, b"1")]), b"epi", b"logue")
    assert read_all(lambda: asked.append(1) or read()) == [({}, b"1")]
    assert len(asked) == 4


def test_a_part_gives_its_body_once_and_nothing_when_its_time_is_over() -> None:
    """RFC 2046 §5.1: one stream, one cursor."""
    found = parts(reader(written(B, [({}, b"1"), ({}, b"2")])), B)
    first = next(found)
    assert b"".join(first.chunks()) == b"1"
    assert b"".join(first.chunks()) == b""
    second = next(found)
    assert b"".join(first.chunks()) == b""
    assert b"".join(second.chunks()) == b"2"


def test_closing_the_pieces_half_way_does_not_lose_the_place() -> None:
    """RFC 2046 §5.1: a store that refuses a part closes its pieces."""
    pieces = [b"--a.B-9\r\n\r\n1", b"1", b"1\r\n--a.B-9\r\n\r\n2\r\n--a.B-9--"]
    found = parts(reader(*pieces), B)
    chunks = next(found).chunks()
    assert next(chunks) == b"1"
    chunks.close()  # type: ignore[attr-defined, unused-ignore]
    assert b"".join(next(found).chunks()) == b"2"


def test_pieces_come_as_they_arrive_and_hold_back_only_a_possible_delimiter() -> None:
    """RFC 2046 §5.1.1: a delimiter begins with CR and nothing else."""
    pieces = [
        b"--a.B-9\r\n\r\n",
        b"one",
        b"two\n--a.B-9",
        b"3\r",
        b"\n--a.",
        b"x\r\n--a.B-9 ",
        b"y",
        b"\rz",
        b"w",
        b"\r\n--a.B-9--",
    ]
    (part,) = (list(part.chunks()) for part in parts(reader(*pieces), B))
    assert part == [b"one", b"two\n--a.B-9", b"3", b"\r\n--a.x", b"\r\n--a.B-9 y", b"\rz", b"w"]


def test_a_whole_piece_is_given_without_a_copy() -> None:
    """The hot path of a store: what ``read`` gave is what ``chunks`` gives."""
    piece = bytes(100_000)
    (chunks,) = (list(part.chunks()) for part in parts(reader(b"--a.B-9\r\n\r\n", piece, b"\r\n--a.B-9--"), B))
    assert chunks[0] is piece


@pytest.mark.parametrize("place", ["preamble", "read", "skipped", "epilogue"])
def test_memory_does_not_grow_with_a_stream(place: str) -> None:
    """Invariant 7. 50 MB in pieces of 256 kB that all end in what may be a delimiter."""
    piece = bytes((256 << 10) - 8) + b"\r\n--a.B-"
    count = 200
    head, tail = b"\r\n--a.B-9\r\n\r\n", b"\r\n--a.B-9--"
    before, after = {"preamble": (b"", head + tail), "epilogue": (head + tail, b"")}.get(place, (head, tail))

    def stream() -> Iterator[bytes]:
        yield before
        yield from (b"%06d" % number + piece for number in range(count))
        yield after

    pieces = filter(None, stream())
    size = 0
    tracemalloc.start()
    try:
        for part in parts(lambda: next(pieces, b""), B):
            if place != "skipped":
                size += sum(len(chunk) for chunk in part.chunks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert next(pieces, None) is None
    assert size == (count * (len(piece) + 6) if place == "read" else 0)
    assert peak < 2 << 20


# --- writing


def test_what_is_written_to_the_byte() -> None:
    """PS3.18 §8.6.1.2.1: each delimiter but the first has a CRLF before it."""
    between = Delimiters(B)
    assert between.head({"content-type": "application/dicom", "content-location": "/é"}) == (
        b"--a.B-9\r\nContent-Type: application/dicom\r\nContent-Location: /\xe9\r\n\r\n"
    )
    assert between.head({}) == b"\r\n--a.B-9\r\n\r\n"
    assert between.end() == b"\r\n--a.B-9--\r\n"
    assert Delimiters(B).end() == b"--a.B-9--\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", "a\r\nb: c"), ("x", "a\n"), ("x", "\r"), ("x", "a\0"), ("x\r\ny", "a"), ("x:", "a"), ("", "a"), ("x", "中")],
)
def test_headers_cannot_carry_other_lines(name: str, value: str) -> None:
    """RFC 9110 §5.5, §5.1."""
    with pytest.raises(ValueError):
        Delimiters(B).head({name: value})


def test_boundaries_are_new_each_time() -> None:
    """RFC 2046 §5.1.1: no body may contain it; a token needs no quotes (RFC 9110 §5.6.2)."""
    found = {new_boundary() for _ in range(100)}
    assert len(found) == 100
    for boundary in found:
        assert len(boundary) <= 70
        assert boundary.replace("-", "").isalnum()
        assert list(parts(reader(Delimiters(boundary).end()), boundary)) == []


# --- media types


@pytest.mark.parametrize(
    ("text", "media_type", "parameters"),
    [
        ("Application/DICOM", "application/dicom", {}),
        (" a/b ; ", "a/b", {}),
        ("a/b;;c=d;", "a/b", {"c": "d"}),
        ('multipart/related; type="application/dicom"; boundary=x', "", {"type": "application/dicom", "boundary": "x"}),
        ("multipart/related;type=application/dicom;boundary=a'()+_,-./:=?b", "", {"boundary": "a'()+_,-./:=?b"}),
        ('a/b; BOUNDARY="a b;c,d=\\"\\\\\\e"', "a/b", {"boundary": 'a b;c,d="\\e'}),
        ('a/b; x=""; y=; x=2', "a/b", {"x": "", "y": ""}),
        ("a/b; x = y ", "a/b", {"x": "y"}),
        ("*/*;q=0.1", "*/*", {"q": "0.1"}),
    ],
)
def test_media_types(text: str, media_type: str, parameters: dict[str, str]) -> None:
    """RFC 9110 §8.3.1, §5.6.4; unquoted slashes as clients write them."""
    found, named = parse_content_type(text)
    assert found == (media_type or "multipart/related")
    assert {name: named[name] for name in parameters} == parameters
    assert media_type == "" or named == parameters


@pytest.mark.parametrize(
    "text",
    ["", "a", "a/", "/b", "a/b c/d", "a b/c", 'a/b; x="y', "a/b; x", 'a/b; x=y"z"', 'a/b; x="y"z', "ä/b", "a/b,"],
)
def test_media_types_that_are_none(text: str) -> None:
    """RFC 9110 §8.3.1."""
    with pytest.raises(InvalidArgument, match="no media type"):
        parse_content_type(text)


@given(st.one_of(st.text(), st.text('a/b;="\\ ,')))
def test_no_text_raises_anything_but_invalid_argument(text: str) -> None:
    """RFC 9110 §8.3.1. What is accepted means the same when it is written in full."""
    try:
        media_type, parameters = parse_content_type(text)
    except InvalidArgument:
        return
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    again = media_type + "".join(f'; {name}="{value}"' for name, value in escaped.items())
    assert parse_content_type(again) == (media_type, parameters)
