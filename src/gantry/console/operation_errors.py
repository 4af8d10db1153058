"""The errors of an operation: by reason, in the words of ``gantry.reasons``, with what can be done about each."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import ASGIApp

from gantry.api.wire import log_entry_json
from gantry.console.operations import find_operation, row_of
from gantry.console.page_call import PageCall, address_of
from gantry.console.rendering import send_attachment
from gantry.languages import _
from gantry.log_entries import LogEntry
from gantry.names import OperationName, url_path
from gantry.reasons import ABOUT, About, Reason
from gantry.resources import Method, Operation
from gantry.whole_numbers import read_number

_ENTRIES, _SHOWN = 100, 25  # of one page; shown unfolded, so that a telephone's page has an end
_CHUNK = 1000
_KEPT = re.compile(r"studies/[^/\s]+/series/[^/\s]+/instances/[^/\s]+\Z")
_OF_KEPT = (Reason.ALREADY_EXISTS_DIFFERENT, Reason.STORED_BYTES_DAMAGED)


class Line(NamedTuple):
    """An entry of the log on the page. ``link``: address and label, empty without one."""

    entry: LogEntry
    about: About
    link: tuple[str, str]


def list_errors(call: PageCall) -> Response:
    """A page of the error log, filtered by reason and text."""
    value = find_operation(call)
    text, reason = call.query.get("q", "").strip()[:200], _read_reason(call.query.get("reason", ""))
    after = call.query.get("after", "")
    search = call.context.seams.index.logs.search_entries
    entries, more = search(value.name, text, reason, _ENTRIES, read_number(after) or 0)
    return call.show(
        "operation_errors.html",
        operation=row_of(value),
        rows=[Line(entry, ABOUT[entry.failure.status.reason], link_of(value, entry)) for entry in entries],
        more=more,
        query=text,
        reason=reason.value if reason else "",
        about=ABOUT[reason] if reason else None,
        is_first=not after,
        shown=_SHOWN,
    )


def _read_reason(text: str) -> Reason | None:
    return Reason(text) if text in Reason.__members__ else None


def link_of(value: Operation, entry: LogEntry) -> tuple[str, str]:
    """Address and label of a link for an object that failed; empty where nothing would help."""
    status, resource = entry.failure.status, entry.failure.resource
    if value.store is None:
        return "", ""
    if status.reason in _OF_KEPT and (kept := _KEPT.search(status.message.removesuffix("."))):
        return f"{address_of(value.store)}/{url_path(kept[0])}", _("Show the kept instance")
    if resource.startswith("studies/"):
        return f"{address_of(value.store)}/{url_path(resource)}", _("Show")
    if value.method is Method.IMPORT_DICOM_DATA and ABOUT[status.reason].again and "://" in resource:
        return f"{address_of(value.store)}/import?uri={quote(resource, safe='')}", _("Import again")
    return "", ""


def _pages(call: PageCall, name: OperationName) -> Iterator[list[LogEntry]]:
    after = 0
    while entries := call.context.seams.index.logs.list_failures(name, _CHUNK, after):
        yield entries
        after = entries[-1].seq


def download_csv(call: PageCall) -> ASGIApp:
    """The whole error log, for a spreadsheet."""
    value = find_operation(call)

    def pieces() -> Iterator[bytes]:
        yield b"time,severity,code,object,message,reason\r\n"
        for entries in _pages(call, value.name):
            held = io.StringIO()
            csv.writer(held).writerows(map(_cells, entries))
            yield held.getvalue().encode("utf-8", "backslashreplace")

    return send_attachment(pieces(), "text/csv; charset=utf-8", f"errors-{value.name.id}.csv")


def _cells(entry: LogEntry) -> tuple[str, ...]:
    status = entry.failure.status
    texts = map(as_text, (entry.failure.resource, status.message))
    return entry.time.isoformat(), entry.severity.name, status.code.name, *texts, status.reason.value


def as_text(cell: str) -> str:
    """Quote a cell that a spreadsheet would run as a formula: names of objects come from others."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def download_ndjson(call: PageCall) -> ASGIApp:
    """The whole error log, one entry of Cloud Logging on each line."""
    value = find_operation(call)

    def pieces() -> Iterator[bytes]:
        for entries in _pages(call, value.name):
            lines = (json.dumps(log_entry_json(value, entry), ensure_ascii=False) + "\n" for entry in entries)
            yield "".join(lines).encode("utf-8", "backslashreplace")

    return send_attachment(pieces(), "application/x-ndjson", f"errors-{value.name.id}.ndjson")
