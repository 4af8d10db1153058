"""Sign in and out with a browser, by a token or at the OpenID Connect issuer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gantry.api import methods
from gantry.api.access import Access
from gantry.api.call import Context
from gantry.api.forms import read_form
from gantry.api.inside import record
from gantry.api.paths import page_path
from gantry.api.sessions import SIGN_IN, local_path
from gantry.console.refusals import NotHere, NotSignedIn
from gantry.console.rendering import render_page
from gantry.console.speaking import choose_language
from gantry.errors import PermissionDenied, StatusError, Unauthenticated
from gantry.iam.policies import Principal
from gantry.languages import _, use_language

_HOME = "/console/"
_REQUEST = "gantry-asked"
_REQUEST_SECONDS = 600  # to sign in at the issuer


def sign_in(context: Context, request: Request) -> Response:
    """In the reader's language."""
    with use_language(choose_language(request)):
        return _sign_in(context, request)


def take_token(context: Context, request: Request, body: bytes) -> Response:
    """Take the form of ``/sign-in``. Raises PermissionDenied for a form that another site has sent."""
    with use_language(choose_language(request)):
        return _take_token(context, request, body)


def _sign_in(context: Context, request: Request) -> Response:
    """``/sign-in``: a form for a token. ``/sign-in/oidc``: to the issuer, which sends to ``/sign-in/callback``."""
    target = local_path(request.query_params.get("next", ""), _HOME)
    if (access := context.access) is None:
        return RedirectResponse(target, 303)
    path = page_path(request.scope)
    if not path:
        return _show_form(request, access, target)
    if access.sign_in is not None and path == ["oidc"]:
        return _send_to_issuer(request, access, target)
    if access.sign_in is not None and path == ["callback"]:
        return _finish_at_issuer(context, access, request)
    raise _no_page()


def _take_token(context: Context, request: Request, body: bytes) -> Response:
    if (access := context.access) is None or page_path(request.scope):
        raise _no_page()
    form = read_form(body)
    target = local_path(form.get("next", ""), _HOME)
    try:
        with record(context, request, methods.SIGN_IN) as line, access.attempts.watch(request.scope):
            access.sessions.origins.require_own("POST", request.headers)
            line.who = who = access.principal(form.get("token", "").strip())
    except PermissionDenied:
        raise
    except Unauthenticated:
        text = _("This token is not known here. Check that it is complete and has not expired.")
        return _refuse(request, access, target, NotSignedIn(text))
    except StatusError as error:
        return _refuse(request, access, target, error)
    return _begin_session(context, access, request, who, target)


def sign_out(context: Context, request: Request, body: bytes) -> Response:
    """End the session on the server and in the browser. Raises PermissionDenied for a form of another site."""
    answer = RedirectResponse(SIGN_IN, 303)
    if (access := context.access) is not None:
        with record(context, request, methods.SIGN_OUT) as line:
            access.sessions.origins.require_own("POST", request.headers)
            if session := access.sessions.of(context.seams, "POST", request.headers):
                line.who = session.who
            access.sessions.end(context.seams, request.headers, answer)
    return answer


def _show_form(
    request: Request, access: Access, target: str, error: StatusError | None = None, status: int = 200
) -> Response:
    return render_page(
        "sign_in.html",
        status,
        target=target,
        error=error,
        with_issuer=access.sign_in is not None,
        page_address=f"{SIGN_IN}?{urlencode({'next': target})}",
    )


def _refuse(request: Request, access: Access, target: str, error: StatusError) -> Response:
    answer = _show_form(request, access, target, error, error.http)
    if error.retry_after:
        answer.headers["retry-after"] = str(error.retry_after)
    return answer


def _begin_session(context: Context, access: Access, request: Request, who: Principal, target: str) -> Response:
    answer = RedirectResponse(target, 303)
    access.sessions.begin(context.seams, who, access.session_hours, request.headers, answer)
    return answer


def _send_to_issuer(request: Request, access: Access, target: str) -> Response:
    """Redirect to the issuer; a cookie keeps the request."""
    assert access.sign_in is not None  # noqa: S101 - its caller has checked it
    try:
        address, sent = access.sign_in.begin()
    except StatusError as error:
        return _refuse(request, access, target, error)
    answer = RedirectResponse(address, 303)
    _keep_request(access, answer, json.dumps([target, *sent]), _REQUEST_SECONDS)
    return answer


def _finish_at_issuer(context: Context, access: Access, request: Request) -> Response:
    """Take the issuer's answer. The session lasts for its own hours, however long the issuer's token is valid."""
    assert access.sign_in is not None  # noqa: S101
    if (kept := _read_request(access, request)) is None:
        text = _("This browser has no open sign-in, or it took too long. Sign in again.")
        return _show_form(request, access, _HOME, NotSignedIn(text), 401)
    target, *sent = kept
    try:
        with record(context, request, methods.SIGN_IN) as line, access.attempts.watch(request.scope):
            line.who = who = access.sign_in.finish(sent, request.query_params)
    except StatusError as error:
        answer = _refuse(request, access, target, error)
    else:
        answer = _begin_session(context, access, request, Principal(who.name, who.members), target)
    _keep_request(access, answer, "", 0)
    return answer


def _read_request(access: Access, request: Request) -> Sequence[str] | None:
    """Target, state, nonce and verifier."""
    text = access.sessions.get(request.headers, f"{access.sessions.prefix}{_REQUEST}")
    try:
        value = json.loads(bytes.fromhex(text))
    except ValueError:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(each, str) and each for each in value):
        return None
    return local_path(value[0], _HOME), *value[1:]


def _keep_request(access: Access, answer: Response, text: str, seconds: int) -> None:
    access.sessions.set(answer, f"{access.sessions.prefix}{_REQUEST}", text.encode().hex(), seconds)


def _no_page() -> NotHere:
    return NotHere(_("there is no such page; sign in at /sign-in"))
