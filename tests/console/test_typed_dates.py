"""Dates as people type them."""

from __future__ import annotations

from datetime import date

import pytest

from gantry.console.typed_dates import PRESETS, Days, is_month_first, parse_days
from gantry.errors import InvalidArgument
from gantry.languages import LANGUAGES, _, use_language

TODAY = date(2026, 3, 1)
DAY = date(2004, 1, 31)


@pytest.mark.parametrize(
    "text",
    [
        *("2004-01-31", "20040131", "2004/1/31", "2004.01.31", "31/01/2004", "31.01.2004", "31-1-2004", "01/31/2004"),
        *(
            "Jan 31 2004",
            "31 January 2004",
            "January 31st, 2004",
            "31 de janeiro de 2004",
            "31 janv. 2004",
            " 2004-01-31 ",
        ),
    ],
)
@pytest.mark.parametrize("month_first", [True, False])
def test_one_day(text: str, month_first: bool) -> None:
    assert parse_days(text, TODAY, month_first) == Days(DAY, DAY)


def test_what_two_locales_read_differently_is_said() -> None:
    assert parse_days("01/02/2004", TODAY, False) == Days(date(2004, 2, 1), date(2004, 2, 1), False, True)
    assert parse_days("01/02/2004", TODAY, True) == Days(date(2004, 1, 2), date(2004, 1, 2), False, True)
    assert parse_days("01.02.2004", TODAY, True).first == date(2004, 2, 1)
    assert not parse_days("02/02/2004", TODAY, True).is_ambiguous


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2004-01", date(2004, 1, 1), DAY),
        ("Feb 2004", date(2004, 2, 1), date(2004, 2, 29)),
        ("12/2004", date(2004, 12, 1), date(2004, 12, 31)),
        ("13/2004", None, None),
        ("du 31 janvier 2004 au 10 février 2004", DAY, date(2004, 2, 10)),
        ("de 31/01/2004 a 10/02/2004", DAY, date(2004, 2, 10)),
        ("from 2004-01-31 to 2004-02-10", DAY, date(2004, 2, 10)),
        ("2004", date(2004, 1, 1), date(2004, 12, 31)),
        ("2004-12", date(2004, 12, 1), date(2004, 12, 31)),
        ("2004-01-31 to 2004-02-10", DAY, date(2004, 2, 10)),
        ("2004-01-31 - 2004-02-10", DAY, date(2004, 2, 10)),
        ("31/01/2004–10/02/2004", DAY, date(2004, 2, 10)),
        ("20040131-20040210", DAY, date(2004, 2, 10)),
        ("2004-01-31-2004-02-10", DAY, date(2004, 2, 10)),
        ("2004 to 2005", date(2004, 1, 1), date(2005, 12, 31)),
        ("2004-2005", date(2004, 1, 1), date(2005, 12, 31)),
        ("31 jan 2004 até 10 fev 2004", DAY, date(2004, 2, 10)),
        ("20040131-", DAY, None),
        ("-2004-01-31", None, DAY),
        ("2004-01-31 to", DAY, None),
    ],
)
def test_spans(text: str, first: date | None, last: date | None) -> None:
    if first is last is None:
        with pytest.raises(InvalidArgument):
            parse_days(text, TODAY)
    else:
        assert parse_days(text, TODAY)[:2] == (first, last)


def test_a_range_the_wrong_way_round_is_put_right() -> None:
    assert parse_days("2004-02-10 to 2004-01-31", TODAY) == Days(DAY, date(2004, 2, 10), True)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("today", TODAY),
        ("Yesterday", date(2026, 2, 28)),
        ("last 7 days", date(2026, 2, 23)),
        ("this-year", date(2026, 1, 1)),
    ],
)
def test_presets(text: str, first: date) -> None:
    assert parse_days(text, TODAY).first == first


def test_every_preset_is_known() -> None:
    assert all(parse_days(name, TODAY).first for name in PRESETS)


@pytest.mark.parametrize(
    "text", ["", "x", "2004-13-01", "30/02/2004", "31 foo 2004", "jui 2004", "1-2", "-", "to", "0000", "٣"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write 2004-01-31"):
        parse_days(text, TODAY)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("en-US,en;q=0.9", True), ("en", True), ("en-GB,en", False), ("pt-BR", False), ("", False), ("fr;q=1", False)],
)
def test_the_order_of_a_locale(header: str, expected: bool) -> None:
    assert is_month_first(header) == expected


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        *(("pt-BR", text) for text in ("31/01/2004", "31.1.2004", "31 de janeiro de 2004", "31 jan. 2004")),
        *(("fr", text) for text in ("31/01/2004", "31-01-2004", "31 janvier 2004", "le 31 janv. 2004")),
    ],
)
def test_the_usual_forms_of_a_language(tag: str, text: str) -> None:
    with use_language(tag):
        assert parse_days(text, TODAY, is_month_first("en-US,en")) == Days(DAY, DAY)


@pytest.mark.parametrize(
    "text", ["1º de fevereiro de 2004", "1er février 2004", "le 1er fév. 2004", "February 1st, 2004"]
)
def test_the_first_of_a_month(text: str) -> None:
    assert parse_days(text, TODAY).first == date(2004, 2, 1)


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_can_be_typed_as_it_is_shown(tag: str, preset: str) -> None:
    with use_language(tag):
        shown = _(PRESETS[preset])
        for text in (shown, shown.upper(), shown.replace("'", "’")):
            assert parse_days(text, TODAY) == parse_days(preset, TODAY)


def test_the_day_stands_first_on_pages_that_are_not_english() -> None:
    """Whatever country the browser names."""
    for tag, expected in (("en", 1), ("pt-BR", 2), ("fr", 2)):
        with use_language(tag):
            found = parse_days("01/02/2004", TODAY, is_month_first("en-US"))
        assert found.first is not None and found.first.month == expected and found.is_ambiguous


def test_what_is_not_understood_is_said_in_the_language() -> None:
    with use_language("fr"), pytest.raises(InvalidArgument) as caught:
        parse_days("bientôt", TODAY)
    assert "n'est pas compris comme une date" in caught.value.message
