"""One POST to who takes messages: limited in time and size, redirects are not followed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import NamedTuple

import httpx

from gantry.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.request_deadlines import bound, within
from gantry.system_errors import describe_os_error

_SILENCE_SECONDS, _MOST_SECONDS = 10.0, 30.0
_MOST_BYTES = 1 << 20  # of an answer: that to 1,000 messages has some 20 kB

logging.getLogger("httpx").setLevel(logging.WARNING)  # else it writes a line, with the address, for each request


class Answer(NamedTuple):
    status: int
    body: bytes


class Requests:
    """Over connections that are kept, by way of the proxy of the environment. Safe to use from many threads."""

    def __init__(self, ca_file: str) -> None:
        """Raises FailedPrecondition where the file cannot be read."""
        self._client = httpx.Client(
            timeout=_SILENCE_SECONDS, follow_redirects=False, verify=_make_context(ca_file), http2=False
        )
        bound(self._client)
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # else all would be kept

    def post(self, name: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises Unavailable, which names ``name`` and no address."""
        held = bytearray()
        sent = {"accept-encoding": "identity", "content-type": "application/json", **headers}
        try:
            with within(_MOST_SECONDS), self._client.stream("POST", url, content=body, headers=sent) as answer:
                for piece in answer.iter_raw():
                    held += piece
                    if len(held) > _MOST_BYTES:
                        raise Unavailable(f"{name} answers with too much")
                return Answer(answer.status_code, bytes(held))
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Unavailable(f"{name} does not answer") from None


@lru_cache(8)
def _make_context(ca_file: str) -> ssl.SSLContext:
    """Loading the authorities takes longer than most answers."""
    context = httpx.create_ssl_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            why = "has no certificate" if isinstance(error, ssl.SSLError) else describe_os_error(error)
            raise FailedPrecondition(f"topics: the ca_file cannot be read: {why}") from None
    return context


def make_error(name: str, status: int, said: str = "") -> StatusError:
    """What a refusal with an HTTP status means. ``said`` is the other side's own sentence."""
    kind: type[StatusError] = {400: InvalidArgument, 413: InvalidArgument, 404: NotFound, 410: NotFound}.get(
        status, PermissionDenied if status in (401, 403) else ResourceExhausted if status == 429 else Unavailable
    )
    return kind(f"{name} answers with status {status}" + (f": {said}" if said else ""))
