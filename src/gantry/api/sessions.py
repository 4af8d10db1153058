"""Sessions of browsers: a cookie names one, and pages of other sites cannot use it (RFC 6265bis §4.1)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response

from gantry.api.origins import Origins
from gantry.iam.policies import Principal
from gantry.iam.sessions import Session
from gantry.seams import Seams

SIGN_IN = "/sign-in"
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # visible ASCII without a backslash; browsers read // and /\ as hosts
_MAX_PATH = 4000  # characters; no address of a page is nearly as long
CALLBACK = f"{SIGN_IN}/callback"
"""The path to which an issuer sends browsers back."""


class Sessions:
    """Sessions of a server at ``public_url``; with https the cookie is for https alone."""

    def __init__(self, public_url: str, allowed_origins: tuple[str, ...] = ()) -> None:
        self.origins = Origins(public_url, allowed_origins)
        self.secure = urlsplit(public_url).scheme == "https"
        self.prefix = "__Host-" if self.secure else ""
        self._name = f"{self.prefix}gantry-session"

    def begin(self, seams: Seams, who: Principal, hours: float, headers: Mapping[str, str], response: Response) -> None:
        """Give the browser of ``response`` a session, which ends no later than the credential of ``who``.

        Its secret is new: a session that the browser had before ends here (session fixation, OWASP).
        """
        if old := self.get(headers, self._name):
            seams.index.access.end_session(_key(old))
        cookie, now = secrets.token_urlsafe(32), time.time()
        ends = int(min(now + hours * 3600, who.ends))
        seams.index.access.begin_session(_key(cookie), Session(who, ends), int(now))
        self.set(response, self._name, cookie, ends - int(now))

    def of(self, seams: Seams, verb: str, headers: Mapping[str, str]) -> Session | None:
        """The session of a request. Raises PermissionDenied if another site sends the request."""
        cookie = self.get(headers, self._name)
        if not cookie or (found := seams.index.access.find_session(_key(cookie), int(time.time()))) is None:
            return None
        self.origins.require_own(verb, headers)
        return found

    def end(self, seams: Seams, headers: Mapping[str, str], response: Response) -> None:
        if cookie := self.get(headers, self._name):
            seams.index.access.end_session(_key(cookie))
        self.set(response, self._name, "", 0)

    def get(self, headers: Mapping[str, str], name: str) -> str:
        return cookie_parser(headers.get("cookie", "")).get(name, "")

    def set(self, response: Response, name: str, value: str, seconds: int) -> None:
        """A cookie that scripts cannot read, and that other sites' pages can send only by a link."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")


def sign_in_first(request: Request) -> Response:
    """Send a browser to the sign-in page, and from there back to the page of its request."""
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    page = f"{path}?{query}" if query else path
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': page})}", 303)


def local_path(text: str, default: str) -> str:
    """``text`` if it is a path of this server, else ``default``: browsers must not be sent to other sites."""
    if not _LOCAL.fullmatch(text) or len(text) > _MAX_PATH:
        return default
    return text


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
