"""What is found, as DICOM JSON (PS3.18 §10.6.3.3, §F.2): one object per study, series or instance, always in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any, TypeVar

from gantry.containment import contain
from gantry.dicom.json_model import JsonWriter, fragments
from gantry.dicom.tags import (
    AVAILABLE_TRANSFER_SYNTAX,
    BITS_ALLOCATED,
    CHARACTER_SET,
    COLUMNS,
    INSTANCE_AVAILABILITY,
    INSTANCE_NUMBER,
    MODALITIES_IN_STUDY,
    NUMBER_OF_FRAMES,
    RETRIEVE_URL,
    ROWS,
    SERIES,
    SERIES_INSTANCE_COUNT,
    SERIES_NUMBER,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    STUDY_INSTANCE_COUNT,
    STUDY_SERIES_COUNT,
    TIMEZONE_OFFSET,
)
from gantry.errors import DataLoss, StatusError
from gantry.json_text import parse_json
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundSeries, FoundStudy, Level, Query
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import Found, tell, with_headers
from gantry.studies.metadata import json_of
from gantry.studies.search import Search
from gantry.studies.search_inside import matching_instances, matching_series

_UTF8 = f'"{CHARACTER_SET:08X}":{{"vr":"CS","Value":["ISO_IR 192"]}}'
_ONLINE = f'"{INSTANCE_AVAILABILITY:08X}":{{"vr":"CS","Value":["ONLINE"]}}'
_NUMBERS = (
    ("instance_number", INSTANCE_NUMBER, "IS"),
    ("number_of_frames", NUMBER_OF_FRAMES, "IS"),
    ("rows", ROWS, "US"),
    ("columns", COLUMNS, "US"),
    ("bits_allocated", BITS_ALLOCATED, "US"),
)
_PAGE = 1000
Row = TypeVar("Row", FoundSeries, StoredInstance)
_OWN = frozenset((SOP_INSTANCE, SOP_CLASS, STUDY, SERIES, *(tag for _, tag, _ in _NUMBERS)))


def find(seams: Seams, store: DicomStoreName, search: Search, web_url: str) -> Iterator[str]:
    """The JSON objects in order. ``web_url`` is the address of the store's ``dicomWeb``. Raises NotFound at once."""
    if not search.query.limit:
        seams.index.resources.get_dicom_store(store)
        return iter(())
    if search.query.level is Level.STUDY:
        return (_study(row, search, web_url) for row in seams.index.search.search_studies(store, search.query))
    if search.query.level is Level.SERIES:
        return (_series(row, search, web_url) for row in _found_series(seams, store, search))
    return _instances(seams, store, _found_instances(seams, store, search), search, web_url)


def _found_series(seams: Seams, store: DicomStoreName, search: Search) -> Iterable[FoundSeries]:
    if not search.inside:
        return seams.index.search.search_series(store, search.query)
    rows = _pages(search.query, lambda page: seams.index.search.search_series(store, page), lambda row: row[1:2])
    return _part(matching_series(rows, search.inside), search.query)


def _found_instances(seams: Seams, store: DicomStoreName, search: Search) -> Iterable[StoredInstance]:
    if not search.inside:
        return seams.index.search.search_instances(store, search.query)
    rows = _pages(search.query, lambda page: seams.index.search.search_instances(store, page), lambda row: row[1:3])
    return _part(matching_instances(seams, store, rows, search.inside), search.query)


def _pages(
    query: Query, search: Callable[[Query], list[Row]], key_of: Callable[[Row], tuple[str, ...]]
) -> Iterator[Row]:
    """All that the index finds in one study, a page at a time, each from the last key of the one before."""
    after: tuple[str, ...] = ()
    while True:
        page = search(replace(query, limit=_PAGE, offset=0, after=after))
        yield from page
        if len(page) < _PAGE:
            return
        after = key_of(page[-1])


def _part(rows: Iterator[Row], query: Query) -> Iterator[Row]:
    """Drawn as the answer is sent, so that memory does not grow with it; the first at once, for the errors of it."""
    part = islice(rows, query.offset, query.offset + query.limit)
    first = next(part, None)
    return iter(()) if first is None else chain((first,), part)


def _study(row: FoundStudy, search: Search, web_url: str) -> str:
    members = [_UTF8, _ONLINE, _uid(STUDY, row.study_instance_uid)]
    members += filter(None, (row.members, _more(row.more_members, search)))
    if row.modalities and _gives(MODALITIES_IN_STUDY, search):
        members.append(_member(MODALITIES_IN_STUDY, "CS", row.modalities.split("\\")))
    if not search.strict:
        members.append(_address(f"{web_url}/studies/{row.study_instance_uid}"))
    counts = ((STUDY_SERIES_COUNT, row.series_count), (STUDY_INSTANCE_COUNT, row.instance_count))
    members += (_number(tag, "IS", count) for tag, count in counts if _gives(tag, search))
    return f"{{{','.join(members)}}}"


def _gives(tag: int, search: Search) -> bool:
    """Modalities and counts, which the standard requires. Google leaves them out: strict mode gives what is named."""
    return not search.strict or tag in search.fields


