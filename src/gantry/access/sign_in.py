"""Signing in with a browser at an OpenID Connect issuer: the code flow with PKCE (OIDC Core §3.1, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx

from gantry.access.oidc import OidcTokens, json_of, require_safe
from gantry.errors import InvalidArgument, Unauthenticated, Unavailable
from gantry.iam.policies import Principal

_FRESH = 3600.0  # seconds
_SCOPE = "openid email profile"


class Asked(NamedTuple):
    """What the browser keeps while it is at the issuer, so that nobody else's answer is taken for its own."""

    state: str
    nonce: str
    verifier: str


class OidcSignIn:
    """``tokens`` are good for ``client_id``. Safe to use from many threads."""

    def __init__(self, issuer: str, client_id: str, secret: str, redirect_uri: str, tokens: OidcTokens) -> None:
        self._issuer, self._client_id, self._secret = issuer, client_id, secret
        self._redirect_uri, self._tokens = redirect_uri, tokens
        self._lock = threading.Lock()
        self._found: dict[str, Any] = {}
        self._fetched = -_FRESH

    def begin(self) -> tuple[str, Asked]:
        """The address to send the browser to. Raises Unavailable."""
        asked = Asked(*(secrets.token_urlsafe(32) for _ in range(3)))
        digest = hashlib.sha256(asked.verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPE,
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        address = self._address("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}", asked

    def finish(self, asked: Sequence[str], query: Mapping[str, str]) -> Principal:
        """Who has come back from the issuer. Raises Unauthenticated, Unavailable."""
        asked = Asked(*asked)
        if not secrets.compare_digest(asked.state.encode(), query.get("state", "").encode()):
            raise Unauthenticated("this answer of the issuer is not to what this browser asked; sign in again")
        if "code" not in query:
            said = query.get("error_description") or query.get("error") or "no code"
            raise Unauthenticated(f"the issuer has not signed you in: {said[:300]}")
        claims = self._tokens.claims(self._id_token(asked, query["code"]))
        if claims is None or claims.get("nonce") != asked.nonce:
            raise Unauthenticated("the issuer's token is not for this sign-in; sign in again")
        return self._tokens.principal_of(claims)

    def _id_token(self, asked: Asked, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
            "code_verifier": asked.verifier,
        }
        if self._secret:
            form["client_secret"] = self._secret
        try:
            with httpx.Client(timeout=10) as client:
                return str(json_of(client, self._address("token_endpoint"), form)["id_token"])
        except httpx.HTTPStatusError as error:
            raise Unauthenticated(f"the issuer refuses the sign-in: {error.response.status_code}") from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            raise Unavailable(f"{self._issuer} cannot be asked at the moment; try again") from None

    def _address(self, name: str) -> str:
        """Of one of the issuer's endpoints (OIDC Discovery §4). Raises Unavailable."""
        with self._lock:
            if time.monotonic() - self._fetched >= _FRESH:
                try:
                    with httpx.Client(timeout=10) as client:
                        found = json_of(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                    for each in ("authorization_endpoint", "token_endpoint"):
                        require_safe(each, str(found[each]))
                    self._found, self._fetched = found, time.monotonic()
                except (httpx.HTTPError, httpx.InvalidURL, InvalidArgument, ValueError, KeyError, TypeError) as error:
                    raise Unavailable(f"{self._issuer} cannot be asked at the moment: {error}") from None
            return str(self._found[name])
