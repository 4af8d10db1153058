"""Who a client is behind proxies that are trusted (RFC 7239 §5.2, §7.4): for the audit log and shares of the server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

_FOR = re.compile(r'(?:^|[;,\s])for=("[^"]*"|[^;,\s"]+)', re.IGNORECASE)
_MAX_HOPS = 32


class Proxies:
    """``networks`` are addresses or networks of proxies. Raises ValueError."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ip_network, networks))

    def client(self, scope: Scope) -> str:
        """The nearest address that is no proxy's; what comes before it anybody may have written."""
        found = str((scope.get("client") or ("",))[0])
        hops = _hops(Headers(scope=scope)) if self._networks else []
        while hops and self._is_proxy(found):
            found = hops.pop()
        return found

    def _is_proxy(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _hops(headers: Headers) -> list[str]:
    """The addresses that proxies have written down, the last one's last."""
    if forwarded := headers.getlist("forwarded"):
        named = _FOR.findall(",".join(forwarded))
    else:
        named = ",".join(headers.getlist("x-forwarded-for")).split(",")
    return [_address(text) for text in named[-_MAX_HOPS:] if text.strip()]


def _address(text: str) -> str:
    """Without quotes, brackets and port; "unknown" for what is no address, as names of RFC 7239 §6.3 are."""
    text = text.strip().strip('"')
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text)
    bare = bracketed[1] if bracketed else text.rsplit(":", 1)[0] if text.count(":") == 1 else text
    try:
        found: IPv4Address | IPv6Address = ip_address(bare)
    except ValueError:
        return "unknown"
    return str(found)
