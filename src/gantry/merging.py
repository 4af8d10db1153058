"""The attributes of a study or series, merged from several of its instances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TypeVar

from gantry.resources import SeriesAttributes, StudyAttributes

Attributes = TypeVar("Attributes", StudyAttributes, SeriesAttributes)
_Parts = dict[tuple[str, str], str]
_LISTS = ("members", "more_members")
_PATIENT = (("patient_name", ""), ("patient_id", ""))
_EMPTY = re.compile(r'"[^"]*":\{"vr":"[A-Z]{2}"\}')
_decode = json.JSONDecoder(parse_int=str).raw_decode  # used only to find where a value ends


def fill(row: Attributes, said: Attributes) -> Attributes:
    """``row`` with those attributes of ``said`` that it lacks.

    A study takes nothing from an instance with another PatientName or PatientID: a mix of two patients would be worse
    than a gap.
    """
    if row == said:
        return row
    have, more = _split(row), _split(said)
    if any(_has_value(have, key) and _has_value(more, key) and have[key] != more[key] for key in _PATIENT):
        return row
    missing = {
        key: text for key, text in more.items() if key not in have or (_has_value(more, key) > _has_value(have, key))
    }
    return _join(row, have | missing) if missing else row


def fold(every: Iterable[Attributes]) -> Attributes | None:
    """The first one, filled by those after it; None for no items."""
    merged: Attributes | None = None
    for said in every:
        merged = said if merged is None else fill(merged, said)
    return merged


def follow(row: Attributes, before: Attributes, after: Attributes) -> Attributes:
    """``row`` once the attributes of one instance have changed from ``before`` to ``after``.

    Where ``before`` differs from the row, the row is from other instances and does not change. Otherwise the values of
    this instance are replaced, and those from other instances are kept.
    """
    if before == after:
        return row
    have, old, new = _split(row), _split(before), _split(after)
    for key in have:
        if _has_value(have, key) and _has_value(old, key) and have[key] not in (old[key], new.get(key)):
            return row
    kept = {key: text for key, text in have.items() if _has_value(have, key) and not _has_value(old, key)}
    return _join(row, new | kept)


def _split(said: Attributes) -> _Parts:
    """(column, "") → text for columns that are not empty, and (list, tag) → member for the lists."""
    parts: _Parts = {}
    for name, text in said._asdict().items():
        if name not in _LISTS:
            parts |= {(name, ""): text} if text else {}
            continue
        try:
            parts |= {(name, tag): member for tag, member in split_members(text)}
        except (ValueError, RecursionError):  # written by an older version: kept whole
            parts[name, ""] = text
    return parts


def split_members(text: str) -> Iterable[tuple[str, str]]:
    """(tag, member) of a DICOM JSON object's members, which are joined by commas."""
    at = 0
    while at < len(text):
        tag, colon = _decode(text, at)
        _, end = _decode(text, colon + 1)
        yield tag, text[at:end]
        at = end + 1


def _has_value(parts: _Parts, key: tuple[str, str]) -> bool:
    return key in parts and not _EMPTY.fullmatch(parts[key])


def _join(like: Attributes, parts: _Parts) -> Attributes:
    columns = {name: parts.get((name, ""), "") for name in like._fields if name not in _LISTS}
    lists = {name: ",".join(parts[key] for key in sorted(parts) if key[0] == name) for name in _LISTS}
    return like._replace(**columns, **lists)
