"""Numbers, sizes, times and durations as they are written in the reader's language.

Babel knows how: it is imported by the first page, because that takes longer than the rest of the console. In English a
day is 2004-01-31: readers of English do not agree on the order of day and month.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from markupsafe import Markup

from gantry.languages import ENGLISH, _, language, ngettext


@cache
def _locale(tag: str) -> Any:
    from babel import Locale

    return Locale.parse(tag, sep="-")


def _format(value: float, pattern: str) -> str:
    from babel.numbers import format_decimal

    return format_decimal(value, pattern, _locale(language()))


def number(count: float) -> str:
    """``1,204``; ``1.204`` in Portuguese."""
    return _format(count, "#,##0")


def decimal(value: float) -> str:
    """With one digit after the point."""
    return _format(value, "#,##0.0")


def abbreviate(value: float) -> str:
    """Three digits: ``1.5k``, ``2M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{_shorten(value / size)}{unit}"
    return _shorten(value)


def _shorten(value: float) -> str:
    return _format(float(f"{value:.3g}"), "0.##")


def size(count: float) -> str:
    """``17 bytes``, ``1.5 KiB``; ``1,5 Kio`` in French."""
    if count < 1024:
        return ngettext("{count} byte", "{count} bytes", round(count)).format(count=number(count))
    for unit in (_("{count} KiB"), _("{count} MiB"), _("{count} GiB"), _("{count} TiB")):
        count /= 1024
        if count < 1024:
            return unit.format(count=decimal(count))
    return _("{count} PiB").format(count=decimal(count / 1024))


def day(value: date) -> str:
    """``2004-01-31``, ``31/01/2004``."""
    if language() == ENGLISH:
        return value.isoformat()
    from babel.dates import format_date

    return format_date(value, "short", _locale(language()))


def dicom_day(text: str) -> str:
    """A date of DICOM (PS3.5 §6.2, DA); what is none stays as it is."""
    try:
        return day(date(int(text[:4]), int(text[4:6]), int(text[6:]))) if len(text) == 8 and text.isdigit() else text
    except ValueError:  # a day that no calendar has
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def when(time: datetime | str) -> Markup:
    """A time in UTC, which the script of the page shows in the reader's zone."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{} {:%H:%M:%S} UTC</time>').format(utc.isoformat(), day(utc.date()), utc)


def duration(seconds: float) -> str:
    """``9.9 s``, ``1 min 1 s``, ``1 d 1 h``."""
    if seconds < 10:
        return _("{seconds} s").format(seconds=decimal(seconds))
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return _("{days} d {hours} h").format(days=number(days), hours=hours)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest) if minutes else _short(rest)


def _short(seconds: int) -> str:
    return _("{seconds} s").format(seconds=seconds)


def elapsed(seconds: float) -> str:
    """In one unit, for the end of an axis."""
    if seconds < 120:
        return _short(round(seconds))
    if seconds < 7200:
        return _("{minutes} min").format(minutes=round(seconds / 60))
    return _("{hours} h").format(hours=decimal(seconds / 3600))
