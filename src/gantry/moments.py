"""Dates, times and date-times as searches compare them (PS3.4 §C.2.2.2.5, PS3.5 §6.2).

A value with missing parts is a span: 1011 is the whole minute from 10:11:00 to 10:11:59.999999.
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
# Fill missing parts: the first and the last moment that a value may mean. Second 60 is a leap second.
FIRST = {"DA": "00000101", "TM": "000000.000000", "DT": "00000101000000.000000"}
LAST = {"DA": "99991231", "TM": "235960.999999", "DT": "99991231235960.999999"}
_WRITTEN = {
    "DA": "date like YYYYMMDD",
    "TM": "time like HHMMSS.FFFFFF",
    "DT": "date-time like YYYYMMDDHHMMSS.FFFFFF (without an offset from UTC)",
}
_OFFSET = re.compile(r"[+-][0-9]{4}\Z")


class Span(NamedTuple):
    """The first and the last moment of a value, both in full length, so that they can be compared as texts."""

    first: str
    last: str


def moment_key(vr: str, text: str) -> str:
    """``date_key`` or ``time_key``, by VR. A date-time loses its offset from UTC."""
    if vr == "DA":
        return date_key(text)
    return time_key(text) if vr == "TM" else _OFFSET.sub("", text.strip())


def parse_span(vr: str, text: str) -> Span | None:
    """None for a text that is not a value of the VR."""
    value = moment_key(vr, text)
    if not _FORMS[vr].fullmatch(value):
        return None
    return make_span(vr, value, value)


def parse_ends(name: str, vr: str, text: str) -> tuple[str, str]:
    """The ends of ``A``, ``A-B``, ``A-`` or ``-B`` as keys, "" for an open end; both ends of ``A`` are the same.

    Raises InvalidArgument, which names the parameter.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    ends = (first, last) if dash else (first, first)
    if not any(ends) or any(end and parse_span(vr, end) is None for end in ends):
        raise InvalidArgument(f"{name}: {text[:100]!r} is no {_WRITTEN[vr]}, and no range of such values")
    return moment_key(vr, ends[0]), moment_key(vr, ends[1])


def parse_range(name: str, vr: str, text: str) -> Span:
    """The span of a text that ``parse_ends`` reads. Raises InvalidArgument, which names the parameter."""
    return make_span(vr, *parse_ends(name, vr, text))


def make_span(vr: str, first: str, last: str) -> Span:
    """From the first moment of ``first`` to the last moment of ``last``; "" is an open end."""
    return Span(first + FIRST[vr][len(first) :], last + LAST[vr][len(last) :])


def overlaps(one: Span, other: Span) -> bool:
    """Whether two spans have a moment in common."""
    return one.first <= other.last and other.first <= one.last
