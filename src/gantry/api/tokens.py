"""``POST /token``: tokens for service accounts, in the form of Google's token endpoint (RFC 6749 §5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gantry.api import methods
from gantry.api.call import Context
from gantry.api.forms import read_form
from gantry.api.inside import record
from gantry.api.paths import page_path
from gantry.api.responses import json_response
from gantry.errors import InvalidArgument, NotFound, ResourceExhausted, Unauthenticated

_NO_STORE = {"cache-control": "no-store"}


def give_token(context: Context, request: Request, body: bytes) -> Response:
    """An access token for an hour, or an error of OAuth. Raises Unavailable while an issuer does not answer."""
    if page_path(request.scope):
        raise NotFound("no such page; tokens are given at POST /token")
    access = context.access
    if access is None or access.endpoint is None:
        return _refuse("unsupported_grant_type", "this server gives no tokens; set auth = required")
    try:
        form = read_form(body, unique=True)
    except InvalidArgument as error:
        return _refuse("invalid_request", error.message)
    try:
        watch = access.attempts.watch(request.scope, access.endpoint.name_account(form))
        with record(context, request, methods.GIVE_TOKEN), watch:
            answer = json_response(access.endpoint.issue(form))
    except InvalidArgument as error:
        return _refuse("unsupported_grant_type", error.message)
    except Unauthenticated as error:
        return _refuse("invalid_grant", error.message)
    except ResourceExhausted as error:
        answer = _refuse("temporarily_unavailable", error.message, error.http)
        answer.headers["retry-after"] = str(error.retry_after)
        return answer
    answer.headers.update(_NO_STORE)
    return answer


def _refuse(error: str, description: str, status: int = 400) -> Response:
    answer = json_response({"error": error, "error_description": description}, status)
    answer.headers.update(_NO_STORE)
    return answer
