"""The page: editor, tables, and the query that runs or has run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gantry.console.formats import number
from gantry.console.page_call import PageCall, address_of, crumbs_of
from gantry.console.query import chart, filters, jobs, tables
from gantry.console.query.cells import Page, read_page
from gantry.console.query.starters import list_starters
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import _
from gantry.query_seams import TableInfo
from gantry.querying.jobs import QUERY

MAX_TEXT = 20_000
"""Characters of a query: a form takes 64 KiB, and some characters are three bytes or more in it."""

_PLACE = re.compile(r"at \[(\d+):(\d+)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error is in the text, from 1 on: ``line`` is the whole line, ``before`` what stands before it."""

    row: int
    column: int
    before: str
    after: str


def show_editor(call: PageCall) -> Response:
    return _show(call, text=call.query.get("text", ""))


def run(call: PageCall) -> Response:
    """Begin a query; its page shows the rows."""
    text = call.form.get("text", "").replace("\r\n", "\n")
    try:
        if not text.strip():
            raise Refused(_("the query is empty: write one, or choose one of those to begin with"))
        if len(text) > MAX_TEXT:
            text_ = _("a query may have {count} characters here; gantry sql takes longer ones")
            raise Refused(text_.format(count=number(MAX_TEXT)))
        return call.go(f"{address_of(call.store)}/query/{jobs.begin(call, text)}")
    except StatusError as error:
        return _show(call, text=text, error=error)


def show_job(call: PageCall) -> Response:
    """The page of a query, or of a filter file that is written; when that is there, the page that takes it."""
    shown = jobs.show(call, call.ids[4])
    if shown.is_writing and shown.job.ended and not shown.error:
        return call.go(filters.address_to_use(call, shown))
    text = shown.text if not shown.is_writing else jobs.show(call, shown.labels["source"]).text
    return _show(call, text=text, shown=shown)


def show_progress(call: PageCall) -> Response:
    """The part of the page that changes while a query runs."""
    shown = jobs.show(call, call.ids[4])
    if shown.is_writing and shown.job.ended and not shown.error:
        return Response(headers={"hx-redirect": filters.address_to_use(call, shown)})
    return call.show("query_result.html", name=call.store, **_describe(call, shown))


def cancel(call: PageCall) -> Response:
    jobs.cancel(call, call.ids[4])
    return call.go(f"{address_of(call.store)}/query/{call.ids[4]}")


def _show(
    call: PageCall, text: str = "", shown: jobs.Shown | None = None, error: StatusError | None = None
) -> Response:
    call.api.get(str(call.store))
    queries = call.context.seams.queries
    may = jobs.may_query(call)
    found = tables.list_tables(call) if may and queries.scratch else tables.Tables(())
    info = tables.look_at_chosen(call, found)
    starters = list_starters(info) if info is not None else []
    return call.show(
        "query.html",
        200 if error is None else error.http,
        crumbs=crumbs_of(call.store),
        name=call.store,
        here=f"{address_of(call.store)}/query",
        has_place=bool(queries.scratch),
        may=may,
        text=text or (starters[0].text if starters else ""),
        most=MAX_TEXT,
        tables=found,
        names=[tables.name_of(each) for each in found.addresses],
        chosen=_describe_table(info),
        starters=starters,
        recent=jobs.list_recent(call) if may and queries.scratch else [],
        **_describe(call, shown, error, text),
    )


def _describe_table(info: TableInfo | None) -> dict[str, Any] | None:
    if info is None:
        return None
    return {"table": tables.name_of(info.address), "info": info, "columns": tables.list_columns(info)}


def _describe(
    call: PageCall, shown: jobs.Shown | None, error: StatusError | None = None, text: str = ""
) -> dict[str, Any]:
    """What the part with the result needs."""
    values: dict[str, Any] = {"shown": shown, "error": error, "page": None, "chart": None, "offer": None, "place": None}
    if shown is None:
        return values
    if shown.error:
        return values | {"error": shown.error, "place": find_place(shown.error, shown.text)}
    if shown.job.kind != QUERY or not shown.job.ended:
        return values
    try:
        return values | _read_result(call, shown)
    except StatusError as away:  # the rows are not kept any more, or their disk is away
        return values | {"error": away}


def _read_result(call: PageCall, shown: jobs.Shown) -> dict[str, Any]:
    page: Page = read_page(call, shown)
    return {
        "page": page,
        "chart": chart.draw_chart(call, shown),
        "labels": chart.list_labels(shown.job.fields),
        "numbers": chart.list_numbers(shown.job.fields),
        "is_flat": all(field.type != "RECORD" and field.mode != "REPEATED" for field in shown.job.fields),
        "offer": filters.offer(call, shown),
    }


def find_place(error: StatusError, text: str) -> Place | None:
    """The place that an error names, where the text has it."""
    match = _PLACE.search(error.what)
    lines = text.split("\n")
    if match is None or not 1 <= (row := int(match[1])) <= len(lines):
        return None
    column, line = int(match[2]), lines[row - 1]
    return Place(row, column, line[: column - 1], line[column - 1 :])
