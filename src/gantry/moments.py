"""Dates, times and date-times as searches compare them (PS3.4 §C.2.2.2.5, PS3.5 §6.2).

A part that is not written makes a span: 1011 is all of the minute from 10:11:00 to 10:11:59.999999.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gantry.errors import InvalidArgument
from gantry.matching import date_key, time_key

_DAY = r"[0-9]{8}"
_CLOCK = r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_FORMS = {
    "DA": re.compile(_DAY),
    "TM": re.compile(_CLOCK),
    "DT": re.compile(rf"[0-9]{{4}}(?:[0-9]{{2}}(?:[0-9]{{2}}(?:{_CLOCK})?)?)?"),
}
# What stands for the parts that are not written: the first and the last moment that they may mean. 60 is a leap second.
FIRST = {"DA": "00000101", "TM": "000000.000000", "DT": "00000101000000.000000"}
LAST = {"DA": "99991231", "TM": "235960.999999", "DT": "99991231235960.999999"}
_WRITTEN = {
    "DA": "date like YYYYMMDD",
    "TM": "time like HHMMSS.FFFFFF",
    "DT": "date-time like YYYYMMDDHHMMSS.FFFFFF (without an offset from UTC)",
}
_OFFSET = re.compile(r"[+-][0-9]{4}\Z")


class Span(NamedTuple):
    """The first and the last moment of a value, both in full length, so that they compare as texts."""

    first: str
    last: str


def key(vr: str, text: str) -> str:
    """As ``date_key`` and ``time_key``, by VR. A date-time is taken without its offset from UTC."""
    if vr == "DA":
        return date_key(text)
    return time_key(text) if vr == "TM" else _OFFSET.sub("", text.strip())


def span(vr: str, text: str) -> Span | None:
    """None for a text that is no value of the VR."""
    found = key(vr, text)
    if not _FORMS[vr].fullmatch(found):
        return None
    return full_range(vr, found, found)


def parse_ends(name: str, vr: str, text: str) -> tuple[str, str]:
    """The ends of ``A``, ``A-B``, ``A-`` or ``-B``, each in one form, "" for an open one; those of ``A`` are the same.

    Raises InvalidArgument, which names the parameter.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    ends = (first, last) if dash else (first, first)
    if not any(ends) or any(end and span(vr, end) is None for end in ends):
        raise InvalidArgument(f"{name}: {text[:100]!r} is no {_WRITTEN[vr]}, and no range of such values")
    return key(vr, ends[0]), key(vr, ends[1])


def parse_range(name: str, vr: str, text: str) -> Span:
    """All that ``parse_ends`` allows. Raises InvalidArgument, which names the parameter."""
    return full_range(vr, *parse_ends(name, vr, text))


def full_range(vr: str, first: str, last: str) -> Span:
    """From the first moment of one end to the last moment of the other; "" is an open end."""
    return Span(first + FIRST[vr][len(first) :], last + LAST[vr][len(last) :])


def overlaps(asked: Span, found: Span) -> bool:
    """Whether the value found may lie within the range asked for."""
    return asked.first <= found.last and found.first <= asked.last
