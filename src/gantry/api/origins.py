"""Protection against requests that other sites' pages make a browser send (Fetch Metadata, RFC 6454, OWASP on CSRF).

A browser sends cookies, and requests to servers on its own machine, on behalf of any page that it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from gantry.errors import PermissionDenied

SAFE = ("GET", "HEAD", "OPTIONS")
_LOCAL = ("localhost", "127.0.0.1", "::1")  # what nearly every request has: to parse an address takes longer
_ELSEWHERE = ("cross-site", "same-site")  # another port of this host is the same site


class Origins:
    """``public_url`` is where browsers find the server; pages of ``allowed`` origins may change things, too.
    ``any_name``: it is an emulator, which has every name by which somebody comes."""

    def __init__(self, public_url: str, allowed: Iterable[str] = (), any_name: bool = False) -> None:
        self._any_name = any_name
        self._public_url = public_url
        self._own = _netloc(public_url)
        self._own_host = urlsplit(public_url).hostname or ""
        self._allowed = frozenset(allowed) - {"*"}
        # An origin with https is preferred: answers must not lead to a plain one.
        self._bases = {name: origin for origin in sorted(self._allowed) for name in _list_names(origin)}

    def choose_base(self, host: str) -> str:
        """The address of this server in answers: that of the header ``host`` where it is an allowed one, or a name of
        this machine for a server that has such a name itself; else ``public_url``."""
        host = host.lower()
        if host == self._own or not host:
            return self._public_url
        if self._any_name:
            return self._base_of_any(host)
        if base := self._bases.get(host):
            return base
        # Without a port it is the habit of a client that leaves the port out: dicomweb-client of PyPI.
        if _is_loopback(self._own_host) and _is_loopback(_host(f"//{host}")) and host.rpartition(":")[2].isdigit():
            return f"{urlsplit(self._public_url).scheme}://{host}"
        return self._public_url

    def _base_of_any(self, host: str) -> str:
        """Where a client leaves the port out, as dicomweb-client of PyPI does, the port is that of the server."""
        url = urlsplit(self._public_url)
        has_port = host.rpartition("]")[2].rpartition(":")[2].isdigit()
        return f"{url.scheme}://{host}" if has_port or not url.port else f"{url.scheme}://{host}:{url.port}"

    def require_own(self, verb: str, headers: Mapping[str, str]) -> None:
        """For requests with a cookie: raises PermissionDenied unless a page of this server sends the request."""
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
        if verb in SAFE:
            is_own = site not in _ELSEWHERE or headers.get("sec-fetch-mode") == "navigate" or origin in self._allowed
        else:
            is_own = site == "same-origin" or origin in self._allowed or (not site and self._is_own(origin, headers))
        if not is_own:
            raise PermissionDenied("a page of another address cannot use the session of this browser; send a token")

    def require_local(self, verb: str, headers: Mapping[str, str]) -> None:
        """For a server without authentication: the request must name this machine, and not be sent by another site.

        Raises PermissionDenied.
        """
        host = headers.get("host", "")
        name = _host(f"//{host}")
        is_known = self._any_name or _is_loopback(name) or name == self._own_host or host.lower() in self._bases
        if host and not is_known:
            raise PermissionDenied(
                f"Host {name[:100]!r} is not allowed (protection against DNS rebinding). "
                "Use 127.0.0.1, or set public_url to the address that clients see"
            )
        origin = headers.get("origin", "")
        if verb not in SAFE and origin and not _is_loopback(_host(origin)) and not self._is_own(origin, headers):
            raise PermissionDenied(f"a page of {origin[:100]!r} cannot change anything here")

    def _is_own(self, origin: str, headers: Mapping[str, str]) -> bool:
        """A page of an allowed origin, or of the name by which the request came. That of an allowed origin says too
        little: it may be led here by plain HTTP, and only its own scheme was allowed."""
        netloc, host = _netloc(origin), headers.get("host", "").lower()
        if not netloc:
            return False
        return origin.lower() in self._allowed or netloc == self._own or (netloc == host and host not in self._bases)


def _list_names(origin: str) -> tuple[str, ...]:
    """By which a request names the host of an origin: some programs and proxies write the port that goes without saying
    (RFC 9110 §4.2)."""
    name, port = _netloc(origin), {"https": 443, "http": 80}.get(origin.partition(":")[0])
    return (name,) if name.rpartition("]")[2].rpartition(":")[2].isdigit() else (name, f"{name}:{port}")


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
