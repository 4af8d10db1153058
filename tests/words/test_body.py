"""Request bodies as real clients send them."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from encodings.aliases import aliases
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gantry.api.body import MAX_BODY_BYTES, Body
from gantry.errors import InvalidArgument
from gantry.json_text import NoNumber, parse_items

VALUE = {"gcsSource": {"uri": "gs://b/é*.dcm"}}
TEXT = '{"gcsSource": {"uri": "gs://b/é*.dcm"}}'


def decode(body: bytes, encoding: str = "", charset: str = "") -> dict[str, Any]:
    """The JSON object of a body that was sent with these headers."""
    content_type = f"application/json; charset={charset}" if charset else "application/json"
    headers = Headers(raw=[(b"content-encoding", encoding.encode()), (b"content-type", content_type.encode())])
    left = iter((body,))
    return Body(lambda: next(left, b""), headers).json_object()


@pytest.mark.parametrize("body", [b"", b"  ", b"\r\n", b"\xef\xbb\xbf", b"{}", b"\xef\xbb\xbf {} \n"])
def test_nothing_is_an_empty_object(body: bytes) -> None:
    assert decode(body) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_of_json_are_recognised(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == VALUE


def test_a_charset_of_the_header_is_honoured() -> None:
    assert decode(TEXT.encode("latin-1"), charset="iso-8859-1") == VALUE


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_a_byte_order_mark_wins_over_the_header(charset: str) -> None:
    assert decode(TEXT.encode("utf-8-sig"), charset=charset) == VALUE


@pytest.mark.parametrize(
    "text",
    [
        "{ 'gcsSource': { 'uri': 'gs://b/é*.dcm' } }",
        "{'gcsSource': {'uri': 'gs://b/é*.dcm',},}",
        '{"gcsSource": {"uri": "gs://b/é*.dcm",}}',
        "{gcsSource: {uri: 'gs://b/é*.dcm'}}",
        "{'gcsSource': /* here */ {'uri': 'gs://b/é*.dcm'}} // end",
    ],
)
def test_the_forms_of_the_documentation_are_read(text: str) -> None:
    assert decode(text.encode()) == VALUE


@pytest.mark.parametrize("name", ["gzip", "x-gzip", " GZIP "])
def test_gzip(name: str) -> None:
    assert decode(gzip.compress(TEXT.encode()), name) == VALUE
    assert decode(TEXT.encode(), "identity") == VALUE


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip"),
        (zlib.compress(b"{}"), "gzip"),
        (b"{}", "br"),
        (b"{}", "deflate"),
    ],
    ids=["plain", "cut", "zlib", "br", "deflate"],
)
def test_a_body_that_is_not_what_it_is_declared_to_be_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(InvalidArgument):
        decode(body, encoding)


def test_a_small_body_cannot_unpack_into_a_huge_one() -> None:
    with pytest.raises(InvalidArgument, match="larger"):
        decode(gzip.compress(b" " * (MAX_BODY_BYTES + 1), 1), "gzip")


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"1", b'"a"', b"null", b"true", b"[{}]"),
        *(b"{", b"{{}", b"{'a': 1", b'{"a": 1} x', b"{} {}", b"{'a'}", b"{,}", b"gs://b/a"),
        *(b"\xff", b'{"a": "\xff"}', b"\0", b"{'a': {'b': {'c': 1}}"),
        *(b"[" * 100_000, b'{"a":' * 100_000),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode(body)


@pytest.mark.parametrize("charset", sorted({*aliases.values(), "undefined", "punycode", "idna", "none", "x" * 500}))
def test_no_charset_leads_to_anything_but_a_value_or_a_refusal(charset: str) -> None:
    for body in (b'{"a": 1}', b'{"a": "\xff\xfe"}'):
        try:
            assert isinstance(decode(body, charset=charset), dict)
        except InvalidArgument:
            pass


@given(st.binary(max_size=60) | st.text("{}[]'\",:\\/*01eE.-+nat \n\ufeff", max_size=40).map(str.encode))
def test_no_body_leads_to_anything_but_a_value_or_a_refusal(body: bytes) -> None:
    try:
        assert isinstance(decode(body), dict)
    except InvalidArgument:
        pass


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "+1", ".5", "5.", "0x10", "-0x1F", "0x" + "F" * 40]
NO_NUMBERS += ["+Infinity", "-NaN", "+.5e1", "1." + "0" * 400 + "e400", "01", "1e", "--1"]


@pytest.mark.parametrize("number", NO_NUMBERS)
@pytest.mark.parametrize(
    "text",
    ['{"a": %s}', "{'a': %s}", "{a: [1, %s]}", '{"a": {"b": [%s ,]}}', "{a: /* x */ %s // y\n}", '{"a":\ufeff%s}'],
)
def test_what_json_has_no_number_for_is_refused(text: str, number: str) -> None:
    """RFC 8259 §6: whatever else is lenient."""
    with pytest.raises(InvalidArgument) as caught:
        decode((text % number).encode())
    assert "not valid JSON" in caught.value.message and "internal" not in caught.value.message


@pytest.mark.parametrize("number", ["0", "-0", "1", "-1.5", "1e3", "1.5E-3", "123456789012345678901234567890", "true"])
def test_numbers_of_json_stay_in_lenient_texts(number: str) -> None:
    expected = {"a": json.loads(number), "b": [json.loads(number)]}
    assert decode(f"{{'a': {number}, b: [{number},],}}".encode()) == expected
    assert decode(f'{{"a": {number}, "b": [{number}]}}'.encode()) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{NaN: 1, Infinity: 'NaN', x1: '+1, .5'}", {"NaN": 1, "Infinity": "NaN", "x1": "+1, .5"}),
        ("{'a': \"0x1]\", // +1 }\n b: 'it\\'s +1, x'}", {"a": "0x1]", "b": "it's +1, x"}),
        ("{/* 0x1, */ a /* : .5 */ : /* +1 */ null /* , */ }", {"a": None}),
    ],
)
def test_what_looks_like_such_a_number_in_names_strings_and_comments_is_none(text: str, value: Any) -> None:
    assert decode(text.encode()) == value


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_strict_readers_have_no_such_numbers_either(number: str) -> None:
    for text in (f'{{"a": {number}}}', f"[1, {number}]", number):
        with pytest.raises(InvalidArgument, match="is no number of JSON"):
            Body(partial(next, iter((text.encode(),)), b"")).json_value(1000, 1000)
        with pytest.raises(NoNumber):
            list(parse_items(text))


def test_numbers_of_a_lenient_text_are_looked_for_in_one_pass() -> None:
    """Many quotes, slashes and stars: a megabyte in a moment."""
    for text in (
        "{a: '" + "\\\\" * 400_000 + "'}",
        "{a: [" + "'/*'," * 90_000 + "]}",
        "{a: 1 " + "/**/" * 200_000 + "}",
    ):
        begun = time.process_time()
        decode(text.encode())
        assert time.process_time() - begun < 5


@pytest.mark.parametrize("number", ["1e", "-", "1.2.3", "--1", "0x", "+."])
def test_what_is_no_number_is_named_by_its_place(number: str) -> None:
    """RFC 8259 §6"""
    with pytest.raises(InvalidArgument, match="the number at line 2, column 6 is none of JSON"):
        decode(f'{{\n"a": {number}}}'.encode())
