"""Errors in the form of BigQuery: that of Google's APIs, and ``errors`` with a reason, which its clients look at."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from gantry.api.responses import error_response
from gantry.errors import Code, StatusError

_REASONS = {
    Code.INVALID_ARGUMENT: "invalidQuery",
    Code.FAILED_PRECONDITION: "invalid",
    Code.OUT_OF_RANGE: "invalid",
    Code.NOT_FOUND: "notFound",
    Code.ALREADY_EXISTS: "duplicate",
    Code.PERMISSION_DENIED: "accessDenied",
    Code.UNAUTHENTICATED: "authError",
    Code.RESOURCE_EXHAUSTED: "resourcesExceeded",
    Code.DEADLINE_EXCEEDED: "timeout",
    Code.CANCELLED: "stopped",
    Code.UNIMPLEMENTED: "notImplemented",
    Code.ABORTED: "jobInternalError",
    Code.UNAVAILABLE: "backendError",
}
_BUSY = "rateLimitExceeded"
"""What clients try again: the server was busy, and nothing was begun."""


def describe(error: StatusError) -> dict[str, Any]:
    """An item of ``errors``, and what ``errorResult`` of a job has."""
    reason = _REASONS.get(error.code, "internalError")
    if error.what.startswith("too many"):
        reason = _BUSY
    return {"reason": reason, "message": error.message}


def write_error(error: StatusError) -> Response:
    made = error_response(error)
    body = json.loads(bytes(made.body))
    body["error"]["errors"] = [{"domain": "global", **describe(error)}]
    text = json.dumps(body, ensure_ascii=False, indent=2) + "\n"
    kept = {name: value for name, value in made.headers.items() if name != "content-length"}
    return Response(text.encode("utf-8", "replace"), made.status_code, kept)
