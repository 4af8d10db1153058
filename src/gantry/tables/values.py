"""Values of elements as JSON of a row: bytes to text of the type that their column has.

Decision 25 says what is done with values that do not fit. NUL, which no table keeps, becomes U+FFFD.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from struct import unpack_from

from gantry.dicom.elements import Encoding
from gantry.dicom.text import decoders, split_names, split_values
from gantry.dicom.vr import NUMBERS, ONE_TEXT, TEXT
from gantry.matching import NAME_GROUPS
from gantry.tables.columns import DROPPED_TAGS, NAME_PARTS, OTHER_ELEMENTS, TYPES

MOST_INTEGER = (1 << 63) - 1

_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})|([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_CLOCK = r"([01][0-9]|2[0-3])(?::?([0-5][0-9])(?::?([0-5][0-9])(?:\.([0-9]+))?)?)?"
_TIME = re.compile(_CLOCK)
_DATE_TIME = re.compile(rf"([0-9]{{8}})(?:{_CLOCK})?([+-][0-9]{{4}})?")
_MOST_OFFSET, _LEAST_OFFSET = 14 * 60, -12 * 60  # minutes (PS3.5 §6.2)


_EPOCH = datetime(1970, 1, 1)


class Unfit(ValueError):
    """A value that its column cannot hold."""


def write_string(text: str) -> str:
    return encode_basestring(text.replace("\0", "\ufffd") if "\0" in text else text)


def write_dropped(names: Iterable[str]) -> str:
    """The member that names what was dropped, with a comma in front; "" for nothing."""
    texts = ",".join(map(write_string, sorted(names)))
    return f',"{DROPPED_TAGS}":[{texts}]' if texts else ""


def write_others(others: Iterable[str]) -> str:
    """The member ``OtherElements``, with a comma in front; "" for none. They begin with their tags, so that they are
    in their order."""
    texts = ",".join(sorted(others))
    return f',"{OTHER_ELEMENTS}":[{texts}]' if texts else ""


def write_values(value: bytes, vr: str, of_column: str, repeated: bool, encoding: Encoding, character_set: str) -> str:
    """The value of an element, not empty, as its column of the VR ``of_column`` holds it. ``vr`` is that of the
    element. "" where nothing is left of it. Raises Unfit."""
    kind = TYPES.get(vr)
    if kind != TYPES[of_column] or "SQ" in (vr, of_column) or (vr == "PN") != (of_column == "PN"):
        raise Unfit
    if kind in ("INTEGER", "FLOAT"):
        return _join([_write_number(each) for each in _read_numbers(value, vr, encoding)], repeated)
    if vr == "PN":
        return _join([_write_name(each) for each in split_names(value, character_set)], repeated)
    texts = read_texts(value, vr, character_set, takes_one=not repeated)
    if kind == "STRING":
        return _join([write_string(text) for text in texts], repeated) if any(texts) else ""
    write = _WRITERS[vr]
    return _join([write(text) for text in texts if text], repeated)


def _join(texts: list[str], repeated: bool) -> str:
    if repeated:
        return f"[{','.join(texts)}]"
    if len(texts) > 1:
        raise Unfit
    return texts[0] if texts else ""


def read_texts(value: bytes, vr: str, character_set: str, takes_one: bool = False) -> list[str]:
    """The values of text, without padding. ``takes_one``: all of them as one, with their backslashes."""
    if vr in ONE_TEXT:
        text = decoders(character_set)[0](value) if vr in TEXT else value.decode("latin-1").strip()
        return [text.rstrip("\0 ")]
    parts = split_values(value, character_set) if vr in TEXT else value.decode("latin-1").split("\\")
    strip = str.rstrip if vr == "UC" else str.strip
    texts = [strip(part, "\0 ") for part in parts]
    return ["\\".join(texts)] if takes_one and TYPES[vr] == "STRING" else texts


def write_plain(value: bytes, vr: str, encoding: Encoding, character_set: str) -> list[str]:
    """The values as STRINGs, for elements without a column. Raises Unfit."""
    if not value:
        return []
    if vr == "AT":
        return [f'"{number:08X}"' for number in _read_numbers(value, vr, encoding)]
    if vr in NUMBERS:
        return [f'"{number}"' for number in _read_numbers(value, vr, encoding)]
    if vr == "PN":
        names = split_names(value, character_set)
        return [write_string("=".join(group.strip("\0 ") for group in name)) for name in names]
    return [write_string(text) for text in read_texts(value, vr, character_set)]


def _read_numbers(value: bytes, vr: str, encoding: Encoding) -> tuple[int | float, ...]:
    """AT as one number each (PS3.5 §6.2). Raises Unfit."""
    count, rest = divmod(len(value), NUMBERS[vr].unit)
    if rest:
        raise Unfit
    if vr != "AT":
        return unpack_from(f"{encoding.order}{count}{NUMBERS[vr].letter}", value)
    pairs = unpack_from(f"{encoding.order}{count * 2}H", value)
    return tuple(group << 16 | element for group, element in zip(pairs[::2], pairs[1::2], strict=True))


def _write_number(number: int | float) -> str:
    if isinstance(number, float) and not isfinite(number):
        return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'
    if number > MOST_INTEGER and isinstance(number, int):
        raise Unfit
    return repr(number)


def _write_name(groups: list[str]) -> str:
    """Component groups (PS3.5 §6.2.1). What stands behind the fifth component stays with it. Raises Unfit for a fourth
    group."""
    found = [group.strip("\0 ") for group in groups]
    if any(found[len(NAME_GROUPS) :]):
        raise Unfit
    written = (f'"{name}":{_write_group(text)}' for name, text in zip(NAME_GROUPS, found, strict=False) if text)
    return f"{{{','.join(written)}}}"


def _write_group(text: str) -> str:
    parts = zip(NAME_PARTS, (part.strip() for part in text.split("^", len(NAME_PARTS) - 1)), strict=False)
    written = (f'"{name}":{write_string(part)}' for name, part in parts if part)
    return f"{{{','.join(written)}}}"


# --- dates and times


@lru_cache(maxsize=16)  # a batch of an import has one
def write_moment(micros: int) -> str:
    """A TIMESTAMP, from microseconds since 1970 UTC."""
    return f'"{_EPOCH + timedelta(microseconds=micros)}+00"'


def _write_date(text: str) -> str:
    """Raises Unfit."""
    return f'"{_read_date(text)}"'


def _read_date(text: str) -> str:
    """Also as ACR-NEMA wrote it, with dots (PS3.5 §6.2)."""
    match = _DATE.fullmatch(text)
    if not match:
        raise Unfit
    year, month, day = map(int, filter(None, match.groups()))
    if not (year and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]):
        raise Unfit
    return f"{year:04}-{month:02}-{day:02}"


def _write_time(text: str) -> str:
    """Raises Unfit."""
    match = _TIME.fullmatch(text)
    if not match:
        raise Unfit
    return f'"{_read_clock(*match.groups())}"'


def _read_clock(hour: str | None, minute: str | None, second: str | None, fraction: str | None) -> str:
    """What is missing is 0, and what is less than a microsecond is left out."""
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}"
    return f"{clock}.{fraction[:6]:0<6}" if fraction else clock


def _write_date_time(text: str) -> str:
    """In UTC, as which one without an offset is taken. Raises Unfit."""
    match = _DATE_TIME.fullmatch(text)
    if not match:
        raise Unfit
    date, *clock, offset = match.groups()
    moment = datetime.fromisoformat(f"{_read_date(date)}T{_read_clock(*clock)}")
    try:
        return f'"{moment - _read_offset(offset)}+00"'
    except OverflowError:
        raise Unfit from None


def _read_offset(offset: str | None) -> timedelta:
    """±HHMM. Raises Unfit for one that no place on Earth has."""
    if not offset:
        return timedelta()
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    minutes = -minutes if offset[0] == "-" else minutes
    if int(offset[3:]) > 59 or not _LEAST_OFFSET <= minutes <= _MOST_OFFSET:
        raise Unfit
    return timedelta(minutes=minutes)


_WRITERS: dict[str, Callable[[str], str]] = {"DA": _write_date, "TM": _write_time, "DT": _write_date_time}
