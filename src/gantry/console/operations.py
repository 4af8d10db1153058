"""Operations: their list, the page of one, its errors."""

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
from gantry.console.charts import Point, draw_line_chart
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.rendering import send_attachment
from gantry.errors import Code
from gantry.log_entries import LogEntry
from gantry.names import OperationName, ResourcePath, url_path
from gantry.operation_state import State, state_of
from gantry.resources import Method, Operation, Waiting
from gantry.whole_numbers import read_number

PAGE = 50
_ENTRIES = 100
_CHUNK = 1000
_RECENT = 30.0  # seconds over which the rate is averaged, as on the command line
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
class Badge:
    """How a state is shown. ``kind`` is the icon: ok, running, partial, failed, cancelled."""

    kind: str
    word: str


_BADGES = {
    State.RUNNING: Badge("running", "Running"),
    State.WAITING: Badge("partial", "Waiting"),
    State.CANCELLING: Badge("running", "Cancelling"),
    State.SUCCEEDED: Badge("ok", "OK"),
    State.PARTIAL: Badge("partial", "Finished with errors"),
    State.FAILED: Badge("failed", "Failed"),
    State.CANCELLED: Badge("cancelled", "Cancelled"),
}


def badge_of(value: Operation, waits: bool = False) -> Badge:
    code = value.error.code if value.error else Code.OK
    return _BADGES[state_of(value.done, value.cancel_requested, code, value.counter.success, waits)]


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation in the list, or at the head of its page. ``percent`` and ``left`` are None while unknown."""

    value: Operation
    status: Badge
    title: str
    address: str
    subject: str
    seconds: float
    rate: float
    percent: float | None
    left: float | None
    waiting: Waiting | None = None

    @property
    def waiting_seconds(self) -> float:
        return 0.0 if self.waiting is None else (datetime.now(UTC) - self.waiting.since).total_seconds()


def row_of(
    value: Operation, points: Sequence[tuple[datetime, int]] = (), waiting: Waiting | None = None
) -> OperationRow:
    counter = value.counter
    done, total = counter.success + counter.failure, counter.success + counter.failure + counter.pending
    seconds = ((value.end_time or datetime.now(UTC)) - value.create_time).total_seconds()
    rate = _rate(value, points, done, seconds)
    known = not value.done and total > 0
    return OperationRow(
        value,
        badge_of(value, waiting is not None),
        TITLES[value.method],
        address_of(value.name),
        subject_of(value),
        seconds,
        rate,
        100 * done / total if known else None,
        counter.pending / rate if known and rate and counter.pending else None,
        None if value.done else waiting,
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
    """The path, source or destination of an operation."""
    request = value.request
    if "path" in request:
        return str(ResourcePath(*request["path"]))
    return str(request.get("uri") or request.get("uri_prefix") or request.get("filter_uri") or "")


# The list -------------------------------------------------------------------------------------------------------------


def list_operations(call: PageCall) -> Response:
    """The tab *Operations* of a dataset, the newest first."""
    query = {"pageSize": str(PAGE)} | ({"pageToken": call.query["page"]} if call.query.get("page") else {})
    listing = call.api.get(f"{call.dataset}/operations", **query)
    index = call.context.seams.index
    texts = [item["name"].rpartition("/")[2] for item in listing.get("operations", ())]
    ids = [OperationName.parse(call.dataset, text).id for text in texts]
    found = index.operations.get_operations(call.dataset, ids)
    rows = [row_of(each, waiting=call.context.waiting(each.name.id)) for each in found]
    return call.show(
        "operations.html",
        crumbs=crumbs_of(call.dataset),
        name=call.dataset,
        rows=rows,
        more=listing.get("nextPageToken", ""),
        running=any(not row.value.done for row in rows),
        tab="operations",
    )


# One of them ----------------------------------------------------------------------------------------------------------


def _operation(call: PageCall) -> Operation:
    """Raises PermissionDenied, NotFound."""
    name = OperationName.parse(call.dataset, call.ids[3])
    call.api.get(str(name))
    return call.context.seams.index.operations.get_operation(name)


def show_operation(call: PageCall) -> Response:
    return _page(call, "operation.html")


def show_progress(call: PageCall) -> Response:
    """The part of the page that is updated while an operation runs."""
    return _page(call, "operation_progress.html")


def _page(call: PageCall, template: str) -> Response:
    value = _operation(call)
    points = call.context.seams.index.operations.list_progress(value.name)
    counts, complete = call.context.seams.index.logs.count_entries(value.name)
    answer = call.show(
        template,
        crumbs=(*crumbs_of(value.name.dataset), Crumb("Operations", f"{address_of(value.name.dataset)}/operations")),
        operation=row_of(value, points, call.context.waiting(value.name.id)),
        chart=_throughput(value, points),
        reasons=[(severity.name, code, count) for (severity, code), count in counts.items()],
        complete=complete,
        store_address=address_of(value.store) if value.store else "",
    )
    if value.done and call.is_part:
        answer.headers["hx-trigger"] = "ended"
    return answer


def _throughput(value: Operation, points: Sequence[tuple[datetime, int]]) -> Markup | str:
    """Objects per second over the time of the operation; "" with too few points for a line."""
    steps = [(value.create_time, 0), *points]
    done = value.counter.success + value.counter.failure
    if value.end_time is not None and done > steps[-1][1]:
        steps.append((value.end_time, done))
    rates = [
        Point(now.timestamp(), (after - before) / max((now - then).total_seconds(), 0.05))
        for (then, before), (now, after) in pairwise(steps)
    ]
    return draw_line_chart(rates, "Objects per second", "/s", is_short=True) if len(rates) > 3 else ""


def cancel(call: PageCall) -> Response:
    name = OperationName.parse(call.dataset, call.ids[3])
    call.api.send("POST", f"{name}:cancel")
    return call.go(address_of(name))


# Its errors -----------------------------------------------------------------------------------------------------------


def list_errors(call: PageCall) -> Response:
    """A page of the error log, filtered by code and text."""
    value = _operation(call)
    text, code = call.query.get("q", "").strip()[:200], _code(call.query.get("code", ""))
    after = call.query.get("after", "")
    search = call.context.seams.index.logs.search_entries
    entries, more = search(value.name, text, code, _ENTRIES, read_number(after) or 0)
    return call.show(
        "operation_errors.html",
        operation=row_of(value),
        rows=[(entry, link_of(value, entry)) for entry in entries],
        more=more,
        query=text,
        code=code.name if code else "",
        is_first=not after,
    )


def _code(text: str) -> Code | None:
    return Code[text] if text in Code.__members__ else None


def link_of(value: Operation, entry: LogEntry) -> tuple[str, str]:
    """Address and label of a link for an object that failed; empty without one."""
    resource = entry.failure.resource
    if value.store is not None and resource.startswith("gs://") and value.method is Method.IMPORT_DICOM_DATA:
        return f"{address_of(value.store)}/import?uri={quote(resource, safe='')}", "Import again"
    if value.store is not None and resource.startswith("studies/"):
        return f"{address_of(value.store)}/{url_path(resource)}", "Show"
    return "", ""


def _pages(call: PageCall, name: OperationName) -> Iterator[list[LogEntry]]:
    after = 0
    while entries := call.context.seams.index.logs.list_failures(name, _CHUNK, after):
        yield entries
        after = entries[-1].seq


def download_csv(call: PageCall) -> ASGIApp:
    """The whole error log, for a spreadsheet."""
    value = _operation(call)

    def pieces() -> Iterator[bytes]:
        yield b"time,severity,code,object,message\r\n"
        for entries in _pages(call, value.name):
            held = io.StringIO()
            csv.writer(held).writerows(map(_cells, entries))
            yield held.getvalue().encode("utf-8", "backslashreplace")

    return send_attachment(pieces(), "text/csv; charset=utf-8", f"errors-{value.name.id}.csv")


def _cells(entry: LogEntry) -> tuple[str, ...]:
    status = entry.failure.status
    texts = map(as_text, (entry.failure.resource, status.message))
    return entry.time.isoformat(), entry.severity.name, status.code.name, *texts


def as_text(cell: str) -> str:
    """Quote a cell that a spreadsheet would run as a formula: names of objects come from others."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def download_ndjson(call: PageCall) -> ASGIApp:
    """The whole error log, one entry of Cloud Logging on each line."""
    value = _operation(call)

    def pieces() -> Iterator[bytes]:
        for entries in _pages(call, value.name):
            lines = (json.dumps(log_entry_json(value, entry), ensure_ascii=False) + "\n" for entry in entries)
            yield "".join(lines).encode("utf-8", "backslashreplace")

    return send_attachment(pieces(), "application/x-ndjson", f"errors-{value.name.id}.ndjson")


def go_to_operation(call: PageCall, answer: dict[str, Any]) -> Response:
    """Redirect to the page of an operation that has just started."""
    return call.go(address_of(answer["name"]))
