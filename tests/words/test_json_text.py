"""Numbers and limits in JSON of clients."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.errors import InvalidArgument
from gantry.json_text import (
    NoNumber,
    TooManyValues,
    charset_of,
    decode_text,
    locate_fault,
    parse_items,
    parse_json,
    parse_with_digits,
    require_few_values,
)


@pytest.mark.parametrize(("digits", "kind"), [(1, int), (32, int), (33, str), (5000, str)])
def test_a_number_of_more_digits_than_any_value_has_stays_text(digits: int, kind: type) -> None:
    """Python needs time that grows with their square."""
    (found,) = parse_json(f"[{'7' * digits}]")
    assert type(found) is kind and str(found) == "7" * digits


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_refused_and_named(text: str) -> None:
    """RFC 8259 §6"""
    with pytest.raises(NoNumber, match=f": {text} is no number") as refused:
        parse_json(f'{{"a": [{text}]}}')
    assert locate_fault(refused.value) == f": {text} is no number of JSON (RFC 8259 §6)"
    with pytest.raises(NoNumber):
        list(parse_items(f"[1, {text}]"))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[]", []),
        (" [ ] ", []),
        ("[1]", [1]),
        (' \n[ {"a": 1}\t,\r[2] , "x" ] ', [{"a": 1}, [2], "x"]),
        ('{"a": 1}', [{"a": 1}]),
        (" 7 ", [7]),
        ("[" + "7" * 33 + "]", ["7" * 33]),
    ],
    ids=["none", "spaces", "one", "several", "object", "number", "long"],
)
def test_items_of_an_array_come_one_by_one(text: str, items: list[Any]) -> None:
    assert list(parse_items(text)) == items


@pytest.mark.parametrize(
    ("text", "before", "column"), [("[1, 2", 2, 6), ("[1 2]", 1, 4), ("[1] 2", 1, 5), ("[1,]", 1, 4), ("[", 0, 2)]
)
def test_items_before_a_fault_come_first(text: str, before: int, column: int) -> None:
    items = parse_items(text)
    assert [next(items) for _ in range(before)] == list(range(1, before + 1))
    with pytest.raises(ValueError) as fault:
        next(items)
    assert locate_fault(fault.value) == f" at line 1, column {column}"


def test_numbers_that_stay_text_keep_their_digits() -> None:
    assert parse_with_digits('[1.10, 1e2, -0, "1"]') == ["1.10", "1e2", "-0", "1"]


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
        ("windows-1252", b"\x80", "€"),
        ("cp-1252", b"\x80", "€"),
        *((name, b"\xe9", "é") for name in ("iso8859-1", "latin-1", "l1", "cp819", "ibm819")),
        *((name, b"e", "e") for name in ("us-ascii", "ANSI_X3.4-1968", "iso646-us", "us")),
        *((f"utf{dash}16be", "[1]".encode("utf-16-be"), "[1]") for dash in "-_"),
        ("utf-16", "[1]".encode("utf-16"), "[1]"),
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
