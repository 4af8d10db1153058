"""Results of searches as DICOM JSON (PS3.18 §10.6.3.3, §F.2): one object per study, series or instance, in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

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
from gantry.studies.headers import FoundHeader, log_unread, read_headers
from gantry.studies.metadata import write_json
from gantry.studies.search import Search
from gantry.studies.search_inside import match_instances, match_series

_UTF8 = f'"{CHARACTER_SET:08X}":{{"vr":"CS","Value":["ISO_IR 192"]}}'
_ONLINE = f'"{INSTANCE_AVAILABILITY:08X}":{{"vr":"CS","Value":["ONLINE"]}}'
_NUMBERS = (
    ("instance_number", INSTANCE_NUMBER, "IS"),
    ("number_of_frames", NUMBER_OF_FRAMES, "IS"),
    ("rows", ROWS, "US"),
    ("columns", COLUMNS, "US"),
    ("bits_allocated", BITS_ALLOCATED, "US"),
)
_PAGE = 1000  # rows of one query
Row = TypeVar("Row", FoundSeries, StoredInstance)
_OWN = frozenset((SOP_INSTANCE, SOP_CLASS, STUDY, SERIES, *(tag for _, tag, _ in _NUMBERS)))


class Found(NamedTuple):
    """The JSON objects of results in order, and whether there are more behind the limit; False where finding that out
    would read the headers of more instances."""

    objects: Iterator[str]
    has_more: bool = False


def find(seams: Seams, store: DicomStoreName, search: Search, web_url: str) -> Found:
    """``web_url`` is the address of the store's ``dicomWeb``. Raises NotFound at once."""
    if not search.query.limit:
        seams.index.resources.get_dicom_store(store)
        return Found(iter(()))
    if search.query.level is Level.STUDY:
        studies, has_more = _search_page(lambda query: seams.index.search.search_studies(store, query), search.query)
        return Found((_write_study(row, search, web_url) for row in studies), has_more)
    if search.query.level is Level.SERIES:
        series, has_more = _find_series(seams, store, search)
        return Found((_write_series(row, search, web_url) for row in series), has_more)
    instances, has_more = _find_instances(seams, store, search)
    return Found(_write_instances(seams, store, instances, search, web_url), has_more)


def _search_page(search: Callable[[Query], list[Any]], query: Query) -> tuple[list[Any], bool]:
    """The results of a query up to its limit, and whether there is one more."""
    rows = search(replace(query, limit=query.limit + 1))
    has_more = len(rows) > query.limit
    return rows[: query.limit], has_more


def _find_series(seams: Seams, store: DicomStoreName, search: Search) -> tuple[Iterable[FoundSeries], bool]:
    if not search.inside:
        return _search_page(lambda query: seams.index.search.search_series(store, query), search.query)
    rows = _read_pages(search.query, lambda page: seams.index.search.search_series(store, page), lambda row: row[1:2])
    return _cut_page(match_series(rows, search.inside), search.query), False


def _find_instances(seams: Seams, store: DicomStoreName, search: Search) -> tuple[Iterable[StoredInstance], bool]:
    if not search.inside:
        return _search_page(lambda query: seams.index.search.search_instances(store, query), search.query)
    rows = _read_pages(
        search.query, lambda page: seams.index.search.search_instances(store, page), lambda row: row[1:3]
    )
    return _cut_page(match_instances(seams, store, rows, search.inside), search.query), False


def _read_pages(
    query: Query, search: Callable[[Query], list[Row]], key_of: Callable[[Row], tuple[str, ...]]
) -> Iterator[Row]:
    """All results in one study, read page by page; each page begins after the last key of the one before."""
    after: tuple[str, ...] = ()
    while True:
        page = search(replace(query, limit=_PAGE, offset=0, after=after))
        yield from page
        if len(page) < _PAGE:
            return
        after = key_of(page[-1])


def _cut_page(rows: Iterator[Row], query: Query) -> Iterator[Row]:
    """The part between offset and limit, read while the answer is sent; the first row at once, to raise its errors."""
    part = islice(rows, query.offset, query.offset + query.limit)
    first = next(part, None)
    return iter(()) if first is None else chain((first,), part)


def _write_study(row: FoundStudy, search: Search, web_url: str) -> str:
    members = [_UTF8, _ONLINE, _write_uid(STUDY, row.study_instance_uid)]
    members += filter(None, (row.members, _choose_more_members(row.more_members, search)))
    if row.modalities and _is_wanted(MODALITIES_IN_STUDY, search):
        members.append(_write_member(MODALITIES_IN_STUDY, "CS", row.modalities.split("\\")))
    if not search.strict:
        members.append(_write_address(f"{web_url}/studies/{row.study_instance_uid}"))
    counts = ((STUDY_SERIES_COUNT, row.series_count), (STUDY_INSTANCE_COUNT, row.instance_count))
    members += (_write_number(tag, "IS", count) for tag, count in counts if _is_wanted(tag, search))
    return f"{{{','.join(members)}}}"


def _is_wanted(tag: int, search: Search) -> bool:
    """For modalities and counts, which the standard requires. Google returns them only if ``includefield`` names them,
    and so does strict mode."""
    return not search.strict or tag in search.fields


