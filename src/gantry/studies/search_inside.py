"""Matching of attributes that have no index, inside sequences too, where the address names the study (PS3.18 §8.3.4.1).

A study's headers are few enough to be looked through; those of a store are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gantry.dicom.attributes import SERIES_DEFAULT, SERIES_MORE
from gantry.dicom.dictionary import tag_of, vr_of
from gantry.dicom.json_model import fragments
from gantry.errors import InvalidArgument
from gantry.matching import name_keys, search_key
from gantry.queries import FoundInstance, FoundSeries, Level
from gantry.seams import Seams
from gantry.studies.headers import with_headers

MAX_DEPTH = 8
_LAST = "\U0010ffff"
_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
MOMENTS = {
    "DA": re.compile(r"[0-9]{8}"),
    "TM": re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?"),
    "DT": re.compile(r"[0-9]{4}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?)?)?"),
}
_OFFSET = re.compile(r"[+-][0-9]{4}\Z")
_SERIES = frozenset(SERIES_DEFAULT + SERIES_MORE)


class Inside(NamedTuple):
    """One of the values at ``tags``, the path to a data element through items of sequences, must match."""

    tags: tuple[int, ...]
    matches: Callable[[Any], bool]


def parse_inside(name: str, value: str, level: Level) -> Inside | None:
    """None for what cannot be looked for like this. Raises InvalidArgument for a value that is none."""
    tags = [tag_of(part) for part in name.split(".")]
    if level is Level.STUDY or len(tags) > MAX_DEPTH or None in tags:
        return None
    path = tuple(tag for tag in tags if tag is not None)
    vrs = [vr_of(tag) for tag in path]
    if any(vr not in ("SQ", "UN") for vr in vrs[:-1]) or vrs[-1] == "SQ" or path[0] >> 16 <= 2:
        return None
    if level is Level.SERIES and path[0] not in _SERIES:
        return None
    return Inside(path, _matcher(name, vrs[-1], value))


def matching_series(rows: Iterable[FoundSeries], wanted: Iterable[Inside]) -> Iterator[FoundSeries]:
    """By what the index answers searches with: the attributes of the first instance of each."""
    for row in rows:
        members = ",".join(filter(None, (row.members, row.more_members)))
        if _fits(json.loads(f"{{{members}}}"), wanted):
            yield row


def matching_instances(
    seams: Seams, rows: Iterable[FoundInstance], wanted: Iterable[Inside]
) -> Iterator[FoundInstance]:
    """By their headers."""
    tags = frozenset(each.tags[0] for each in wanted)
    for row, header in with_headers(seams, rows):
        found = fragments(header, tags)
        if _fits(json.loads(f"{{{','.join(found.values())}}}"), wanted):
            yield row


def _fits(attributes: dict[str, Any], wanted: Iterable[Inside]) -> bool:
    return all(any(map(each.matches, _values(attributes, each.tags))) for each in wanted)


def _values(attributes: dict[str, Any], tags: tuple[int, ...]) -> Iterator[Any]:
    """Those at a path; one None where there is nothing, which universal matching accepts."""
    values = attributes.get(f"{tags[0]:08X}", {}).get("Value", [])
    if len(tags) == 1:
        yield from values or [None]
    for item in values if len(tags) > 1 else ():
        if isinstance(item, dict):
            yield from _values(item, tags[1:])


# --- what a value must be like (PS3.4 §C.2.2.2)


def _matcher(name: str, vr: str, value: str) -> Callable[[Any], bool]:
    if not value.strip("*"):
        return lambda found: True
    if vr == "UI":
        uids = frozenset(re.split(r"[,\\]", value))
        return lambda found: isinstance(found, str) and found in uids
    if vr in MOMENTS:
        return _moment(name, vr, value)
    if vr.split(" ")[0] in _NUMBERS:
        return _number(name, value)
    if vr == "PN":
        return _name(value)
    return _text(value)


def _moment(name: str, vr: str, value: str) -> Callable[[Any], bool]:
    first, dash, last = value.partition("-")
    last = last if dash else first
    pattern = MOMENTS[vr]
    if not (first or last) or not all(pattern.fullmatch(end) for end in (first, last) if end):
        raise InvalidArgument(f"{name}: {value[:100]!r} is no {vr} and no range of them, without an offset from UTC")
    return lambda found: found is not None and first <= _OFFSET.sub("", str(found)) <= (last + _LAST)


def _number(name: str, value: str) -> Callable[[Any], bool]:
    try:
        number = float(value)
    except ValueError:
        raise InvalidArgument(f"{name}: {value[:100]!r} is not a number") from None
    return lambda found: isinstance(found, int | float) and found == number


def _name(value: str) -> Callable[[Any], bool]:
    """Any component group of a name, like names of the index."""
    groups = [_pattern(key) for key in name_keys(value)]

    def matches(found: Any) -> bool:
        keys = [key for text in found.values() for key in name_keys(str(text))] if isinstance(found, dict) else []
        return all(any(group.fullmatch(key) for key in keys) for group in groups)

    return matches


def _text(value: str) -> Callable[[Any], bool]:
    if {"*", "?"} & set(value):
        pattern = _pattern(search_key(value))
        return lambda found: found is not None and pattern.fullmatch(search_key(str(found))) is not None
    return lambda found: found is not None and str(found) == value


def _pattern(key: str) -> re.Pattern[str]:
    """What stands between two ``*`` is looked for once and not again, so that no pattern takes long."""
    first, *rest = ("".join("." if char == "?" else re.escape(char) for char in part) for part in key.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL)
