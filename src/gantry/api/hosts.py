"""The header Host: the name by which a caller came (RFC 9110 §7.2, RFC 9112 §3.2)."""

from __future__ import annotations

import re

from starlette.requests import Request

from gantry.errors import InvalidArgument

_HOST = re.compile(r"(?:[a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
"""A name or an address, and a port. What else the grammar of a URI allows there, browsers read differently."""


def is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and int(found["port"] or 0) < 1 << 16


def require_host(request: Request) -> None:
    """Raises InvalidArgument unless a request of HTTP/1.1 has one Host: two servers in a row could believe two names.

    Older requests may have none.
    """
    hosts = request.headers.getlist("host")
    if len(hosts) > 1 or (not hosts and request.scope["http_version"] != "1.0"):
        raise InvalidArgument(f"the request has {len(hosts)} headers Host; HTTP/1.1 has exactly one")
    if hosts and hosts[0] and not is_host(hosts[0]):
        raise InvalidArgument(f"Host: {hosts[0][:100]!r} is no name of a host, with or without a port")
