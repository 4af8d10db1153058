"""Sessions of browsers: a cookie that names one, which no page of another address can use (RFC 6265bis §4.1)."""

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
_MAX_PATH = 4000
CALLBACK = f"{SIGN_IN}/callback"
"""Where an issuer sends browsers back to."""


class Sessions:
    """Of a server whose browsers find it at ``public_url``; behind TLS the cookie is for TLS alone."""

    def __init__(self, public_url: str) -> None:
        self.origins = Origins(public_url)
        self.secure = urlsplit(public_url).scheme == "https"
        self.prefix = "__Host-" if self.secure else ""
        self._name = f"{self.prefix}gantry-session"

    def begin(self, seams: Seams, who: Principal, hours: float, headers: Mapping[str, str], response: Response) -> None:
        """Give the browser of ``response`` a session, no longer than what was shown is good for.

        Its secret is new: one that the browser had before, whoever gave it to it, ends here (session fixation, OWASP).
        """
        if old := self.get(headers, self._name):
            seams.index.access.end_session(_key(old))
        cookie, now = secrets.token_urlsafe(32), time.time()
        ends = int(min(now + hours * 3600, who.ends))
        seams.index.access.begin_session(_key(cookie), Session(who, ends), int(now))
        self.set(response, self._name, cookie, ends - int(now))

    def of(self, seams: Seams, verb: str, headers: Mapping[str, str]) -> Session | None:
        """The session of a request. Raises PermissionDenied for one that another address has made."""
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
        """A cookie that scripts cannot read and other sites cannot send along, but for following a link."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")


def sign_in_first(request: Request) -> Response:
    """Send a browser to sign in, and from there back to what it asked for."""
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    asked = f"{path}?{query}" if query else path
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': asked})}", 303)


def local_path(text: str, default: str) -> str:
    """An address of this server, as a path; anything else would send browsers to where others want them."""
    if not _LOCAL.fullmatch(text) or len(text) > _MAX_PATH:
        return default
    return text


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
