"""Requests of our own clients (Google, Azure): over connections that are kept, to one server and to no other."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import urllib3

from gantry.storage.remote.certificates import read_certificates
from gantry.storage.remote.collecting import collect
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.proxies import open_pools

_TIMEOUT = urllib3.Timeout(connect=10, read=30)
"""Of silence, not of the whole answer; less than a worker may be silent (``beats.CALL_SECONDS``)."""
MOST_BYTES = 64 << 20
"""Of an answer that is not the bytes of an object. The longest, a page of a listing, has a few megabytes."""
_LEAST_BYTES = 64 << 10  # that an answer may have, whatever was asked for: it may be an error
_PIECE = 1 << 20
"""Bytes: what came before a connection was cut is kept in such pieces, and each that is sent has its own time: the time
of a socket is for all bytes of one ``sendall``."""

# Its warnings have whole addresses, with the tokens in them.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class Answer(NamedTuple):
    """Names of ``headers`` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def begins_at(self, offset: int) -> bool:
        """Whether its bytes are those from there on: what stands before a server may not know ranges, and a whole
        object that is cut off is as long as any part."""
        if self.status == 206:
            return self.headers.get("content-range", "").startswith(f"bytes {offset}-")
        return not offset


class Connections:
    """Safe to use from many threads. ``retrying`` tries again, not this."""

    def __init__(self, place: RemotePlace, origin: str) -> None:
        """``origin`` is scheme, host and port. Makes no request. Raises FailedPrecondition where the file of
        certificates cannot be read, or the proxy is none."""
        is_plain = urlsplit(origin).scheme == "http"
        options: dict[str, Any] = {} if is_plain else {"ssl_context": _make_context(place)}
        pools = open_pools(origin, maxsize=place.concurrency, retries=False, **options)
        self._pool = pools.connection_from_url(origin)
        # A proxy of plain HTTP needs the whole address.
        self._before = origin if is_plain and isinstance(pools, urllib3.ProxyManager) else ""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, most: int = MOST_BYTES
    ) -> Answer:
        """Raises urllib3's exceptions. Of an answer that is longer than ``most`` bytes only its beginning is read."""
        most = max(most, _LEAST_BYTES)
        sent = {**headers, "content-length": str(len(body))} if body else headers
        pieces = _cut(body) if body else None
        got = self._pool.urlopen(
            method, f"{self._before}{target}", body=pieces, headers=sent, retries=False, redirect=False,
            assert_same_host=not self._before, timeout=_TIMEOUT, preload_content=False, decode_content=False,
        )  # fmt: skip
        try:
            found = collect(got.stream(_PIECE, decode_content=False), most)
        except BaseException:
            got.close()
            raise
        else:
            if len(found) > most:
                got.close()  # what is left would be taken for the next answer
        finally:
            got.release_conn()
        return Answer(got.status, got.headers, found)


def _cut(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))


def _make_context(place: RemotePlace) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if found := read_certificates(place):
        context.load_verify_locations(cadata=found.decode("ascii"))
    return context


def ask_for_token(place: RemotePlace, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
    """One request to who gives tokens for a bucket; what its ``ca_file`` trusts is trusted here too: a firewall that
    looks into TLS stands before both. Raises urllib3's exceptions, and FailedPrecondition where the proxy is none, or
    the file cannot be read. Metadata services, which are asked without TLS, are never behind a proxy."""
    options: dict[str, Any] = {"retries": False, "timeout": _TIMEOUT}
    is_plain = not url.startswith("https:")
    pool = urllib3.PoolManager(**options) if is_plain else open_pools(url, ssl_context=_make_context(place), **options)
    with pool as pools:
        return pools.request(method, url, **{**more, "redirect": False})
