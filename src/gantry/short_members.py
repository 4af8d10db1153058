"""DICOM JSON of studies and series, without what is the same for all of them and without what other columns say.

Members of a JSON object, ``"00100040":{"vr":"CS","Value":["F"]},…``, become one character for each tag, and the value
behind it; nothing stands behind it where the column that belongs to the tag has the value. It is an eighth as long.
What does not come back as it was stays as it is, so that nothing depends on how it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from gantry.resources import SeriesAttributes, StudyAttributes

_KEPT = 2000  # rows: searches give the latest studies again and again; 3 MB
_LONG, _KEPT_LONG = 4096, 4
"""From how many characters on a text is long, and how many long ones are remembered: one study may have 600,000."""
_SHORT, _WHOLE = "\x01", "\x1e"  # begins a short text; begins a member that is there in full
_CODES = [chr(code) for code in range(2, 30)]
# What is in an index is read by these tables: new tags go to their ends, and none changes its place.
_STUDY = (
    *("00080020 DA study_date", "00080030 TM study_time", "00080050 SH accession_number"),
    *("00080090 PN referring_physician_name", "00080201 SH", "00100010 PN patient_name", "00100020 LO patient_id"),
    *("00100030 DA", "00100040 CS", "00200010 SH study_id"),
)
_STUDY_MORE = (
    *("00080080 LO", "00080081 ST", "0008009C PN", "00081030 LO study_description", "00081048 PN", "00081060 PN"),
    *("00100021 LO", "00101000 LO", "00101010 AS", "00101020 DS", "00101030 DS", "00401102 ST", "00401103 LO"),
    *("00400031 UT", "00400032 UT", "00400033 CS", "00401104 LT"),
)
_SERIES = (
    *("00080060 CS modality", "00080201 SH", "0008103E LO series_description", "00200011 IS series_number"),
    *("00400244 DA start_date", "00400245 TM start_time"),
)
_SERIES_MORE = (
    *("00080021 DA", "00080031 TM", "00080070 LO", "00081010 SH", "00081050 PN", "00081070 PN", "00081090 LO"),
    *("00180015 CS", "00181030 LO", "00200060 CS"),
)


class _Member(NamedTuple):
    """How a member is written around its value, without one, and the place of the column that may have the value."""

    start: str
    end: str
    bare: str
    column: int | None


class _Table:
    def __init__(self, fields: Sequence[str], lines: tuple[str, ...]) -> None:
        self.by_code = {code: _read_line(fields, line) for code, line in zip(_CODES, lines, strict=False)}
        self.by_tag = {member.start[1:20]: (code, member) for code, member in self.by_code.items()}  # with the VR


def _read_line(fields: Sequence[str], line: str) -> _Member:
    tag, vr, *column = line.split()
    before, after = {"PN": ('{"Alphabetic":"', '"}'), "IS": ("", ""), "DS": ("", "")}.get(vr, ('"', '"'))
    bare = f'"{tag}":{{"vr":"{vr}"'
    place = fields.index(column[0]) if column else None
    return _Member(f'{bare},"Value":[{before}', f"{after}]}}", f"{bare}}}", place)


_UNKNOWN = "", _Member("", "", "", None)
_STUDY_TABLES = _Table(StudyAttributes._fields, _STUDY), _Table(StudyAttributes._fields, _STUDY_MORE)
_SERIES_TABLES = _Table(SeriesAttributes._fields, _SERIES), _Table(SeriesAttributes._fields, _SERIES_MORE)
_PLAIN = re.compile(r'"([0-9A-F]{8}":\{"vr":"[A-Z]{2})"(?:,"Value":\[(?:\{"Alphabetic":)?"?([^"\\,{}[\]]+)"?\}?\])?\}')
_SPLIT = re.compile("([\x02-\x1e])")
_decode = json.JSONDecoder(parse_int=str).raw_decode  # only where a value ends matters here


def shorten(said: StudyAttributes | SeriesAttributes) -> tuple[str, str]:
    """``members`` and ``more_members`` for the index."""
    table, more = _STUDY_TABLES if isinstance(said, StudyAttributes) else _SERIES_TABLES
    return _shorten(said.members, said, table), _shorten(said.more_members, said, more)


def lengthen_study(columns: tuple[str, ...]) -> tuple[str, str]:
    """What ``shorten`` was given, by the columns of ``StudyAttributes``; also of a text that was never shortened."""
    is_long = len(columns[8]) + len(columns[9]) > _LONG
    return (_recall_long_study if is_long else _recall_study)(columns)


def lengthen_series(columns: tuple[str, ...]) -> tuple[str, str]:
    """The same of a series, by the columns of ``SeriesAttributes``."""
    is_long = len(columns[4]) + len(columns[5]) > _LONG
    return (_recall_long_series if is_long else _recall_series)(columns)


def _restore_study(columns: tuple[str, ...]) -> tuple[str, str]:
    table, more = _STUDY_TABLES
    return _restore(columns[8], columns, table), _restore(columns[9], columns, more)


def _restore_series(columns: tuple[str, ...]) -> tuple[str, str]:
    table, more = _SERIES_TABLES
    return _restore(columns[4], columns, table), _restore(columns[5], columns, more)


_recall_study, _recall_long_study = lru_cache(_KEPT)(_restore_study), lru_cache(_KEPT_LONG)(_restore_study)
_recall_series, _recall_long_series = lru_cache(_KEPT)(_restore_series), lru_cache(_KEPT_LONG)(_restore_series)


def _shorten(text: str, columns: Sequence[str], table: _Table) -> str:
    if not text or _SPLIT.search(text):
        return text
    for shorten_all in (_shorten_plain, _shorten_each):
        short = shorten_all(text, columns, table)
        if _restore(short, columns, table) == text:
            return short
    return text


def _shorten_plain(text: str, columns: Sequence[str], table: _Table) -> str:
    """The usual case: every member is plain and in the table. Of other texts something else comes out."""
    found = [_SHORT]
    for head, value in _PLAIN.findall(text):
        code, member = table.by_tag.get(head, _UNKNOWN)
        said = "" if member.column is None else columns[member.column]
        found.append(code if value == said else code + value)
    return "".join(found)


def _shorten_each(text: str, columns: Sequence[str], table: _Table) -> str:
    """A member that has no short form is there in full."""
    parts, at = [_SHORT], 0
    while at < len(text):
        plain = _PLAIN.match(text, at)
        end = plain.end() if plain else _find_end(text, at)
        parts += (plain and _shorten_member(plain, columns, table)) or (_WHOLE, text[at:end])
        at = end + 1
    return "".join(parts)


def _shorten_member(plain: re.Match[str], columns: Sequence[str], table: _Table) -> tuple[str, ...]:
    """Nothing for one that has no short form."""
    head, value = plain.groups("")
    code, member = table.by_tag.get(head, _UNKNOWN)
    if member is _UNKNOWN[1]:
        return ()
    if value == ("" if member.column is None else columns[member.column]):
        return (code,)
    return (code, value) if value else ()


def _find_end(text: str, at: int) -> int:
    """Where the member that begins ``at`` a place ends; of a text that is no JSON, its own end."""
    try:
        _, colon = _decode(text, at)
        return int(_decode(text, colon + 1)[1])
    except (ValueError, RecursionError):
        return len(text)


def _restore(text: str, columns: Sequence[str], table: _Table) -> str:
    if text[:1] != _SHORT:
        return text
    by_code, found = table.by_code, []
    parts = iter(_SPLIT.split(text)[1:])
    for code, value in zip(parts, parts, strict=True):
        if code == _WHOLE:
            found.append(value)
            continue
        if code not in by_code:  # a damaged row: what else it says counts
            continue
        start, end, bare, column = by_code[code]
        if not value and column is not None:
            value = columns[column]
        found.append(start + value + end if value else bare)
    return ",".join(found)
