"""Pages beside the API: health, metrics, an operation's error log."""

from __future__ import annotations

from html import escape
from string import Template

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gantry.api.app import caller_of_request, json_response
from gantry.api.call import Context
from gantry.api.paging import Page, read_page
from gantry.api.wire import Json, counter_json, log_entry_json, timestamp
from gantry.errors import Code, NotFound
from gantry.names import DatasetName, OperationName
from gantry.resources import LogEntry, Method, Operation, Severity

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_LOG_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Operation $id</title><style>
:root { color-scheme: light dark; --line: #8884; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem; } p { color: var(--dim); margin: .25rem 0; overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 1.5rem 0; } dt { color: var(--dim); } dd { margin: 0; }
dd { font-size: 1.3rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th { text-align: left; font-weight: 600; } th, td { padding: .6rem 1rem .6rem 0; vertical-align: top; }
tr { border-bottom: 1px solid var(--line); } td { overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--dim); }
code { font: 13px/1.5 ui-monospace, monospace; } nav { display: flex; gap: 1.5rem; margin: 1.5rem 0; }
h2 { font-size: 1rem; margin: 1.5rem 0 0; } .codes { width: auto; margin-top: .25rem; }
.codes td { padding: .25rem 2rem .25rem 0; } .codes td:first-child { text-align: right; color: inherit; }
@media (max-width: 40rem) {
  .entries, .entries tbody, .entries tr, .entries td { display: block; } .entries th { display: none; }
  .entries tr { padding: .6rem 0; } .entries td { padding: 0; }
}
</style></head><body>
<h1>$method: $state</h1><p><code>$name</code></p><p>$error</p>
<dl>$counts</dl>$codes$table$links
</body></html>
""")


def healthz(_context: Context, _request: Request) -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


def readyz(context: Context, _request: Request) -> Response:
    """The index answers. Raises Unavailable."""
    context.seams.index.garbage.list_deleted_stores()
    return PlainTextResponse("ok\n")


def metrics(context: Context, request: Request) -> Response:
    """Prometheus text format, for whoever is known here."""
    caller_of_request(context, request)
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})


def logs(context: Context, request: Request) -> Response:
    """``/logs/{operation name}``: an operation's error log, a page for browsers, JSON for everyone else."""
    name = _operation_name(request.url.path)
    caller_of_request(context, request).require("healthcare.operations.get", name.dataset)
    operation = context.seams.index.operations.get_operation(name)
    page = read_page(dict(request.query_params), str(operation.name))
    after = page.after_number or 0
    entries = context.seams.index.logs.list_failures(operation.name, page.size + 1, after)
    if "text/html" in request.headers.get("accept", "") and request.query_params.get("alt") != "json":
        codes = _codes(*context.seams.index.logs.count_entries(operation.name))
        text = _html(operation, page, entries, codes)
        return Response(text, media_type="text/html; charset=utf-8", headers=_HEADERS)
    answer: Json = {"entries": [log_entry_json(operation, entry) for entry in entries[: page.size]]} if entries else {}
    if len(entries) > page.size:
        answer["nextPageToken"] = page.token(str(entries[page.size - 1].seq))
    return json_response(answer)


_TITLES = {
    Method.IMPORT_DICOM_DATA: "Import",
    Method.EXPORT_DICOM_DATA: "Export",
    Method.CREATE_DATASET: "Creation of the dataset",
    Method.SET_BLOB_STORAGE_SETTINGS: "Change of storage class",
    Method.DELETE_STUDY: "Deletion of a study",
    Method.DELETE_SERIES: "Deletion of a series",
    Method.UPDATE_STUDY_METADATA: "Update of a study's metadata",
    Method.UPDATE_SERIES_METADATA: "Update of the metadata of a series",
}


def _operation_name(path: str) -> OperationName:
    parts = path.strip("/").split("/")[1:]
    if len(parts) != 8 or parts[0::2] != ["projects", "locations", "datasets", "operations"]:
        raise NotFound("no such page; use /logs/projects/P/locations/L/datasets/D/operations/ID")
    return OperationName.parse(DatasetName(parts[1], parts[3], parts[5]), parts[7])


def _html(operation: Operation, page: Page, entries: list[LogEntry], codes: str) -> str:
    rows = "".join(_row(entry) for entry in entries[: page.size])
    head = "<tr><th>Time</th><th>Object</th><th>Reason</th></tr>"
    state = "running" if not operation.done else "OK" if operation.error is None else "finished with errors"
    return _LOG_PAGE.substitute(
        id=operation.name.id,
        name=escape(str(operation.name)),
        method=_TITLES[operation.method],
        state=state,
        error=escape(operation.error.message) if operation.error else "",
        counts="".join(_count(name, value) for name, value in _counts(operation).items()),
        table=f'<table class="entries">{head}{rows}</table>'
        if rows
        else "<p>No errors and no warnings have been logged.</p>",
        codes=codes,
        links=_links(page, entries),
    )


def _links(page: Page, entries: list[LogEntry]) -> str:
    """To the first page and to the next one, where there are such; the size of a page stays."""
    size = f"pageSize={page.size}"
    links = [f'<a href="?{size}">First {page.size} entries</a>'] if page.after else []
    if len(entries) > page.size:
        token = page.token(str(entries[page.size - 1].seq))
        links.append(f'<a href="?{size}&amp;pageToken={token}">Next {page.size} entries</a>')
    return f"<nav>{''.join(links)}</nav>" if links else ""


def _codes(counts: dict[tuple[Severity, Code], int], complete: bool) -> str:
    """How many entries have which reason; of a long log the first part is counted."""
    if not counts:
        return ""
    title = "By reason" if complete else f"The first {sum(counts.values()):,} entries by reason"
    rows = "".join(
        f"<tr><td>{count:,}</td><td>{_reason(severity, code)}</td></tr>" for (severity, code), count in counts.items()
    )
    return f'<h2>{title}</h2><table class="codes">{rows}</table>'


def _reason(severity: Severity, code: Code) -> str:
    return code.name if severity is Severity.ERROR else f"{severity.name.lower()}: {code.name}"


def _counts(operation: Operation) -> dict[str, str]:
    counts = counter_json(operation.counter)
    return {name: counts.get(name, "0") for name in ("success", "failure", "pending")}


def _count(name: str, value: str) -> str:
    return f"<div><dt>{name.capitalize()}</dt><dd>{int(value):,}</dd></div>"


def _row(entry: LogEntry) -> str:
    time = timestamp(entry.time)[:19].replace("T", " ")
    status = entry.failure.status
    resource, message = escape(entry.failure.resource), escape(status.message)
    reason = f"{message} <small>({_reason(entry.severity, status.code)})</small>"
    return f"<tr><td>{time}</td><td><code>{resource}</code></td><td>{reason}</td></tr>"
