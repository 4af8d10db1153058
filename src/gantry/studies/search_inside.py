"""Searches by attributes without an index, also in sequences, in one study (PS3.18 §8.3.4.1).

Each header of the study is read; for a whole store that would take too long.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gantry.containment import contain
from gantry.dicom.attributes import SERIES_DEFAULT, SERIES_MORE
from gantry.dicom.dictionary import tag_of, vr_of
from gantry.dicom.json_model import fragments
from gantry.errors import DataLoss, InvalidArgument, StatusError
from gantry.json_text import parse_json
from gantry.matching import name_keys, pattern_key, search_key
from gantry.moments import FIRST, overlaps, parse_range, parse_span
from gantry.names import DicomStoreName, ResourcePath, split_uids
from gantry.queries import FoundSeries, Level
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import FoundHeader, name_instance, read_headers

logger = logging.getLogger(__name__)

MAX_DEPTH = 8  # of a path through sequences
_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_SERIES = frozenset(SERIES_DEFAULT + SERIES_MORE)


class Inside(NamedTuple):
    """A condition: one of the values at ``tags``, a path through items of sequences, must match."""

    tags: tuple[int, ...]
    matches: Callable[[Any], bool]


def parse_inside(name: str, value: str, level: Level) -> Inside | None:
    """None for an attribute that cannot be searched like this. Raises InvalidArgument for an invalid value.

    Values that are ``is_universal`` match everything, even without the attribute; the caller must drop them.
    """
    tags = [tag_of(part) for part in name.split(".")]
    if level is Level.STUDY or len(tags) > MAX_DEPTH or None in tags:
        return None
    path = tuple(tag for tag in tags if tag is not None)
    vrs = [vr_of(tag) for tag in path]
    if any(vr not in ("SQ", "UN") for vr in vrs[:-1]) or vrs[-1] == "SQ" or path[0] >> 16 <= 2:
        return None
    if level is Level.SERIES and path[0] not in _SERIES:
        return None
    return Inside(path, _make_matcher(name, vrs[-1], value))


def is_universal(value: str) -> bool:
    """Universal matching (PS3.4 §C.2.2.2.3): no value, or ``*`` alone."""
    return not value.strip("*")


def match_series(rows: Iterable[FoundSeries], wanted: Sequence[Inside]) -> Iterator[FoundSeries]:
    """Match series by the attributes in the index, which are those of their first instances."""
    for row in rows:
        members = ",".join(filter(None, (row.members, row.more_members)))
        if _fits(parse_json(f"{{{members}}}"), wanted):
            yield row


def match_instances(
    seams: Seams, store: DicomStoreName, rows: Iterable[StoredInstance], wanted: Sequence[Inside]
) -> Iterator[StoredInstance]:
    """Match instances by their headers. One that cannot be read matches nothing and is logged."""
    tags = frozenset(each.tags[0] for each in wanted)
    for found in read_headers(seams, store, rows):
        try:
            fits = _header_fits(found, tags, wanted)
        except StatusError as error:
            logger.warning("an instance is left out of a search: %s", name_instance(found.row, error).message)
            continue
        if fits:
            yield found.row


def _header_fits(found: FoundHeader, tags: frozenset[int], wanted: Sequence[Inside]) -> bool:
    """Whether a header matches. Raises only StatusError."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    with contain(ResourcePath(*found.row.uids), "while its header was searched"):
        texts = fragments(found.header, tags)
        return _fits(parse_json(f"{{{','.join(filter(None, texts.values()))}}}"), wanted)


def _fits(attributes: dict[str, Any], wanted: Iterable[Inside]) -> bool:
    """Whether attributes match. One item of a sequence must match all that is asked of items (PS3.4 §C.2.2.2.6)."""
    below: dict[int, list[Inside]] = {}
    for tags, matches in wanted:
        if len(tags) > 1:
            below.setdefault(tags[0], []).append(Inside(tags[1:], matches))
        elif not any(map(matches, _list_values(attributes, tags[0]))):
            return False
    return all(
        any(_fits(item, inside) for item in _list_values(attributes, tag) if isinstance(item, dict))
        for tag, inside in below.items()
    )


def _list_values(attributes: dict[str, Any], tag: int) -> Sequence[Any]:
    values: Sequence[Any] = attributes.get(f"{tag:08X}", {}).get("Value", ())
    return values


# --- what a value must be like (PS3.4 §C.2.2.2)


def _make_matcher(name: str, vr: str, value: str) -> Callable[[Any], bool]:
    if is_universal(value):
        return lambda found: True
    if vr == "UI":
        uids = frozenset(split_uids(value))
        return lambda found: isinstance(found, str) and found in uids
    if vr in FIRST:
        return _match_moment(name, vr, value)
    if vr.split(" ")[0] in _NUMBERS:
        return _match_number(name, value)
    if vr == "PN":
        return _match_name(value)
    return _match_text(value)


def _match_moment(name: str, vr: str, value: str) -> Callable[[Any], bool]:
    wanted = parse_range(name, vr, value)

    def matches(found: Any) -> bool:
        stored = parse_span(vr, found) if isinstance(found, str) else None
        return stored is not None and overlaps(wanted, stored)

    return matches


def _match_number(name: str, value: str) -> Callable[[Any], bool]:
    if not _DECIMAL.fullmatch(value.strip()) or not math.isfinite(number := float(value)):
        raise InvalidArgument(f"{name}: {value[:100]!r} is not a number")
    return lambda found: isinstance(found, int | float) and found == number


def _match_name(value: str) -> Callable[[Any], bool]:
    """Match any component group of a name, as the index does."""
    groups = [_compile_pattern(key) for key in name_keys(value, pattern_key)]

    def matches(found: Any) -> bool:
        keys = [key for text in found.values() for key in name_keys(str(text))] if isinstance(found, dict) else []
        return all(any(group.fullmatch(key) for key in keys) for group in groups)

    return matches


def _match_text(value: str) -> Callable[[Any], bool]:
    """Nothing for an object, which a file has where it gives a text the VR of names: the index has none, either."""
    if {"*", "?"} & set(value):
        pattern = _compile_pattern(pattern_key(value))
        return lambda found: _is_text(found) and pattern.fullmatch(search_key(str(found))) is not None
    forms = value, value.strip(" ") or value
    return lambda found: _is_text(found) and str(found) in forms


def _is_text(found: Any) -> bool:
    return found is not None and not isinstance(found, dict)


def _compile_pattern(key: str) -> re.Pattern[str]:
    """Atomic groups: the text between two ``*`` is searched only once, so that the time stays linear."""
    first, *rest = ("".join("." if char == "?" else re.escape(char) for char in part) for part in key.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL)
