"""Tokens of Entra ID for Blob Storage. Each kind is one request, so that no library for it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from gantry.errors import BucketAway, StatusError, Unavailable
from gantry.storage.remote.connections import ask_for_token
from gantry.storage.remote.kept_tokens import KeptToken
from gantry.storage.remote.place import RemotePlace
from gantry.system_errors import describe_os_error

_RESOURCE = "https://storage.azure.com"
_MACHINE = "http://169.254.169.254/metadata/identity/oauth2/token"
_UNSAID = 300.0  # seconds that a token is good for where nobody says it
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for a token."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: str = field(default="", repr=False)


def ask_with_secret(url: str, client: str, secret: str) -> Ask:
    return _ask_application(url, client, {"client_secret": secret})


def ask_with_file(url: str, client: str, path: str) -> Ask:
    """Workload identity: the file holds a token of the cluster, which replaces it from time to time. Raises OSError."""
    token = Path(path).read_text().strip()
    return _ask_application(url, client, {"client_assertion_type": _ASSERTION, "client_assertion": token})


def _ask_application(url: str, client: str, proof: Mapping[str, str]) -> Ask:
    form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{_RESOURCE}/.default", **proof}
    return Ask("POST", url, {"content-type": "application/x-www-form-urlencoded"}, urlencode(form))


def ask_service(url: str, header: str, client: str) -> Ask:
    """The managed identity of an application service."""
    return _ask_identity(url, "2019-08-01", client, {"x-identity-header": header})


def ask_machine(client: str) -> Ask:
    """The managed identity of a virtual machine."""
    return _ask_identity(_MACHINE, "2018-02-01", client, {"metadata": "true"})


def _ask_identity(url: str, version: str, client: str, headers: Mapping[str, str]) -> Ask:
    query = {"api-version": version, "resource": _RESOURCE} | ({"client_id": client} if client else {})
    return Ask("GET", f"{url}?{urlencode(query)}", headers)


class Tokens:
    """The token of one identity, renewed before it ends. Safe to use from many threads."""

    def __init__(self, place: RemotePlace, ask: Callable[[], Ask]) -> None:
        self._place, self._ask = place, ask
        self._kept = KeptToken(self._ask_for_it)

    def get(self) -> str:
        """Raises Unavailable, or BucketAway where the identity is refused."""
        return self._kept.get()

    def _ask_for_it(self) -> tuple[str, float]:
        bucket = f"bucket {self._place.address}"
        try:
            ask = self._ask()
            answer = ask_for_token(self._place, ask.method, ask.url, headers=dict(ask.headers), body=ask.body or None)
        except (OSError, UnicodeDecodeError) as error:
            raise BucketAway(f"{bucket}: the file of the token cannot be read: {describe_os_error(error)}") from None
        except HTTPError:
            raise Unavailable(f"{bucket}: no answer came to the request for a token", advice="try again") from None
        said = _parse(answer.data)
        if answer.status == 200 and said.get("access_token"):
            return str(said["access_token"]), _read_end(said)
        raise _describe_refusal(bucket, answer.status, said)


def _read_end(said: Mapping[str, Any]) -> float:
    """When a token ends. Application services say the moment only, Entra ID the seconds until then."""
    for name, since in (("expires_in", time.time()), ("expires_on", 0.0)):
        text = str(said.get(name, ""))
        if text.isascii() and text.isdecimal():
            return since + float(text)
    return time.time() + _UNSAID


def _parse(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _describe_refusal(bucket: str, status: int, said: Mapping[str, Any]) -> StatusError:
    """Only the code: the sentence of Entra ID holds identifiers of the tenant and of the request."""
    code = str(said.get("error", ""))[:100] or f"HTTP status {status}"
    if status >= 500 or status == 429:
        return Unavailable(f"{bucket}: no token came: {code}", advice="try again")
    return BucketAway(f"{bucket}: the credentials are refused, no token came: {code}", advice="renew them")
