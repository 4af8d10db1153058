"""The list of studies: search, totals, order, pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from gantry.console.finding import (
    MAX_COUNTED,
    Wanted,
    count_found,
    list_found,
    name_parameters,
    read_search,
)
from gantry.console.page_call import PageCall, crumbs_of
from gantry.console.picking import read_conditions
from gantry.console.rows import Row
from gantry.console.searches import describe_query, list_saved
from gantry.console.typed_dates import PRESETS
from gantry.errors import StatusError
from gantry.languages import _
from gantry.queries import StudyTotals
from gantry.studies.search import MAX_OFFSET
from gantry.whole_numbers import read_number

SIZES = (25, 50, 100, 200)
_SIZE = 50
_EXAMPLE = date(2004, 1, 31)  # of how a date may be typed
MAX_SORTED = 1000
"""Studies that are sorted otherwise than by date: the index has them by date, others are read and sorted here."""
_ORDERS: dict[str, Callable[[Row], Any]] = {
    "date": lambda row: row.text("00080020"),
    "name": lambda row: row.patient.casefold(),
    "id": lambda row: row.text("00100020"),
    "description": lambda row: row.text("00081030").casefold(),
    "series": lambda row: row.number("00201206"),
    "instances": lambda row: row.number("00201208"),
}


_NO_WANTED, _NOTHING = Wanted(), StudyTotals(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of studies. ``error`` says why the search cannot be."""

    rows: list[Row]
    wanted: Wanted = _NO_WANTED
    totals: StudyTotals = _NOTHING
    error: StatusError | None = None

    @property
    def is_complete(self) -> bool:
        return self.totals.studies <= MAX_COUNTED

    def has_more(self, end: int) -> bool:
        return bool(self.rows) and (self.totals.studies > end or not self.is_complete)

    @property
    def can_be_sorted(self) -> bool:
        return self.totals.studies <= MAX_SORTED


def list_studies(call: PageCall) -> Response:
    query = read_conditions(call.query)
    size = read_number(call.query.get("size", ""), SIZES[-1]) or _SIZE
    offset = read_number(call.query.get("offset", ""), MAX_OFFSET) or 0
    sort = call.query.get("sort", "")
    found = _find(call, query, sort, size, offset)
    shown = query | ({"sort": sort} if sort else {}) | ({"size": str(size)} if size != _SIZE else {})
    return call.show(
        "studies.html",
        crumbs=crumbs_of(call.store),
        name=call.store,
        found=found,
        query=query,
        parameters=name_parameters(),
        presets={name: _(words) for name, words in PRESETS.items()},
        example=_EXAMPLE,
        offset=offset,
        size=size,
        sizes=[(each, f"?{urlencode(shown | {'size': str(each)})}") for each in SIZES],
        kept_size="" if size == _SIZE else size,
        sort=sort,
        order_links={name: f"?{urlencode(shown | {'sort': _turn(sort, name)})}" for name in _ORDERS},
        before=f"?{urlencode(shown | {'offset': max(offset - size, 0)})}" if offset else "",
        after=f"?{urlencode(shown | {'offset': offset + size})}" if found.has_more(offset + size) else "",
        search=urlencode(query),
        saved=[(name, text, describe_query(text)) for name, text in list_saved(call).items()],
    )


def _turn(sort: str, name: str) -> str:
    """The order that a click on the head of a column asks for: the other one, where it is the present one."""
    return f"-{name}" if sort == name else name


def _find(call: PageCall, query: dict[str, str], sort: str, size: int, offset: int) -> Found:
    try:
        wanted = read_search(call, query)
        totals = count_found(call, wanted)
        return Found(_list_sorted(call, wanted, totals, sort, size, offset), wanted, totals)
    except StatusError as error:
        if error.http in (401, 403, 404):
            raise
        return Found([], error=error)


def _list_sorted(call: PageCall, wanted: Wanted, totals: StudyTotals, sort: str, size: int, offset: int) -> list[Row]:
    key = _ORDERS.get(sort.removeprefix("-"))
    if key is None or sort == "-date" or totals.studies > MAX_SORTED:
        return list_found(call, wanted, size, offset)
    rows = sorted(list_found(call, wanted, MAX_SORTED), key=key, reverse=sort.startswith("-"))
    return rows[offset : offset + size]
