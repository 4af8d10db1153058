"""Which addresses of issuers are safe to request: https, and http on this machine."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from gantry.errors import InvalidArgument

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def split_http(url: str) -> SplitResult | None:
    """The parts of an http or https address; None for anything else, and for an address with a user name."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or not plain:
        return None
    return parts


def is_safe(url: str) -> bool:
    """An https address, or an http address of this machine."""
    parts = split_http(url)
    return parts is not None and (parts.scheme == "https" or parts.hostname in LOOPBACK)


def require_safe(name: str, url: str) -> None:
    """Raises InvalidArgument."""
    if not is_safe(url):
        raise InvalidArgument(f"{name}: {url[:200]!r} is not an https address")
