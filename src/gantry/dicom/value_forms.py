"""The forms that text values must have (PS3.5 §6.2, Table 6.2-1), for what is written anew."""

from __future__ import annotations

import re

_DATE = r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
_DATE_TIME = rf"(?:[0-9]{{4}}(?:0[1-9]|1[0-2])?|{_DATE}(?:{_TIME})?)(?:[+-][0-9]{{4}})? *"
_NO_CONTROL = r"[^\x00-\x1a\x1c-\x1f\\]*"
_LINES = r"[^\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]*"
_FORMS = {
    "AE": (r"[\x20-\x5b\x5d-\x7e]*", 16, "up to 16 characters of ASCII"),
    "AS": (r"[0-9]{3}[DWMY]", 4, "three digits and one of D, W, M, Y"),
    "CS": (r"[A-Z0-9 _]*", 16, "up to 16 capital letters, digits, blanks and _"),
    "DA": (_DATE, 8, "a date as YYYYMMDD"),
    "DS": (r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *", 16, "a number of up to 16 characters"),
    "DT": (_DATE_TIME, 26, "YYYYMMDDHHMMSS.FFFFFF&ZZXX"),
    "IS": (r" *[+-]?[0-9]+ *", 12, "a whole number of up to 12 characters"),
    "LO": (_NO_CONTROL, 64, "up to 64 characters of one line"),
    "LT": (_LINES, 10240, "up to 10240 characters"),
    "PN": (_NO_CONTROL, 3 * 64 + 2, "up to 64 characters in each component group"),
    "SH": (_NO_CONTROL, 16, "up to 16 characters of one line"),
    "ST": (_LINES, 1024, "up to 1024 characters"),
    "TM": (_TIME + " *", 16, "a time as HHMMSS.FFFFFF"),
    "UC": (_NO_CONTROL, 1 << 32, "characters of one line"),
    "UI": (r"[0-9]+(?:\.[0-9]+)*", 64, "a UID"),
    "UR": (r"[!-~]+ *", 1 << 32, "a URI"),
    "UT": (_LINES, 1 << 32, "text"),
}
_COMPILED = {vr: (re.compile(pattern), most, words) for vr, (pattern, most, words) in _FORMS.items()}
_MAX_GROUP = 64


class Unwritable(ValueError):
    """A value that cannot be written. ``str()`` says why, in our words, for whoever sent it."""


def require_form(vr: str, text: str) -> None:
    """Raises Unwritable, which says what the VR wants. Empty values are of every form."""
    pattern, most, words = _COMPILED[vr]
    is_right = not text or (len(text) <= most and pattern.fullmatch(text))
    if vr == "PN" and any(len(group) > _MAX_GROUP for group in text.split("=")):
        is_right = False
    if vr == "IS" and is_right and text.strip() and not -(2**31) <= int(text) < 2**31:
        is_right = False
    if not is_right:
        raise Unwritable(f"{text[:100]!r} is not {words}, as {vr} has to be")


def shorten_decimal(value: float) -> str:
    """A number in the 16 characters of a DS, with as many digits as fit."""
    text = repr(value)
    for digits in range(16, 0, -1):
        if len(text) <= 16:
            break
        text = f"{value:.{digits}g}"
    return text
