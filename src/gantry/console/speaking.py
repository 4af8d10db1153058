"""Which language a page is in: the one that was chosen in its head, else the one that the browser prefers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gantry.api.call import Context
from gantry.api.sessions import local_path
from gantry.languages import LANGUAGES, choose_by_header

ADDRESS = "language"
"""Of the form that chooses, below the address of the console. It takes no session: who signs in may choose, too."""
_COOKIE, _SECONDS = "gantry-language", 365 * 86_400


def choose_language(request: Request) -> str:
    """The tag of a language."""
    chosen = request.cookies.get(_COOKIE, "")
    return chosen if chosen in LANGUAGES else choose_by_header(",".join(request.headers.getlist("accept-language")))


def keep_language(context: Context, request: Request, form: dict[str, str]) -> Response:
    """Keep the language of the form in a cookie, and go back. Raises PermissionDenied for a form of another site."""
    if context.access is not None:
        context.access.sessions.origins.require_own("POST", request.headers)
    answer = RedirectResponse(local_path(form.get("next", ""), "/console/"), 303)
    if (chosen := form.get("language", "")) in LANGUAGES:
        secure = request.url.scheme == "https"
        answer.set_cookie(_COOKIE, chosen, _SECONDS, secure=secure, httponly=True, samesite="lax")
    return answer


def address_of_page(request: Request) -> str:
    """Where to go back to: this page, or the first one after a form that has no page of its own."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}" if request.method in ("GET", "HEAD") else "/console/"
