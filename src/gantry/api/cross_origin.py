"""Pages of other origins that may use the API from a browser: CORS (WHATWG Fetch §3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

ANY_ORIGIN = "*"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Location, Content-Range, Date, ETag, "
    "Retry-After, Warning, WWW-Authenticate"
)
"""Headers that scripts may read, beside those that they always may."""
_SECONDS = "600"  # for which a browser remembers what it may send: Chromium's own limit is 7200
_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-, \t]{0,2000}")


class CrossOrigin:
    """``allowed`` origins, like ``https://viewer.example``; ``*`` is any, without credentials."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self._named = frozenset(allowed) - {ANY_ORIGIN}
        self._any = ANY_ORIGIN in allowed

    def complete(self, headers: MutableHeaders, origin: str) -> None:
        """Add to the head of an answer what lets the page of ``origin`` read it, if it may."""
        if not (self._named or self._any):
            return
        headers.add_vary_header("Origin")
        if allowed := self._allow(origin):
            headers.update(allowed | {"access-control-expose-headers": _EXPOSED})

    def answer_preflight(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """The answer to a browser that asks what a page may send (§3.3.5); None for any other request."""
        if method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if not self._allow(headers.get("origin", "")):
            return None
        names = headers.get("access-control-request-headers", "")
        found = {
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": names if _NAMES.fullmatch(names) else "",
            "access-control-max-age": _SECONDS,
        }
        if headers.get("access-control-request-private-network") == "true":
            found["access-control-allow-private-network"] = "true"
        return Response(status_code=204, headers=found)

    def _allow(self, origin: str) -> dict[str, str]:
        """Credentials go with an origin that is named, and never with ``*``."""
        if origin in self._named:
            return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
        return {"access-control-allow-origin": ANY_ORIGIN} if origin and self._any else {}