def _write_series(row: FoundSeries, search: Search, web_url: str) -> str:
    members = [_UTF8, _write_uid(STUDY, row.study_instance_uid), _write_uid(SERIES, row.series_instance_uid)]
    members += filter(
        None,
        (
            _choose_series_members(row, search),
            _choose_more_members(row.more_members, search),
            _choose_study_members(row, search),
        ),
    )
    if not search.strict:
        address = f"{web_url}/studies/{row.study_instance_uid}/series/{row.series_instance_uid}"
        members.append(_write_address(address))
    if _is_wanted(SERIES_INSTANCE_COUNT, search):
        members.append(_write_number(SERIES_INSTANCE_COUNT, "IS", row.instance_count))
    return f"{{{','.join(members)}}}"


def _choose_series_members(row: FoundSeries, search: Search) -> str:
    """The members of a series. Google returns SeriesNumber, which the standard requires, only for ``all``."""
    if not search.strict or search.every or SERIES_NUMBER in search.fields:
        return row.members
    return _join_members({tag: element for tag, element in _parse_members(row.members) if tag != "00200011"})


def _choose_study_members(row: FoundSeries, search: Search) -> str:
    """The study's attributes for a series, unless the address names the study (PS3.18 §10.6.3.3).

    Attributes that the series has itself are left out.
    """
    named = bool(search.query.path.study)
    if search.every:
        wanted, members = None, (row.study_members, row.study_more_members)
    elif not named and not search.strict:
        wanted, members = None, (row.study_members, _choose_more_members(row.study_more_members, search))
    elif search.fields:
        wanted, members = search.fields, (row.study_members, row.study_more_members)
    else:
        return ""
    taken = row.members + row.more_members
    found = _parse_members(",".join(filter(None, members)))
    return _join_members(
        {
            tag: element
            for tag, element in found
            if (wanted is None or int(tag, 16) in wanted) and f'"{tag}":' not in taken
        }
    )


def _choose_more_members(members: str, search: Search) -> str:
    if search.every or not members:
        return members if search.every else ""
    if not search.fields:
        return ""
    return _join_members({tag: element for tag, element in _parse_members(members) if int(tag, 16) in search.fields})


def _parse_members(members: str) -> Iterable[tuple[str, Any]]:
    return parse_json(f"{{{members}}}").items()  # type: ignore[no-any-return]


def _join_members(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))[1:-1]


def _write_instances(
    seams: Seams, store: DicomStoreName, rows: Iterable[StoredInstance], search: Search, web_url: str
) -> Iterator[str]:
    """Headers are read only for attributes without a column in the index. An instance whose header cannot be read lacks
    these attributes."""
    wanted = search.fields - _OWN
    if not search.every and not wanted:
        for row in rows:
            yield _write_instance(row, search, web_url, [])
        return
    writer = JsonWriter()
    for found in read_headers(seams, store, rows):
        try:
            if search.every:
                text = _write_all(found, search, web_url, writer)
            else:
                text = _write_instance(found.row, search, web_url, _write_fields(found, wanted, web_url))
        except StatusError as error:
            log_unread(found.row, error, "result of a search")
            text = _write_instance(found.row, search, web_url, [])
        yield text


def _write_all(found: FoundHeader, search: Search, web_url: str, writer: JsonWriter) -> str:
    members = [_ONLINE] if search.strict else [_ONLINE, _write_address(_make_url(found.row, web_url))]
    return f"{{{','.join(members)},{write_json(found, writer, web_url)[1:]}"


def _write_fields(found: FoundHeader, wanted: frozenset[int], web_url: str) -> list[str]:
    """The attributes ``wanted`` from a header. Raises only StatusError."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    with contain(ResourcePath(*found.row.uids), "while attributes of its header were written as JSON"):
        texts = fragments(found.header, wanted | {TIMEZONE_OFFSET}, f"{_make_url(found.row, web_url)}/bulkdata")
    return [text for tag, text in texts.items() if text and tag not in _OWN]


def _write_instance(row: StoredInstance, search: Search, web_url: str, more: list[str]) -> str:
    members = [_ONLINE, _write_uid(SOP_CLASS, row.sop_class_uid), _write_uid(SOP_INSTANCE, row.sop_instance_uid)]
    members += [_write_uid(STUDY, row.study_instance_uid), _write_uid(SERIES, row.series_instance_uid)]
    members += (
        _write_number(tag, vr, value) for name, tag, vr in _NUMBERS if (value := getattr(row, name)) is not None
    )
    kept = [text for text in more if not text.startswith((f'"{CHARACTER_SET:08X}"', f'"{INSTANCE_AVAILABILITY:08X}"'))]
    if not search.strict:
        members.append(_write_address(_make_url(row, web_url)))
        if AVAILABLE_TRANSFER_SYNTAX in search.fields:
            members.append(_write_uid(AVAILABLE_TRANSFER_SYNTAX, row.transfer_syntax_uid))
    return f"{{{','.join([_UTF8, *members, *kept])}}}"


def _make_url(row: StoredInstance, web_url: str) -> str:
    study, series, instance = row.uids
    return f"{web_url}/studies/{study}/series/{series}/instances/{instance}"


def _write_uid(tag: int, uid: str) -> str:
    """UIDs contain only digits and periods, so nothing must be escaped."""
    return f'"{tag:08X}":{{"vr":"UI","Value":["{uid}"]}}'


def _write_number(tag: int, vr: str, value: int) -> str:
    return f'"{tag:08X}":{{"vr":"{vr}","Value":[{value}]}}'


def _write_member(tag: int, vr: str, values: list[str]) -> str:
    return f'"{tag:08X}":{json.dumps({"vr": vr, "Value": values}, ensure_ascii=False, separators=(",", ":"))}'


def _write_address(url: str) -> str:
    return f'"{RETRIEVE_URL:08X}":{{"vr":"UR","Value":{json.dumps([url])}}}'
