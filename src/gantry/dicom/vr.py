"""Value representations (PS3.5 §6.2): the one table of how each is written, swapped, counted and shown."""

from __future__ import annotations

from typing import NamedTuple


class Vr(NamedTuple):
    """``word`` is how many bytes change places with the byte order, ``unit`` the size of one value, both in bytes.

    ``letter`` is that of ``struct`` for a number. ``is_long``: the length takes 32 bits in explicit VR (PS3.5 §7.1.2).
    """

    is_long: bool = False
    word: int = 1
    unit: int = 1
    letter: str = ""


TABLE = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"), Vr()),
    "AT": Vr(False, 2, 4, "H"),
    "FL": Vr(False, 4, 4, "f"),
    "FD": Vr(False, 8, 8, "d"),
    "SL": Vr(False, 4, 4, "i"),
    "SS": Vr(False, 2, 2, "h"),
    "UL": Vr(False, 4, 4, "I"),
    "US": Vr(False, 2, 2, "H"),
    **dict.fromkeys(("OB", "SQ", "UC", "UN", "UR", "UT"), Vr(True)),
    "OW": Vr(True, 2, 2),
    "OF": Vr(True, 4, 4),
    "OL": Vr(True, 4, 4),
    "OD": Vr(True, 8, 8),
    "OV": Vr(True, 8, 8),
    "SV": Vr(True, 8, 8, "q"),
    "UV": Vr(True, 8, 8, "Q"),
}
SHORT = {vr.encode(): vr for vr, about in TABLE.items() if not about.is_long}
LONG = {vr.encode(): vr for vr, about in TABLE.items() if about.is_long}
"""The VRs by their two letters as bytes, with a length of 16 bits and of 32 bits."""

NUMBERS = {vr: about for vr, about in TABLE.items() if about.letter}
OCTETS = frozenset(("OB", "OW", "OF", "OL", "OD", "OV", "UN"))
TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""VRs whose bytes are in the Specific Character Set (PS3.5 §6.1.2.2)."""

ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))
"""Texts in which a backslash is a character, as they have one value (PS3.5 §6.2)."""

BINARY = OCTETS | NUMBERS.keys()


def fits(vr: str, length: int) -> bool:
    """Whether so many bytes are whole values of a VR, and no more than its length field can say (PS3.5 §7.1.2)."""
    about = TABLE[vr]
    return length % about.unit == 0 and (about.is_long or length <= 0xFFFF)
