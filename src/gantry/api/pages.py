"""Pages beside the API: health, metrics, an operation's error log."""

from __future__ import annotations

from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from gantry.api.call import Context
from gantry.api.inside import Inside
from gantry.api.paging import read_page
from gantry.api.paths import page_path
from gantry.api.responses import json_response
from gantry.api.wire import log_entry_json
from gantry.errors import InvalidArgument, NotFound
from gantry.names import OperationName, parse_operation_name, url_path


def healthz(_context: Context, _request: Request) -> Response:
    """Answers while the process runs."""
    return PlainTextResponse("ok\n")


def readyz(context: Context, _request: Request) -> Response:
    """Answers if calls would be answered: the index does, and the audit log is written where it must be. Lines of the
    audit log that are lost are reported, too. Raises Unavailable."""
    context.seams.index.garbage.list_deleted_stores()
    if context.audit is None:
        return PlainTextResponse("ok\n")
    context.audit.require()
    loss = context.audit.describe_loss()
    return PlainTextResponse(f"ok, but lines of the audit log are lost: {loss}\n" if loss else "ok\n")


def metrics(context: Context, request: Request) -> Response:
    """Prometheus text format, for authenticated callers."""
    Inside(context, request)
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})


def logs(context: Context, request: Request) -> Response:
    """``/logs/{operation name}``: an operation's error log as JSON. Browsers are sent to its page of the console."""
    name = _operation_name(page_path(request.scope))
    if "text/html" in request.headers.get("accept", "") and request.query_params.get("alt") != "json":
        return RedirectResponse(f"/console/{url_path(name)}", 303)
    Inside(context, request).get(str(name))
    operation = context.seams.index.operations.get_operation(name)
    page = read_page(dict(request.query_params), str(name))
    entries = context.seams.index.logs.list_failures(name, page.size + 1, page.after_number or 0)
    write = partial(log_entry_json, operation)
    return json_response(page.answer("entries", entries, write, lambda entry: str(entry.seq)))


def _operation_name(path: list[str]) -> OperationName:
    try:
        return parse_operation_name("/".join(path))
    except InvalidArgument:
        raise NotFound("no such page; use /logs/projects/P/locations/L/datasets/D/operations/ID") from None
