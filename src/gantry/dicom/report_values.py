"""Values of structured reports as a person reads them: names, dates, codes, numbers. Out of DICOM JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gantry.dicom.vr import OCTETS
from gantry.matching import NAME_GROUPS

DataSet = dict[str, Any]
"""A data set or item as DICOM JSON (PS3.18 §F.2), whose numbers are texts with the digits of the file."""

MAX_TEXT = 100_000
"""Characters of one value that are shown."""

UNREAD, NOT_SHOWN = "(cannot be read)", "not shown here"
"""What stands in the place of a value that is there and not on the page."""

TOO_LONG = f"(a long value, {NOT_SHOWN})"
_REST = f"… (the rest is {NOT_SHOWN})"
_BYTES = ("BulkDataURI", "InlineBinary")
_WHOLE = re.compile("0{0,9}[1-9][0-9]{0,9}")
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(r"(\d\d)(\d\d)?(\d\d(?:\.\d{1,6})?)?")
_DATE_TIME = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d(?:\.\d{1,6})?)?([+-]\d{4})?")
_MEANING, _SCHEME = "00080104", "00080102"
_CODES = ("00080100", "00080119", "00080120")  # CodeValue, LongCodeValue, URNCodeValue
_ANNOTATION = re.compile(r"\{[^{}]*\}")


def read_values(data: DataSet, tag: str) -> list[Any]:
    """The values of an element, without empty ones; none where it is absent or no list of values."""
    found = data.get(tag)
    values = found.get("Value") if isinstance(found, dict) else None
    return [value for value in values if value is not None] if isinstance(values, list) else []


def read_items(data: DataSet, tag: str) -> list[DataSet]:
    """The items of a sequence; none where the element is no sequence that can be read."""
    return [item for item in read_values(data, tag) if isinstance(item, dict)]


def names_loss(text: str) -> bool:
    """Whether a text says that a part of it is not shown, or could not be read."""
    return UNREAD in text or NOT_SHOWN in text


def has_bytes(data: DataSet, tag: str) -> bool:
    """Whether an element is there as bytes, without a value that DICOM JSON can show."""
    found = data.get(tag)
    return isinstance(found, dict) and any(member in found for member in _BYTES)


def is_unread(data: DataSet, tag: str) -> bool:
    """Whether a sequence is there and something in it is no item: it has another VR, or is damaged."""
    return has_bytes(data, tag) or any(not isinstance(value, dict) for value in read_values(data, tag))


def read_text(data: DataSet, tag: str) -> str:
    """All values of an element as one text; UNREAD for bytes, TOO_LONG for others that are bulk data."""
    if has_bytes(data, tag):
        return UNREAD if data[tag].get("vr") in OCTETS else TOO_LONG
    text = ", ".join(filter(None, map(_write_value, read_values(data, tag))))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}{_REST}"


def _write_value(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if not value.keys() <= set(NAME_GROUPS):  # an item of a sequence, where a text or a name belongs
        return UNREAD
    groups = [_write_name(str(value[group])) for group in NAME_GROUPS if value.get(group)]
    return groups[0] + (f" ({', '.join(groups[1:])})" if groups[1:] else "") if groups else ""


def _write_name(group: str) -> str:
    """``Family^Given^Middle^Prefix^Suffix`` (PS3.5 §6.2.1) as ``Prefix Given Middle Family, Suffix``, in Latin letters;
    in others the family name stays first."""
    family, given, middle, prefix, suffix = (*(part.strip() for part in group.split("^", 4)), *("",) * 5)[:5]
    parts = (prefix, given, middle, family) if _is_latin(group) else (prefix, family, given, middle)
    return " ".join(filter(None, parts)) + (f", {suffix}" if suffix else "")


def _is_latin(text: str) -> bool:
    """Up to Latin Extended-B, and the letters of Vietnamese."""
    return all(character < "\u0250" or "\u1e00" <= character < "\u1f00" for character in text)


def read_whole_numbers(data: DataSet, tag: str) -> list[int]:
    """Numbers from 1, of up to 10 digits; `is_number_unread` says whether there are other values."""
    return [int(value) for value in map(str, read_values(data, tag)) if _WHOLE.fullmatch(value)]


def is_number_unread(data: DataSet, tag: str) -> bool:
    """Whether an element is there and one of its values is no whole number from 1."""
    return has_bytes(data, tag) or len(read_whole_numbers(data, tag)) < len(read_values(data, tag))


def read_date(data: DataSet, tag: str) -> str:
    """DA as ``YYYY-MM-DD``; what is no date stays as it is."""
    return _format(read_text(data, tag), _DATE, lambda parts: "-".join(parts))


def read_time(data: DataSet, tag: str) -> str:
    """TM as ``HH:MM:SS``."""
    return _format(read_text(data, tag), _TIME, lambda parts: ":".join(parts))


def read_date_time(data: DataSet, tag: str) -> str:
    """DT as ``YYYY-MM-DD HH:MM:SS +hhmm``, as precise as it is."""

    def write(parts: list[str]) -> str:
        zone = f" {parts.pop()}" if parts[-1][0] in "+-" else ""
        return "-".join(parts[:3]) + (f" {':'.join(parts[3:])}" if parts[3:] else "") + zone

    return _format(read_text(data, tag), _DATE_TIME, write)


def _format(text: str, form: re.Pattern[str], write: Callable[[list[str]], str]) -> str:
    found = form.fullmatch(text.strip())
    return write([part for part in found.groups() if part]) if found else text


def read_code(data: DataSet, tag: str) -> str:
    """The meaning of a coded entry (PS3.3 §8.3), its value and scheme where it has no meaning."""
    unread = UNREAD if is_unread(data, tag) else ""
    return ", ".join(filter(None, (*map(_write_code, read_items(data, tag)), unread)))


def _write_code(item: DataSet) -> str:
    meaning = read_text(item, _MEANING)
    if meaning:
        return meaning
    value, scheme = _read_code_value(item), read_text(item, _SCHEME)
    return f"{value} ({scheme})" if value and scheme else value


def _read_code_value(item: DataSet) -> str:
    return next(filter(None, (read_text(item, tag) for tag in _CODES)), "")


def read_unit(data: DataSet, tag: str) -> str:
    """A unit of measurement: its UCUM symbol, without annotations; "" for a bare number (PS3.16 CID 7181)."""
    for item in read_items(data, tag)[:1]:
        symbol = _read_code_value(item) if read_text(item, _SCHEME) == "UCUM" else ""
        if symbol == "1":
            return ""
        return symbol if symbol and not _ANNOTATION.search(symbol) else _write_code(item)
    return UNREAD if is_unread(data, tag) else ""
