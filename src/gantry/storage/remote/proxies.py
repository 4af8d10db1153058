"""The proxy that the environment names for an address (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), as curl reads it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from gantry.errors import FailedPrecondition


def open_pools(url: str, **options: Any) -> urllib3.PoolManager:
    """Connections to a server, over the proxy for its address. Raises FailedPrecondition where that can be none."""
    text = _find_proxy(url)
    if not text:
        return urllib3.PoolManager(**options)
    proxy = _parse(text if "://" in text else f"http://{text}")
    headers = {}
    if proxy.auth:  # urllib3 leaves it out
        headers["proxy-authorization"] = f"Basic {b64encode(unquote(proxy.auth).encode()).decode()}"
    return urllib3.ProxyManager(proxy._replace(auth=None).url, proxy_headers=headers, **options)


def _find_proxy(url: str) -> str:
    """ "" for none, and for what NO_PROXY says, with or without a port."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc) or proxy_bypass(parts.hostname or ""):
        return ""
    return getproxies().get(parts.scheme, "")


def _parse(text: str) -> Url:
    try:
        found = parse_url(text)
    except LocationParseError:
        found = Url()
    if found.scheme not in ("http", "https") or not found.host:
        raise FailedPrecondition(
            "the proxy that the environment of the server names (HTTPS_PROXY, HTTP_PROXY) is none that can be used",
            advice="write it as http://HOST:PORT",
        )
    return found
