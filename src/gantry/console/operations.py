"""Operations: their list, one that is watched, its errors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import Response
from starlette.types import ASGIApp

from gantry.api.wire import log_entry_json
from gantry.console.charts import Point, line_chart
from gantry.console.rendering import attachment
from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.errors import Code
from gantry.log_entries import LogEntry
from gantry.names import OperationName, ResourcePath, url_path
from gantry.operation_state import State, state_of
from gantry.resources import Method, Operation
from gantry.whole_numbers import read_number

PAGE = 50
_ENTRIES = 100
_CHUNK = 1000
_RECENT = 30.0  # seconds of which the rate is told
TITLES = {
    Method.IMPORT_DICOM_DATA: "Import",
    Method.EXPORT_DICOM_DATA: "Export",
    Method.CREATE_DATASET: "Create dataset",
    Method.SET_BLOB_STORAGE_SETTINGS: "Change storage class",
    Method.DELETE_STUDY: "Delete study",
    Method.DELETE_SERIES: "Delete series",
    Method.UPDATE_STUDY_METADATA: "Update study",
    Method.UPDATE_SERIES_METADATA: "Update series",
}


@dataclass(frozen=True, slots=True)
class Status:
    """``kind`` is the shape that shows it: ok, running, partial, failed, cancelled."""

    kind: str
    word: str


_STATUSES = {
    State.RUNNING: Status("running", "Running"),
    State.CANCELLING: Status("running", "Cancelling"),
    State.SUCCEEDED: Status("ok", "OK"),
    State.PARTIAL: Status("partial", "Finished with errors"),
    State.FAILED: Status("failed", "Failed"),
    State.CANCELLED: Status("cancelled", "Cancelled"),
}


def status_of(value: Operation) -> Status:
    code = value.error.code if value.error else Code.OK
    return _STATUSES[state_of(value.done, value.cancel_requested, code, value.counter.success)]


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation as a row of the list or the head of its page. ``percent`` and ``left`` are None while unknown."""

    value: Operation
    status: Status
    title: str
    address: str
    subject: str
    seconds: float
    rate: float
    percent: float | None
    left: float | None


def shown_of(value: Operation, points: Sequence[tuple[datetime, int]] = ()) -> Shown:
    counter = value.counter
    done, total = counter.success + counter.failure, counter.success + counter.failure + counter.pending
    seconds = ((value.end_time or datetime.now(UTC)) - value.create_time).total_seconds()
    rate = _rate(value, points, done, seconds)
    known = not value.done and total > 0
    return Shown(
        value,
        status_of(value),
        TITLES[value.method],
        address_of(value.name),
        subject_of(value),
        seconds,
        rate,
        100 * done / total if known else None,
        counter.pending / rate if known and rate and counter.pending else None,
    )


def _rate(value: Operation, points: Sequence[tuple[datetime, int]], done: int, seconds: float) -> float:
    """Objects per second: over the last half minute while it runs, over all of it afterwards."""
    if not value.done and points:
        now = datetime.now(UTC)
        recent = [point for point in points if (now - point[0]).total_seconds() > _RECENT] or [(value.create_time, 0)]
        time, before = recent[-1]
        return max(done - before, 0) / max((now - time).total_seconds(), 0.1)
    return done / seconds if seconds > 0 else 0.0


def subject_of(value: Operation) -> str:
    """Where it reads from or writes to."""
    request = value.request
    if "path" in request:
        return str(ResourcePath(*request["path"]))
    return str(request.get("uri") or request.get("uri_prefix") or request.get("filter_uri") or "")


# The list -------------------------------------------------------------------------------------------------------------


def listed(view: View) -> Response:
    """The tab *Operations* of a dataset, the newest first."""
    query = {"pageSize": str(PAGE)} | ({"pageToken": view.query["page"]} if view.query.get("page") else {})
    found = view.api.get(f"{view.dataset}/operations", **query)
    index = view.context.seams.index
    names = [OperationName.parse(view.dataset, item["name"].rpartition("/")[2]) for item in found.get("operations", ())]
    rows = [shown_of(each) for each in index.operations.get_operations(view.dataset, [name.id for name in names])]
    return view.show(
        "operations.html",
        crumbs=crumbs_of(view.dataset),
        name=view.dataset,
        rows=rows,
        more=found.get("nextPageToken", ""),
        running=any(not row.value.done for row in rows),
        tab="operations",
    )


# One of them ----------------------------------------------------------------------------------------------------------


def _operation(view: View) -> Operation:
    """Raises PermissionDenied, NotFound."""
    name = OperationName.parse(view.dataset, view.ids[3])
    view.api.get(str(name))
    return view.context.seams.index.operations.get_operation(name)


def shown(view: View) -> Response:
    return _page(view, "operation.html")


