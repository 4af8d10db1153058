"""``POST /token`` of an emulator: anybody gets a token, and it is good for nothing but to be sent.

Google's clients ask for one by each grant that a credentials file may stand for (RFC 6749 §5.1, RFC 8693 §2.2.1), and
gcloud then asks whose it is (RFC 7662 §2.1).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.call import Context
from gantry.api.forms import read_form
from gantry.api.paths import page_path
from gantry.api.responses import json_response
from gantry.errors import NotFound

_SECONDS = 3600
_INTROSPECTED = {"active": True, "username": "emulator", "client_id": "emulator", "token_type": "Bearer"}
_GIVEN = {
    "access_token": "emulator",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": _SECONDS,
}


def give_token(context: Context, request: Request, body: bytes) -> Response:
    """A token, or whose one is. Raises NotFound, InvalidArgument."""
    if page_path(request.scope):
        raise NotFound("no such page; tokens are given at POST /token")
    return json_response(_INTROSPECTED if "token" in read_form(body) else _GIVEN)
