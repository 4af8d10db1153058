"""Dates as people type them: one day, a month, a year, a range, or a word such as ``today``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import MAXYEAR, date, timedelta
from typing import NamedTuple

from gantry.console.refusals import Refused
from gantry.languages import ENGLISH, N_, _, language
from gantry.matching import search_key

PRESETS = {
    "today": N_("Today"),
    "yesterday": N_("Yesterday"),
    "last-7-days": N_("Last 7 days"),
    "last-30-days": N_("Last 30 days"),
    "this-year": N_("This year"),
}
_PRESET_DAYS: dict[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda day: (day, day),
    "yesterday": lambda day: (day - timedelta(1), day - timedelta(1)),
    "last-7-days": lambda day: (day - timedelta(6), day),
    "last-30-days": lambda day: (day - timedelta(29), day),
    "this-year": lambda day: (day.replace(month=1, day=1), day),
}
_PRESET_WORDS = {
    "today": "today",
    "hoje": "today",
    "aujourd'hui": "today",
    "yesterday": "yesterday",
    "ontem": "yesterday",
    "hier": "yesterday",
    "last 7 days": "last-7-days",
    "ultimos 7 dias": "last-7-days",
    "7 derniers jours": "last-7-days",
    "last 30 days": "last-30-days",
    "ultimos 30 dias": "last-30-days",
    "30 derniers jours": "last-30-days",
    "this year": "this-year",
    "este ano": "this-year",
    "cette annee": "this-year",
}
"""In every language, whatever that of the page is: the addresses of saved searches have what was typed."""
# English, Portuguese, French; a beginning of three letters is enough where it names one month.
_MONTHS = (
    ("january", "janeiro", "janvier"),
    ("february", "fevereiro", "fevrier"),
    ("march", "marco", "mars"),
    ("april", "abril", "avril"),
    ("may", "maio", "mai"),
    ("june", "junho", "juin"),
    ("july", "julho", "juillet"),
    ("august", "agosto", "aout"),
    ("september", "setembro", "septembre"),
    ("october", "outubro", "octobre"),
    ("november", "novembro", "novembre"),
    ("december", "dezembro", "decembre"),
)
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})")
_PACKED = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_MONTH = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})")
_MONTH_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{4})")
_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
_FILLERS = frozenset(("de", "do", "du", "of", "the", "le", "st", "nd", "rd", "th", "er", "o"))
_LEADING = re.compile(r"(?:from|de|du)\s+")
_BETWEEN = re.compile(r"\s+(?:to|until|ate|au|a)(?:\s+|$)|\s*(?:–|—|\.\.)\s*|\s*-\s*")
_MONTH_FIRST = frozenset(("en", "en-us", "en-ph"))


class Days(NamedTuple):
    """The days from ``first`` to ``last``, None for an open end. ``is_swapped``: they were typed the other way round.
    ``is_ambiguous``: another locale would read other days."""

    first: date | None
    last: date | None
    is_swapped: bool = False
    is_ambiguous: bool = False


def is_month_first(accept_language: str) -> bool:
    """Whether the reader writes 01/31/2004: the page is in English, and so is the first language of Accept-Language, of
    a country where CLDR has that order."""
    return language() == ENGLISH and accept_language.partition(",")[0].partition(";")[0].strip().lower() in _MONTH_FIRST


def parse_days(text: str, today: date, month_first: bool = False) -> Days:
    """Raises InvalidArgument."""
    key = search_key(text).replace("\u2019", "'")
    if preset := _PRESET_WORDS.get(key.replace("-", " ")):
        return Days(*_PRESET_DAYS[preset](today))
    key = _LEADING.sub("", key, count=1) if _LEADING.match(key) else key
    found = _parse_one(key, month_first) or next(_parse_ranges(key, month_first), None)
    if found is None:
        words = _(
            "“{text}” is not understood as a date; write 2004-01-31, 31/01/2004, 31.01.2004, Jan 31 2004, a month "
            "(2004-01), a year, or two of them with “to” between"
        )
        raise Refused(words.format(text=text[:100]))
    return found


def _parse_ranges(text: str, month_first: bool) -> Iterator[Days]:
    for place in _BETWEEN.finditer(text):
        sides = text[: place.start()].strip(), text[place.end() :].strip()
        ends = [_parse_one(side, month_first) for side in sides]
        if any(sides) and all(end is not None or not side for end, side in zip(ends, sides, strict=True)):
            yield _join(*ends)


def _join(one: Days | None, other: Days | None) -> Days:
    is_ambiguous = any(end is not None and end.is_ambiguous for end in (one, other))
    if one is None or other is None:
        return Days(one.first if one else None, other.last if other else None, False, is_ambiguous)
    if one.first and other.first and one.first > other.first:
        return Days(other.first, one.last, True, is_ambiguous)
    return Days(one.first, other.last, False, is_ambiguous)


def _parse_one(text: str, month_first: bool) -> Days | None:
    try:
        return _read_one(text, month_first)
    except ValueError:  # a day that no calendar has
        return None


def _read_one(text: str, month_first: bool) -> Days | None:
    if found := _PACKED.fullmatch(text):
        return _day(*map(int, found.groups()))
    if found := _YEAR_FIRST.fullmatch(text):
        return _day(int(found[1]), int(found[3]), int(found[4]))
    if found := _YEAR_LAST.fullmatch(text):
        return _read_year_last(int(found[1]), int(found[3]), int(found[4]), month_first and found[2] != ".")
    if found := _MONTH.fullmatch(text):
        return _month(int(found[1]), int(found[2]))
    if found := _MONTH_LAST.fullmatch(text):
        return _month(int(found[2]), int(found[1]))
    if re.fullmatch("[0-9]{4}", text):
        return Days(date(int(text), 1, 1), date(int(text), 12, 31))
    return _read_words([word for word in _WORD.findall(text) if word not in _FILLERS])


def _read_year_last(one: int, other: int, year: int, month_first: bool) -> Days:
    """Where only one order makes a date, it is that one; with points the day stands first in every locale."""
    is_ambiguous = one <= 12 and other <= 12 and one != other
    first = one > 12 or (other <= 12 and not month_first)
    day, month = (one, other) if first else (other, one)
    return _day(year, month, day)._replace(is_ambiguous=is_ambiguous)


def _read_words(words: list[str]) -> Days | None:
    """``31 jan 2004``, ``jan 31 2004``, ``jan 2004``."""
    months = [number for word in words if word.isalpha() for number in _find_months(word)]
    numbers = [int(word) for word in words if word.isdigit()]
    if len(months) != 1 or len(words) != len(numbers) + 1 or not numbers or numbers[-1] < 1000:
        return None
    if len(numbers) == 1:
        return _month(numbers[0], months[0])
    return _day(numbers[1], months[0], numbers[0]) if len(numbers) == 2 else None


def _find_months(word: str) -> list[int]:
    return [
        number
        for number, names in enumerate(_MONTHS, 1)
        if len(word) >= 3 and any(name.startswith(word) for name in names)
    ]


def _day(year: int, month: int, day: int) -> Days:
    found = date(year, month, day)
    return Days(found, found)


def _month(year: int, month: int) -> Days:
    first = date(year, month, 1)
    after = first.replace(year=min(year + month // 12, MAXYEAR), month=month % 12 + 1)
    return Days(first, after - timedelta(1))
