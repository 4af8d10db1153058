"""Members of the DICOM JSON objects that searches answer with, from the index: studies, series, and what instances have
from both (PS3.18 Tables 10.6.3-3 to -5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gantry.dicom.tags import (
    AVAILABLE_TRANSFER_SYNTAX,
    CHARACTER_SET,
    INSTANCE_AVAILABILITY,
    MODALITIES_IN_STUDY,
    RETRIEVE_URL,
    SERIES,
    SERIES_INSTANCE_COUNT,
    SERIES_NUMBER,
    STUDY,
    STUDY_INSTANCE_COUNT,
    STUDY_SERIES_COUNT,
)
from gantry.json_text import parse_json
from gantry.merging import split_members
from gantry.queries import FoundSeries, FoundStudy
from gantry.studies.search import Search

_KEPT = 256  # studies: their series stand together in nearly every answer
_LONG, _KEPT_LONG = 8192, 2
"""From how many characters on a text is long, and how many long ones are remembered: parsed it takes several times as
much, and one study may have 600,000."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
UTF8 = f'"{CHARACTER_SET:08X}":{{"vr":"CS","Value":["ISO_IR 192"]}}'
COUNTS = frozenset((MODALITIES_IN_STUDY, STUDY_SERIES_COUNT, STUDY_INSTANCE_COUNT, SERIES_INSTANCE_COUNT))
OF_THE_SERVER = COUNTS | {RETRIEVE_URL, INSTANCE_AVAILABILITY, AVAILABLE_TRANSFER_SYNTAX}
"""What a server says of what it has: a file that says something else was written by another one."""
_OF_THE_SERVER = frozenset(f"{tag:08X}" for tag in OF_THE_SERVER)
_STARTS = tuple(f'"{tag}":' for tag in _OF_THE_SERVER)
END = '"]}'
"""Ends a member with one text, as a UID or an address is."""
ONLINE = f'"{INSTANCE_AVAILABILITY:08X}":{{"vr":"CS","Value":["ONLINE"]}}'


def write_study(row: FoundStudy, search: Search, web_url: str) -> str:
    members = [UTF8, ONLINE, write_uid(STUDY, row.study_instance_uid)]
    members += filter(None, (row.members, _choose_more_members(row.more_members, search)))
    if row.modalities and _is_wanted(MODALITIES_IN_STUDY, search):
        members.append(_write_modalities(row.modalities))
    if not search.strict:
        members.append(f"{start_address(web_url)}/studies/{row.study_instance_uid}{END}")
    counts = ((STUDY_SERIES_COUNT, row.series_count), (STUDY_INSTANCE_COUNT, row.instance_count))
    members += (write_number(tag, "IS", count) for tag, count in counts if _is_wanted(tag, search))
    return f"{{{','.join(members)}}}"


def _is_wanted(tag: int, search: Search) -> bool:
    """For modalities and counts, which the standard requires. Google returns them only if ``includefield`` names them,
    and so does strict mode."""
    return not search.strict or tag in search.fields


def write_series(row: FoundSeries, search: Search, web_url: str) -> str:
    members = [UTF8, write_uid(STUDY, row.study_instance_uid), write_uid(SERIES, row.series_instance_uid)]
    members += filter(
        None,
        (
            _choose_series_members(row, search),
            _choose_more_members(row.more_members, search),
            _choose_study_members(row, search),
            _count_study(row, search),
        ),
    )
    if not search.strict:
        below = f"/studies/{row.study_instance_uid}/series/{row.series_instance_uid}"
        members.append(f"{start_address(web_url)}{below}{END}")
    if _is_wanted(SERIES_INSTANCE_COUNT, search):
        members.append(write_number(SERIES_INSTANCE_COUNT, "IS", row.instance_count))
    return f"{{{','.join(members)}}}"


def _count_study(row: FoundSeries, search: Search) -> str:
    """Modalities and counts of the study, where its attributes are in the answer (PS3.18 Table 10.6.3-4)."""
    of_study = row.study
    is_whole = not search.strict and (search.every or not search.query.path.study)
    asked = frozenset() if search.strict else search.fields | search.matched
    members = []
    if of_study.modalities and (is_whole or MODALITIES_IN_STUDY in asked):
        members.append(_write_modalities(of_study.modalities))
    counts = ((STUDY_SERIES_COUNT, of_study.series_count), (STUDY_INSTANCE_COUNT, of_study.instance_count))
    members += (write_number(tag, "IS", count) for tag, count in counts if is_whole or tag in asked)
    return ",".join(members)


def _choose_series_members(row: FoundSeries, search: Search) -> str:
    """The members of a series. Google returns SeriesNumber, which the standard requires, only for ``all``."""
    if not search.strict or search.every or SERIES_NUMBER in search.fields:
        return row.members
    return _join_members({tag: element for tag, element in _parse_members(row.members) if tag != "00200011"})


