"""JSON of an OpenID Connect issuer: one request, limited in time and size. Redirects are not followed."""

from __future__ import annotations

import json
import ssl
from functools import cache
from typing import Any

import httpx

from gantry.errors import PermissionDenied, Unavailable
from gantry.request_deadlines import bound, within

MAX_BYTES = 1 << 20
"""Documents and key sets of large issuers have some 10 kB."""
MAX_SECONDS = 10.0  # a whole answer; issuers answer in well under a second
_SILENCE_SECONDS = 5.0  # without a byte


def fetch_json(url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object at ``url``: of a POST where ``form`` is given, else of a GET.

    Raises PermissionDenied for a status of 4xx, Unavailable for any other answer that is not a JSON object.
    """
    try:
        with httpx.Client(timeout=_SILENCE_SECONDS, follow_redirects=False, verify=_certificates()) as client:
            bound(client)
            with within(MAX_SECONDS):
                value = json.loads(_read(client, url, form))
    except httpx.TimeoutException:
        raise Unavailable(f"{url[:200]} does not answer, or takes longer than {MAX_SECONDS:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise Unavailable(f"{url[:200]} does not answer") from None
    except (ValueError, RecursionError):
        raise Unavailable(f"{url[:200]} does not answer with JSON") from None
    if not isinstance(value, dict):
        raise Unavailable(f"{url[:200]} does not answer with a JSON object")
    return value


@cache
def _certificates() -> ssl.SSLContext:
    """The trusted authorities. Cached: loading them takes longer than most answers."""
    return httpx.create_ssl_context()


def _read(client: httpx.Client, url: str, form: dict[str, str] | None) -> bytes:
    """The body. Compressed answers are not requested: a few bytes can inflate to any size."""
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    held = bytearray()
    with client.stream("GET" if form is None else "POST", url, data=form, headers=headers) as answer:
        if 400 <= answer.status_code < 500:
            raise PermissionDenied(f"{url[:200]} answers with status {answer.status_code}")
        if answer.status_code != 200:
            raise Unavailable(f"{url[:200]} answers with status {answer.status_code}")
        for chunk in answer.iter_raw():
            held += chunk
            if len(held) > MAX_BYTES:
                raise Unavailable(f"{url[:200]} answers with more than {MAX_BYTES} bytes")
    return bytes(held)
