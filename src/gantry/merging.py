"""What several instances say of one study, or of one series, put together attribute by attribute."""

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
_decode = json.JSONDecoder(parse_int=str).raw_decode  # only where a value ends matters here


def fill(row: Attributes, said: Attributes) -> Attributes:
    """``row`` with those attributes of ``said`` that it has none of.

    A study takes nothing from an instance with another PatientName or PatientID: half of one patient and half of
    another would be worse than a gap.
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
    """The first one, filled by those after it; None where there is none."""
    found: Attributes | None = None
    for said in every:
        found = said if found is None else fill(found, said)
    return found


def follow(row: Attributes, before: Attributes, after: Attributes) -> Attributes:
    """``row`` after an instance that said ``before`` of it has come to say ``after``.

    Where the instance said anything else than the row does, the row is not by this instance, and stays. Otherwise what
    it said is replaced, and what the row has from other instances stays.
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
    """Columns by name, members of the lists by list and tag; without columns that are empty."""
    found: _Parts = {}
    for name, text in said._asdict().items():
        if name not in _LISTS:
            found |= {(name, ""): text} if text else {}
            continue
        try:
            found |= {(name, tag): member for tag, member in _split_members(text)}
        except (ValueError, RecursionError):  # written by an older version: it stays as it is, in one piece
            found[name, ""] = text
    return found


def _split_members(text: str) -> Iterable[tuple[str, str]]:
    """Members of a DICOM JSON object, joined by commas, with their tags."""
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
