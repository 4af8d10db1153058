"""``POST /token``: tokens for service accounts, as clients ask Google's endpoint for them (RFC 6749 §5)."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.app import json_response
from gantry.api.call import Context
from gantry.errors import InvalidArgument, NotFound, ResourceExhausted, Unauthenticated

_MAX_FIELDS = 20
_NO_STORE = {"cache-control": "no-store"}


def give_token(context: Context, request: Request, body: bytes) -> Response:
    """An access token, good for an hour, or why there is none. Raises Unavailable while an issuer is away."""
    if request.url.path.strip("/") != "token":
        raise NotFound(f"no such page: POST {request.url.path[:200]}")
    access = context.access
    if access is None or access.endpoint is None:
        return _refuse("unsupported_grant_type", "this server gives no tokens; set auth = required")
    try:
        form = parse_qs(body.decode("latin-1"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return _refuse("invalid_request", f"the form has more than {_MAX_FIELDS} fields")
    if any(len(values) > 1 for values in form.values()):
        return _refuse("invalid_request", "a field of the form is there twice")
    fields = {name: values[0] for name, values in form.items()}
    try:
        with access.attempts.watch(request.scope, access.endpoint.account(fields)):
            answer = json_response(access.endpoint.give(fields))
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
