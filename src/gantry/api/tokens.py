"""``POST /token``: tokens for service accounts, as clients ask Google's endpoint for them (RFC 7523 §2.1)."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.responses import Response

from gantry.api.app import json_response
from gantry.api.call import Context
from gantry.errors import StatusError

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NO_STORE = {"cache-control": "no-store"}


def give_token(context: Context, body: bytes) -> Response:
    """An access token for a signed assertion, good for an hour."""
    access = context.access
    if access is None or access.exchange is None:
        return _refused("unsupported_grant_type", "this server gives no tokens; set auth = required")
    form = parse_qs(body.decode("latin-1"), max_num_fields=20)
    if form.get("grant_type") != [GRANT] or len(form.get("assertion", ())) != 1:
        return _refused("unsupported_grant_type", f"grant_type must be {GRANT}, with one assertion")
    try:
        answer = json_response(access.exchange(form["assertion"][0]))
    except StatusError as error:
        return _refused("invalid_grant", error.message)
    answer.headers.update(_NO_STORE)
    return answer


def _refused(error: str, description: str) -> Response:
    answer = json_response({"error": error, "error_description": description}, 400)
    answer.headers.update(_NO_STORE)
    return answer
