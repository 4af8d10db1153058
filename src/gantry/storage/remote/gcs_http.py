"""Requests to Google Cloud Storage: one pool of connections, with the token of the bucket's identity."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from gantry.storage.remote.certificates import read_certificates
from gantry.storage.remote.collecting import collect
from gantry.storage.remote.gcs_credentials import Tokens
from gantry.storage.remote.gcs_errors import Refused, read_refusal
from gantry.storage.remote.place import RemotePlace

_SERVICE = "https://storage.googleapis.com"
_TIMEOUT = urllib3.Timeout(connect=10, read=30)  # less than a worker may be silent (``seams.CALL_SECONDS``)
_PIECE = 1 << 20  # bytes: what came before a connection was cut is kept in such pieces


class Said(NamedTuple):
    """An answer; names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """``retrying`` tries again, not this."""

    def __init__(self, place: RemotePlace, tokens: Tokens) -> None:
        """Makes no request. Raises FailedPrecondition where the file of certificates cannot be read."""
        self.tokens = tokens
        self._more = {"userProject": place.billing_project} if place.billing_project else {}
        self._pool = _open_pool(place)
        self._base = urlsplit(place.endpoint).path.rstrip("/")

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        passes: tuple[int, ...] = (),
    ) -> Said:
        """Raises Refused for an answer that is neither a success nor in ``passes``, and urllib3's exceptions."""
        asked = {**(query or {}), **self._more}
        sent = {**self.tokens.make_headers(), **(headers or {})}
        mark = "&" if "?" in path else "?"
        target = self._base + (f"{path}{mark}{urlencode(asked, quote_via=quote)}" if asked else path)
        answer = self._pool.urlopen(
            method, target, body=body, headers=sent, retries=False, redirect=False, timeout=_TIMEOUT,
            preload_content=False, decode_content=False,
        )  # fmt: skip
        try:
            found = collect(answer.stream(_PIECE, decode_content=False))
        except BaseException:
            answer.close()
            raise
        finally:
            answer.release_conn()
        if 200 <= answer.status < 300 or answer.status in passes:
            return Said(answer.status, answer.headers, found)
        if answer.status == 401:
            self.tokens.forget()
        raise Refused(read_refusal(answer.status, answer.headers, found))


def _open_pool(place: RemotePlace) -> urllib3.HTTPConnectionPool:
    url = place.endpoint or _SERVICE
    parts = urlsplit(url)
    options: dict[str, object] = {"maxsize": place.concurrency, "retries": False}
    if parts.scheme == "https":
        options["ssl_context"] = _make_context(place)
    proxy = getproxies().get("https", "")
    if proxy and parts.scheme == "https" and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **options).connection_from_url(url)  # type: ignore[arg-type]
    return urllib3.PoolManager(**options).connection_from_url(url)  # type: ignore[arg-type]


def _make_context(place: RemotePlace) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if found := read_certificates(place):
        context.load_verify_locations(cadata=found.decode("ascii"))
    return context
