"""The address of a client behind trusted proxies (RFC 7239 §5.2, §7.4): for the audit log and limits per caller."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

_FOR = re.compile(r'(?:^|[;,\s])for=("[^"]*"|[^;,\s"]+)', re.IGNORECASE)
_MAX_HOPS = 32  # more than any real chain of proxies


class Proxies:
    """``networks`` are addresses or networks of proxies. Raises ValueError."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ip_network, networks))

    def client(self, scope: Scope) -> str:
        """The last address that is not a trusted proxy's: clients can write those before it themselves.

        A proxy writes one of the two headers and may pass on the other as a client has sent it: where they name
        different clients, neither is believed, and the address is the proxy's.
        """
        address = str((scope.get("client") or ("",))[0])
        if not self._is_proxy(address):
            return address
        named = {self._behind(address, hops) for hops in _hops(Headers(scope=scope)) if hops}
        return named.pop() if len(named) == 1 else address

    def _behind(self, address: str, hops: list[str]) -> str:
        while hops and self._is_proxy(address):
            address = hops.pop()
        return address

    def _is_proxy(self, text: str) -> bool:
        if not self._networks:
            return False
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _hops(headers: Headers) -> tuple[list[str], ...]:
    """The addresses in each of the two headers, in their order."""
    named = (
        _FOR.findall(",".join(headers.getlist("forwarded"))),
        ",".join(headers.getlist("x-forwarded-for")).split(","),
    )
    return tuple([_address(text) for text in texts[-_MAX_HOPS:] if text.strip()] for texts in named)


def _address(text: str) -> str:
    """Without quotes, brackets and port; "unknown" for other names (RFC 7239 §6.3)."""
    text = text.strip().strip('"')
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text)
    bare = bracketed[1] if bracketed else text.rsplit(":", 1)[0] if text.count(":") == 1 else text
    try:
        found: IPv4Address | IPv6Address = ip_address(bare)
    except ValueError:
        return "unknown"
    return str(found)
