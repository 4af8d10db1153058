"""JSON answers and errors, in the form of Google's APIs: the one place that writes them."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from gantry.api.intake import TooSlow
from gantry.api.ranges import Unsatisfiable
from gantry.api.wire import error_info, localized
from gantry.errors import MethodNotAllowed, StatusError, Unauthenticated

JSON = "application/json; charset=UTF-8"


def json_response(value: Any, status: int = 200, pretty: bool = True) -> Response:
    """JSON as the API writes it: UTF-8, indented, a final newline; without ``pretty`` on one line."""
    layout: dict[str, Any] = {"indent": 2} if pretty else {"separators": (",", ":")}
    text = json.dumps(value, ensure_ascii=False, **layout) + "\n"
    return Response(text.encode("utf-8", "replace"), status, {"content-type": JSON})


def error_response(error: StatusError) -> Response:
    """The JSON error of Google's APIs (google.rpc.Status), with the headers that its kind needs."""
    body: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.code.name}
    details = [*error.details, *([error_info(error.kind)] if error.kind is not None else [])]
    if details := [*details, *localized(error.status.reason)]:
        body["details"] = details
    response = json_response({"error": body}, error.http)
    response.headers["vary"] = "accept-language"
    if isinstance(error, Unauthenticated):
        response.headers["www-authenticate"] = 'Bearer realm="gantry"'
    if isinstance(error, TooSlow):
        response.headers["connection"] = "close"
    if error.retry_after:
        response.headers["retry-after"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        response.headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, Unsatisfiable):
        response.headers["content-range"] = f"bytes */{error.size}"
    return response
