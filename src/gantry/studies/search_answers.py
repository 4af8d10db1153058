"""Results of searches as DICOM JSON (PS3.18 §10.6.3.3, §F.2): one object per study, series or instance, in UTF-8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from gantry.containment import contain
from gantry.dicom.json_model import JsonWriter, fragments
from gantry.dicom.tags import (
    AVAILABLE_TRANSFER_SYNTAX,
    BITS_ALLOCATED,
    CHARACTER_SET,
    COLUMNS,
    INSTANCE_NUMBER,
    NUMBER_OF_FRAMES,
    ROWS,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    TIMEZONE_OFFSET,
)
from gantry.errors import DataLoss, StatusError
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundSeries, Level, Match, Operator, Query
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.answer_members import (
    COUNTS,
    END,
    OF_THE_SERVER,
    ONLINE,
    UTF8,
    leave_out,
    leave_out_server,
    start_address,
    write_address,
    write_parents,
    write_series,
    write_study,
    write_uid,
)
from gantry.studies.departure import require_client
from gantry.studies.headers import FoundHeader, log_unread, read_headers
from gantry.studies.metadata import write_json
from gantry.studies.search import Search
from gantry.studies.search_inside import match_instances, match_series

_NUMBERS = (
    ("instance_number", INSTANCE_NUMBER, "IS"),
    ("number_of_frames", NUMBER_OF_FRAMES, "IS"),
    ("rows", ROWS, "US"),
    ("columns", COLUMNS, "US"),
    ("bits_allocated", BITS_ALLOCATED, "US"),
)
_FIRST, _SOP, _STUDY, _SERIES = (
    start + write_uid(tag, "").removesuffix(END)
    for start, tag in (
        (f"{{{UTF8},{ONLINE},", SOP_CLASS),
        *((f"{END},", tag) for tag in (SOP_INSTANCE, STUDY, SERIES)),
    )
)
_STARTS = [f'"{tag:08X}":{{"vr":"{vr}","Value":[' for _, tag, vr in _NUMBERS]
_get_numbers = attrgetter(*(name for name, _, _ in _NUMBERS))
_PAGE = 1000  # rows of one query
_HEADERS = 64  # in memory: some have megabytes
_MOST_SERIES = 100_000  # with the UIDs of _PAGE series: a UID may be that of several studies' series
Row = TypeVar("Row", FoundSeries, StoredInstance, FoundHeader)
_OWN = OF_THE_SERVER | {CHARACTER_SET, SOP_INSTANCE, SOP_CLASS, STUDY, SERIES, *(tag for _, tag, _ in _NUMBERS)}


class Found(NamedTuple):
    """The JSON objects of results in order, and whether there are more behind the limit."""

    objects: Iterator[str]
    has_more: bool = False


def find(seams: Seams, store: DicomStoreName, search: Search, web_url: str, keeps_digits: bool = False) -> Found:
    """``web_url`` is the address of the store's ``dicomWeb``. ``keeps_digits`` as a ``JsonWriter`` has it, for what is
    read from headers. Raises NotFound at once."""
    if not search.query.limit:
        seams.index.resources.get_dicom_store(store)
        return Found(iter(()))
    if search.query.level is Level.STUDY:
        studies, has_more = _search_page(lambda query: seams.index.search.search_studies(store, query), search.query)
        return Found((write_study(row, search, web_url) for row in studies), has_more)
    if search.query.level is Level.SERIES:
        series, has_more = _find_series(seams, store, search)
        return Found((write_series(row, search, web_url) for row in series), has_more)
    instances, has_more = _find_instances(seams, store, search)
    return Found(_write_instances(seams, store, instances, search, web_url, keeps_digits), has_more)


def _search_page(search: Callable[[Query], list[Any]], query: Query) -> tuple[list[Any], bool]:
    """The results of a query up to its limit, and whether there is one more."""
    rows = search(replace(query, limit=query.limit + 1))
    has_more = len(rows) > query.limit
    return rows[: query.limit], has_more


def _find_series(seams: Seams, store: DicomStoreName, search: Search) -> tuple[Iterable[FoundSeries], bool]:
    if not search.inside:
        return _search_page(lambda query: seams.index.search.search_series(store, query), search.query)
    rows = _read_pages(search.query, lambda page: seams.index.search.search_series(store, page), lambda row: row[1:2])
    return _cut_page(match_series(rows, search.inside), search.query)


def _find_instances(seams: Seams, store: DicomStoreName, search: Search) -> tuple[Iterable[StoredInstance], bool]:
    if not search.inside:
        return _search_page(lambda query: seams.index.search.search_instances(store, query), search.query)
    rows = _read_pages(
        search.query, lambda page: seams.index.search.search_instances(store, page), lambda row: row[1:3]
    )
    return _cut_page(match_instances(seams, store, rows, search.inside), search.query)


def _read_pages(
    query: Query, search: Callable[[Query], list[Row]], key_of: Callable[[Row], tuple[str, ...]]
) -> Iterator[Row]:
    """All results in one study, read page by page; each page begins after the last key of the one before."""
    after: tuple[str, ...] = ()
    while True:
        require_client()
        page = search(replace(query, limit=_PAGE, offset=0, after=after))
        yield from page
        if len(page) < _PAGE:
            return
        after = key_of(page[-1])


def _cut_page(rows: Iterator[Row], query: Query) -> tuple[list[Row], bool]:
    """The part between offset and limit, and whether there is one more. What matches is known once the headers up to
    there are read, and the head of the answer must say whether there is more."""
    part = list(islice(rows, query.offset, query.offset + query.limit + 1))
    return part[: query.limit], len(part) > query.limit


def _write_instances(
    seams: Seams,
    store: DicomStoreName,
    rows: Iterable[StoredInstance],
    search: Search,
    web_url: str,
    keeps_digits: bool,
) -> Iterator[str]:
    """Headers are read only for attributes that the index does not have. An instance whose header cannot be read lacks
    these attributes."""
    wanted = _list_wanted(search)
    parents = _Parents(seams, store, search)
    if not search.every and not wanted:
        for row, above in parents.join(rows, lambda row: row, _PAGE):
            yield _write_instance(row, search, web_url, above)
        return
    writer = JsonWriter(keeps_digits)
    for found, above in parents.join(read_headers(seams, store, rows), lambda found: found.row, _HEADERS):
        try:
            if search.every:
                text = _write_all(found, search, web_url, writer, above)
            else:
                more = _write_fields(found, wanted, web_url, keeps_digits)
                text = _write_instance(found.row, search, web_url, leave_out(above, more), more)
        except StatusError as error:
            log_unread(found.row, error, "result of a search")
            # Not even what its study says: nobody knows whether the instance says the same.
            known = leave_out(above, [f'"{tag:08X}"' for tag in wanted])
            text = _write_instance(found.row, search, web_url, known)
        yield text


class _Parents:
    """Finds what series and studies say about instances, with one query for many of them."""

    def __init__(self, seams: Seams, store: DicomStoreName, search: Search) -> None:
        self.seams, self.store, self.search = seams, store, search
        path = search.query.path
        counted = search.every or not COUNTS.isdisjoint(search.fields)
        self._is_needed = not search.strict and bool(counted or not path.series or search.matched)

    def join(self, rows: Iterable[Row], of: Callable[[Row], StoredInstance], size: int) -> Iterator[tuple[Row, str]]:
        """Each row with the members of its series and its study, "" where they are not asked for; ``size`` rows are in
        memory."""
        whole = iter(rows)
        while chunk := list(islice(whole, size)):
            members = self._read({of(row).uids[:2] for row in chunk}) if self._is_needed else {}
            for row in chunk:
                yield row, members.get(of(row).uids[:2], "")

    def _read(self, series: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        uids = tuple(sorted({uid for _, uid in series}))
        match = Match(Level.SERIES, "series_instance_uid", Operator.EQUALS, uids)
        query = Query(Level.SERIES, ResourcePath(self.search.query.path.study), (match,), limit=_MOST_SERIES)
        rows = self.seams.index.search.search_series(self.store, query)
        return {
            key: write_parents(row, self.search)
            for row in rows
            if (key := (row.study_instance_uid, row.series_instance_uid)) in series
        }


def _list_wanted(search: Search) -> frozenset[int]:
    """The attributes that are read from headers: those of ``includefield``, a private one with its creator, and those
    of conditions that the index cannot answer."""
    asked = search.fields | {condition.tags[0] for condition in search.inside}
    creators = {tag >> 16 << 16 | (tag & 0xFFFF) >> 8 for tag in asked if tag >> 16 & 1 and tag & 0xFFFF > 0xFF}
    return (asked | creators) - _OWN


def _write_all(found: FoundHeader, search: Search, web_url: str, writer: JsonWriter, above: str) -> str:
    members = [ONLINE] if search.strict else [ONLINE, write_address(_make_url(found.row, web_url))]
    if AVAILABLE_TRANSFER_SYNTAX in search.fields and not search.strict:
        members.append(write_uid(AVAILABLE_TRANSFER_SYNTAX, found.row.transfer_syntax_uid))
    members += filter(None, (above, leave_out_server(write_json(found, writer, web_url)[1:-1])))
    return f"{{{','.join(members)}}}"


def _write_fields(found: FoundHeader, wanted: frozenset[int], web_url: str, keeps_digits: bool) -> list[str]:
    """The attributes ``wanted`` from a header. Raises only StatusError."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    with contain(ResourcePath(*found.row.uids), "while attributes of its header were written as JSON"):
        bulk_uri = f"{_make_url(found.row, web_url)}/bulkdata"
        texts = fragments(found.header, wanted | {TIMEZONE_OFFSET}, bulk_uri, keeps_digits)
    return [text for tag, text in texts.items() if text and tag not in _OWN]


def _write_instance(row: StoredInstance, search: Search, web_url: str, above: str, more: Sequence[str] = ()) -> str:
    """Written piece by piece: there may be 50,000 of them in an answer. Of what UIDs hold nothing must be escaped."""
    study, series, uid = row.uids
    members = [f"{_FIRST}{row.sop_class_uid}{_SOP}{uid}{_STUDY}{study}{_SERIES}{series}{END}"]
    members += [
        f"{start}{value}]}}" for start, value in zip(_STARTS, _get_numbers(row), strict=True) if value is not None
    ]
    if not search.strict:
        members.append(f"{start_address(web_url)}/studies/{study}/series/{series}/instances/{uid}{END}")
        if AVAILABLE_TRANSFER_SYNTAX in search.fields:
            members.append(write_uid(AVAILABLE_TRANSFER_SYNTAX, row.transfer_syntax_uid))
    members += more
    if above:
        members.append(above)
    return f"{','.join(members)}}}"


def _make_url(row: StoredInstance, web_url: str) -> str:
    study, series, instance = row.uids
    return f"{web_url}/studies/{study}/series/{series}/instances/{instance}"
