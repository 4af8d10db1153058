"""Protection against requests that other sites' pages make a browser send (Fetch Metadata, RFC 6454, OWASP on CSRF).

A browser sends cookies, and requests to servers on its own machine, on behalf of any page that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from gantry.errors import PermissionDenied

SAFE = ("GET", "HEAD", "OPTIONS")
_LOCAL = ("localhost", "127.0.0.1", "::1")  # what nearly every request has: to parse an address takes longer
_ELSEWHERE = ("cross-site", "same-site")  # another port of this host is the same site


class Origins:
    """``public_url`` is where browsers find the server."""

    def __init__(self, public_url: str) -> None:
        self._own = _netloc(public_url)
        self._own_host = urlsplit(public_url).hostname or ""

    def require_own(self, verb: str, headers: Mapping[str, str]) -> None:
        """For requests with a cookie: raises PermissionDenied unless a page of this server sends the request."""
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
        if verb in SAFE:
            is_own = site not in _ELSEWHERE or headers.get("sec-fetch-mode") == "navigate"
        else:
            is_own = site == "same-origin" or (not site and self._is_own(origin, headers))
        if not is_own:
            raise PermissionDenied("a page of another address cannot use the session of this browser; send a token")

    def require_local(self, verb: str, headers: Mapping[str, str]) -> None:
        """For a server without authentication: the request must name this machine, and not be sent by another site.

        Raises PermissionDenied.
        """
        host = headers.get("host", "")
        name = _host(f"//{host}")
        if host and not _is_loopback(name) and name != self._own_host:
            raise PermissionDenied(
                f"this server does not have the name {name[:100]!r}; another site may let that name point here. "
                "Use 127.0.0.1, or set public_url to the address that clients see"
            )
        origin = headers.get("origin", "")
        if verb not in SAFE and origin and not _is_loopback(_host(origin)) and not self._is_own(origin, headers):
            raise PermissionDenied(f"a page of {origin[:100]!r} cannot change anything here")

    def _is_own(self, origin: str, headers: Mapping[str, str]) -> bool:
        netloc = _netloc(origin)
        return bool(netloc) and netloc in (self._own, headers.get("host", "").lower())


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name in _LOCAL or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
