"""Numbers and limits in JSON of clients."""

from __future__ import annotations

import pytest

from gantry.errors import InvalidArgument
from gantry.json_text import TooManyValues, charset_of, decode_text, parse_json, require_few_values


@pytest.mark.parametrize(("digits", "kind"), [(1, int), (32, int), (33, str), (5000, str)])
def test_a_number_of_more_digits_than_any_value_has_stays_text(digits: int, kind: type) -> None:
    """Python needs time that grows with their square."""
    (found,) = parse_json(f"[{'7' * digits}]")
    assert type(found) is kind and str(found) == "7" * digits


@pytest.mark.parametrize("text", ["[1,2,3]", "[{},{}]", "[[[]]]", '{"a":1,"b":2}'])
def test_values_are_counted_before_they_are_parsed(text: str) -> None:
    count = sum(text.count(each) for each in ",[{")
    require_few_values(text, count)
    with pytest.raises(TooManyValues, match=f"more than {count - 1} values"):
        require_few_values(text, count - 1)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json", ""),
        ("application/json; charset=UTF-8", "UTF-8"),
        ('application/json;boundary=x; CharSet = "latin-1"', "latin-1"),
        ("application/json; charset='ascii'", "ascii"),
        ("charset=utf-8", ""),
    ],
)
def test_a_content_type_names_its_charset(content_type: str, charset: str) -> None:
    assert charset_of(content_type) == charset


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("", b"\xef\xbb\xbf\xc3\xa9", "é"),
        ("UTF8", "é".encode(), "é"),
        ("utf_8", "é".encode(), "é"),
        ("utf-16le", "[1]".encode("utf-16-le"), "[1]"),
        ("utf-32-be", "[1]".encode("utf-32-be"), "[1]"),
        ("ISO_8859-1", b"\xe9", "é"),
        ("latin1", b"\xe9", "é"),
        ("cp1252", b"\x80", "€"),
        ("us-ascii", b"e", "e"),
    ],
)
def test_text_is_read_by_the_name_of_its_character_set(charset: str, data: bytes, text: str) -> None:
    assert decode_text(data, charset) == text


@pytest.mark.parametrize("charset", ["utf-7", "idna", "rot13", "x"])
def test_other_codecs_are_no_character_sets(charset: str) -> None:
    with pytest.raises(InvalidArgument, match="charset"):
        decode_text(b"1", charset)


@pytest.mark.parametrize("charset", ["", "ascii", "utf-8"])
def test_bytes_that_are_no_such_text_are_refused(charset: str) -> None:
    with pytest.raises(InvalidArgument, match="not valid"):
        decode_text(b"\xff\xe9", charset)