def _series(row: FoundSeries, search: Search, web_url: str) -> str:
    members = [_UTF8, _uid(STUDY, row.study_instance_uid), _uid(SERIES, row.series_instance_uid)]
    members += filter(None, (_series_members(row, search), _more(row.more_members, search), _of_study(row, search)))
    if not search.strict:
        address = f"{web_url}/studies/{row.study_instance_uid}/series/{row.series_instance_uid}"
        members.append(_address(address))
    if _gives(SERIES_INSTANCE_COUNT, search):
        members.append(_number(SERIES_INSTANCE_COUNT, "IS", row.instance_count))
    return f"{{{','.join(members)}}}"


def _series_members(row: FoundSeries, search: Search) -> str:
    """SeriesNumber is required by the standard, and at Google one of those that only ``all`` gives."""
    if not search.strict or search.every or SERIES_NUMBER in search.fields:
        return row.members
    return _members({tag: element for tag, element in _parsed(row.members) if tag != "00200011"})


def _of_study(row: FoundSeries, search: Search) -> str:
    """A study's own attributes, unless the address names it (PS3.18 §10.6.3.3); what is in both is the series'."""
    named = bool(search.query.path.study)
    if search.every:
        wanted, members = None, (row.study_members, row.study_more_members)
    elif not named and not search.strict:
        wanted, members = None, (row.study_members, _more(row.study_more_members, search))
    elif search.fields:
        wanted, members = search.fields, (row.study_members, row.study_more_members)
    else:
        return ""
    taken = row.members + row.more_members
    found = _parsed(",".join(filter(None, members)))
    return _members(
        {
            tag: element
            for tag, element in found
            if (wanted is None or int(tag, 16) in wanted) and f'"{tag}":' not in taken
        }
    )


def _more(members: str, search: Search) -> str:
    if search.every or not members:
        return members if search.every else ""
    if not search.fields:
        return ""
    return _members({tag: element for tag, element in _parsed(members) if int(tag, 16) in search.fields})


def _parsed(members: str) -> Iterable[tuple[str, Any]]:
    return parse_json(f"{{{members}}}").items()  # type: ignore[no-any-return]


def _members(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))[1:-1]


def _instances(
    seams: Seams, store: DicomStoreName, rows: Iterable[StoredInstance], search: Search, web_url: str
) -> Iterator[str]:
    """Headers are read only for attributes that the index has no columns for. One that cannot be read costs these
    attributes of that instance."""
    wanted = search.fields - _OWN
    if not search.every and not wanted:
        for row in rows:
            yield _instance(row, search, web_url, [])
        return
    writer = JsonWriter()
    for found in with_headers(seams, store, rows):
        try:
            if search.every:
                text = _whole(found, search, web_url, writer)
            else:
                text = _instance(found.row, search, web_url, _fields(found, wanted, web_url))
        except StatusError as error:
            tell(found.row, error, "result of a search")
            text = _instance(found.row, search, web_url, [])
        yield text


def _whole(found: Found, search: Search, web_url: str, writer: JsonWriter) -> str:
    members = [_ONLINE] if search.strict else [_ONLINE, _address(_instance_url(found.row, web_url))]
    return f"{{{','.join(members)},{json_of(found, writer, web_url)[1:]}"


def _fields(found: Found, wanted: frozenset[int], web_url: str) -> list[str]:
    """Raises StatusError alone."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    with contain(ResourcePath(*found.row.uids), "while attributes of its header were written as JSON"):
        texts = fragments(found.header, wanted | {TIMEZONE_OFFSET}, f"{_instance_url(found.row, web_url)}/bulkdata")
    return [text for tag, text in texts.items() if text and tag not in _OWN]


def _instance(row: StoredInstance, search: Search, web_url: str, more: list[str]) -> str:
    members = [_ONLINE, _uid(SOP_CLASS, row.sop_class_uid), _uid(SOP_INSTANCE, row.sop_instance_uid)]
    members += [_uid(STUDY, row.study_instance_uid), _uid(SERIES, row.series_instance_uid)]
    members += (_number(tag, vr, value) for name, tag, vr in _NUMBERS if (value := getattr(row, name)) is not None)
    kept = [text for text in more if not text.startswith((f'"{CHARACTER_SET:08X}"', f'"{INSTANCE_AVAILABILITY:08X}"'))]
    if not search.strict:
        members.append(_address(_instance_url(row, web_url)))
        if AVAILABLE_TRANSFER_SYNTAX in search.fields:
            members.append(_uid(AVAILABLE_TRANSFER_SYNTAX, row.transfer_syntax_uid))
    return f"{{{','.join([_UTF8, *members, *kept])}}}"


def _instance_url(row: StoredInstance, web_url: str) -> str:
    study, series, instance = row.uids
    return f"{web_url}/studies/{study}/series/{series}/instances/{instance}"


def _uid(tag: int, uid: str) -> str:
    """UIDs hold digits and periods, so nothing has to be escaped."""
    return f'"{tag:08X}":{{"vr":"UI","Value":["{uid}"]}}'


def _number(tag: int, vr: str, value: int) -> str:
    return f'"{tag:08X}":{{"vr":"{vr}","Value":[{value}]}}'


def _member(tag: int, vr: str, values: list[str]) -> str:
    return f'"{tag:08X}":{json.dumps({"vr": vr, "Value": values}, ensure_ascii=False, separators=(",", ":"))}'


def _address(url: str) -> str:
    return f'"{RETRIEVE_URL:08X}":{{"vr":"UR","Value":{json.dumps([url])}}}'