def progress(view: View) -> Response:
    """The part of the page that changes while an operation runs."""
    return _page(view, "operation_progress.html")


def _page(view: View, template: str) -> Response:
    value = _operation(view)
    points = view.context.seams.index.operations.list_progress(value.name)
    counts, complete = view.context.seams.index.logs.count_entries(value.name)
    answer = view.show(
        template,
        crumbs=(*crumbs_of(value.name.dataset), Crumb("Operations", f"{address_of(value.name.dataset)}/operations")),
        operation=shown_of(value, points),
        chart=_throughput(value, points),
        reasons=[(severity.name, code, count) for (severity, code), count in counts.items()],
        complete=complete,
        store_address=address_of(value.store) if value.store else "",
    )
    if value.done and view.is_part:
        answer.headers["hx-trigger"] = "ended"
    return answer


def _throughput(value: Operation, points: Sequence[tuple[datetime, int]]) -> Markup | str:
    """Objects per second over the time that it took; "" before there is a line to draw."""
    steps = [(value.create_time, 0), *points]
    done = value.counter.success + value.counter.failure
    if value.end_time is not None and done > steps[-1][1]:
        steps.append((value.end_time, done))
    rates = [
        Point(now.timestamp(), (after - before) / max((now - then).total_seconds(), 0.05))
        for (then, before), (now, after) in pairwise(steps)
    ]
    return line_chart(rates, "Objects per second", "/s", is_short=True) if len(rates) > 3 else ""


def cancel(view: View) -> Response:
    name = OperationName.parse(view.dataset, view.ids[3])
    view.api.send("POST", f"{name}:cancel")
    return view.go(address_of(name))


# Its errors -----------------------------------------------------------------------------------------------------------


def errors(view: View) -> Response:
    """A page of the error log: those of a reason, those with a text."""
    value = _operation(view)
    text, code = view.query.get("q", "").strip()[:200], _code(view.query.get("code", ""))
    after = view.query.get("after", "")
    search = view.context.seams.index.logs.search_entries
    found, more = search(value.name, text, code, _ENTRIES, read_number(after) or 0)
    return view.show(
        "operation_errors.html",
        operation=shown_of(value),
        rows=[(entry, what_to_do(value, entry)) for entry in found],
        more=more,
        query=text,
        code=code.name if code else "",
        is_first=not after,
    )


def _code(text: str) -> Code | None:
    return Code[text] if text in Code.__members__ else None


def what_to_do(value: Operation, entry: LogEntry) -> tuple[str, str]:
    """Address and words of what helps with an object that failed; empty where nothing does."""
    resource = entry.failure.resource
    if value.store is not None and resource.startswith("gs://") and value.method is Method.IMPORT_DICOM_DATA:
        return f"{address_of(value.store)}/import?uri={quote(resource, safe='')}", "Import again"
    if value.store is not None and resource.startswith("studies/"):
        return f"{address_of(value.store)}/{url_path(resource)}", "Show"
    return "", ""


def _pages(view: View, name: OperationName) -> Iterator[list[LogEntry]]:
    after = 0
    while entries := view.context.seams.index.logs.list_failures(name, _CHUNK, after):
        yield entries
        after = entries[-1].seq


def download_csv(view: View) -> ASGIApp:
    """All of the error log, for a spreadsheet."""
    value = _operation(view)

    def pieces() -> Iterator[bytes]:
        yield b"time,severity,code,object,message\r\n"
        for entries in _pages(view, value.name):
            held = io.StringIO()
            csv.writer(held).writerows(map(_cells, entries))
            yield held.getvalue().encode("utf-8", "backslashreplace")

    return attachment(pieces(), "text/csv; charset=utf-8", f"errors-{value.name.id}.csv")


def _cells(entry: LogEntry) -> tuple[str, ...]:
    status = entry.failure.status
    texts = map(as_text, (entry.failure.resource, status.message))
    return entry.time.isoformat(), entry.severity.name, status.code.name, *texts


def as_text(cell: str) -> str:
    """A spreadsheet runs a cell that begins like this as a formula, whoever named the object."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def download_ndjson(view: View) -> ASGIApp:
    """All of the error log, an entry of Cloud Logging on each line."""
    value = _operation(view)

    def pieces() -> Iterator[bytes]:
        for entries in _pages(view, value.name):
            lines = (json.dumps(log_entry_json(value, entry), ensure_ascii=False) + "\n" for entry in entries)
            yield "".join(lines).encode("utf-8", "backslashreplace")

    return attachment(pieces(), "application/x-ndjson", f"errors-{value.name.id}.ndjson")


def started(view: View, answer: dict[str, Any]) -> Response:
    """To the page of an operation that has just begun."""
    return view.go(address_of(answer["name"]))