def _choose_study_members(row: FoundSeries, search: Search) -> str:
    """The study's attributes for a series, unless the address names the study (PS3.18 §10.6.3.3).

    Attributes that the series has itself are left out.
    """
    named, of_study = bool(search.query.path.study), row.study
    if search.every:
        wanted, members = None, (of_study.members, of_study.more_members)
    elif not named and not search.strict:
        wanted, members = None, (of_study.members, _choose_more_members(of_study.more_members, search))
    elif search.fields | search.matched:
        wanted, members = search.fields | search.matched, (of_study.members, of_study.more_members)
    else:
        return ""
    said, taken = _read_study(",".join(filter(None, members))), row.members + row.more_members
    if wanted is None and not any(start in taken for start in said.starts):
        return said.text
    return _join_members(
        {
            tag: element
            for start, (tag, element) in zip(said.starts, said.elements.items(), strict=True)
            if (wanted is None or int(tag, 16) in wanted) and start not in taken
        }
    )


def _choose_more_members(members: str, search: Search) -> str:
    if search.every or not members:
        return members if search.every else ""
    asked = search.fields | search.matched
    if not asked:
        return ""
    return _join_members({tag: element for tag, element in _parse_members(members) if int(tag, 16) in asked})


class _Said(NamedTuple):
    """What a study says: elements by tag, how the member of each begins, and the text of them all."""

    elements: dict[str, Any]
    starts: tuple[str, ...]
    text: str


def _read_study(members: str) -> _Said:
    """All series of a study share what it says, and so do their instances."""
    return (_recall_long_study if len(members) > _LONG else _recall_study)(members)


def _parse_study(members: str) -> _Said:
    elements = dict(_parse_members(members))
    return _Said(elements, tuple(f'"{tag}":' for tag in elements), _join_members(elements))


_recall_study, _recall_long_study = lru_cache(_KEPT)(_parse_study), lru_cache(_KEPT_LONG)(_parse_study)


def _parse_members(members: str) -> Iterable[tuple[str, Any]]:
    return parse_json(f"{{{members}}}").items()  # type: ignore[no-any-return]


def _join_members(found: dict[str, Any]) -> str:
    return _encode(found)[1:-1]


def write_uid(tag: int, uid: str) -> str:
    """Of what UIDs hold nothing must be escaped (see ``OTHER_UID`` in ``names``)."""
    return f'"{tag:08X}":{{"vr":"UI","Value":["{uid}"]}}'


def write_number(tag: int, vr: str, value: int) -> str:
    return f'"{tag:08X}":{{"vr":"{vr}","Value":[{value}]}}'


@lru_cache(maxsize=_KEPT)
def _write_modalities(joined: str) -> str:
    element = {"vr": "CS", "Value": joined.split("\\")}
    return f'"{MODALITIES_IN_STUDY:08X}":{_encode(element)}'


def write_address(url: str) -> str:
    return f'"{RETRIEVE_URL:08X}":{{"vr":"UR","Value":{json.dumps([url])}}}'


@lru_cache(maxsize=16)
def start_address(web_url: str) -> str:
    """What addresses below ``web_url`` begin with, as members; a path of UIDs and ``END`` follow."""
    return write_address(web_url).removesuffix(END)


def write_parents(row: FoundSeries, search: Search) -> str:
    """What the series and the study say about their instances: all of a level that the address does not name, and what
    conditions name. Where the whole header is in the answer, only what is counted."""
    path = search.query.path
    counts = _count_study(row, search), _count_series(row, search)
    if search.every:
        return ",".join(filter(None, counts))
    of_series = [row.members, _choose_more_members(row.more_members, search)] if not path.series else []
    if path.series and search.matched:
        of_series = [_choose_more_members(",".join(filter(None, (row.members, row.more_members))), search)]
    return ",".join(filter(None, (*of_series, _choose_study_members(row, search), *counts)))


def _count_series(row: FoundSeries, search: Search) -> str:
    """For an instance, as ``_count_study``."""
    if search.query.path.series and not search.every and SERIES_INSTANCE_COUNT not in search.fields | search.matched:
        return ""
    return write_number(SERIES_INSTANCE_COUNT, "IS", row.instance_count)


def leave_out(members: str, others: Sequence[str]) -> str:
    """``members`` without those that ``others`` have."""
    if not members or not others:
        return members
    taken = {text[1:9] for text in others}
    return _join_members({tag: element for tag, element in _parse_members(members) if tag not in taken})


def leave_out_server(members: str) -> str:
    """``members`` of a header without those of ``OF_THE_SERVER``; the others as they were written."""
    if not any(start in members for start in _STARTS):
        return members
    return ",".join(member for tag, member in split_members(members) if tag not in _OF_THE_SERVER)
