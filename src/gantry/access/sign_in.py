"""Signing in with a browser at an OpenID Connect issuer: the code flow with PKCE (OIDC Core §3.1, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from gantry.access.fetching import fetch_json
from gantry.access.issuer import Issuer
from gantry.access.oidc import OidcTokens
from gantry.errors import PermissionDenied, Unauthenticated, Unavailable, retry_later
from gantry.iam.policies import Principal

logger = logging.getLogger(__name__)

_SCOPE = "openid email profile"
_MAX_EXCHANGES = 4
"""Codes that are redeemed at a time: each occupies a thread until the issuer answers, and requests have 40."""
_RETRY_SECONDS = 2  # an issuer answers within a second or two

_REASONS = {
    "access_denied": "you or the issuer refused it",
    "unauthorized_client": "this server may not request a sign-in there; see this client's settings at the issuer",
    "invalid_request": "it refuses the request; see this client's settings at the issuer",
    "invalid_request_object": "it refuses the request; see this client's settings at the issuer",
    "unsupported_response_type": "it does not issue codes; see this client's settings at the issuer",
    "invalid_scope": "it does not give e-mail and profile; see this client's settings at the issuer",
    "server_error": "it has an internal error; try again later",
    "temporarily_unavailable": "it is busy; try again later",
    "interaction_required": "it wants to ask you something; sign in there first",
    "login_required": "it wants to ask you something; sign in there first",
    "consent_required": "it wants your consent; give it there first",
    "account_selection_required": "it wants you to choose an account; sign in there first",
}
"""By error code (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6). The issuer's own text goes to the log only: anyone can put a
text into this address."""


class SignInRequest(NamedTuple):
    """What the browser keeps while it is at the issuer, so that only the answer to its own request is accepted."""

    state: str
    nonce: str
    verifier: str


class OidcSignIn:
    """``tokens`` accepts tokens for ``client_id``. Safe to use from many threads."""

    def __init__(self, issuer: Issuer, client_id: str, secret: str, redirect_uri: str, tokens: OidcTokens) -> None:
        self._issuer, self._client_id, self._secret = issuer, client_id, secret
        self._redirect_uri, self._tokens = redirect_uri, tokens
        self._exchanges = threading.BoundedSemaphore(_MAX_EXCHANGES)

    def begin(self) -> tuple[str, SignInRequest]:
        """The address to send the browser to. Raises Unavailable."""
        request = SignInRequest(*(secrets.token_urlsafe(32) for _ in range(3)))
        digest = hashlib.sha256(request.verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPE,
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        address = self._issuer.find_endpoint("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}", request

    def finish(self, request: Sequence[str], query: Mapping[str, str]) -> Principal:
        """The caller that the issuer has sent back. Raises Unauthenticated, Unavailable."""
        request = SignInRequest(*request)
        state = query.get("state", "").encode("utf-8", "surrogateescape")
        if not secrets.compare_digest(request.state.encode("utf-8", "surrogateescape"), state):
            raise Unauthenticated(
                "this answer of the issuer does not belong to a sign-in of this browser; sign in again"
            )
        if "code" not in query:
            raise Unauthenticated(f"the issuer has not signed you in: {_reason(query)}")
        claims = self._tokens.read_claims(self._fetch_id_token(request, query["code"]))
        if claims is None or claims.get("nonce") != request.nonce:
            raise Unauthenticated("the issuer's token is not for this sign-in; sign in again")
        return self._tokens.principal_of(claims)

    def _fetch_id_token(self, request: SignInRequest, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
            "code_verifier": request.verifier,
        }
        if self._secret:
            form["client_secret"] = self._secret
        token = self._redeem(self._issuer.find_endpoint("token_endpoint"), form).get("id_token")
        if not isinstance(token, str):
            raise Unavailable(f"{self._issuer.url} cannot be used at the moment: its answer has no id_token")
        return token

    def _redeem(self, address: str, form: dict[str, str]) -> dict[str, object]:
        busy = Unavailable(f"{self._issuer.url} cannot be reached at the moment; try again")
        if not self._exchanges.acquire(blocking=False):
            raise retry_later(busy, _RETRY_SECONDS)
        try:
            return fetch_json(address, form)
        except PermissionDenied:
            raise Unauthenticated("the issuer refuses the sign-in; sign in again") from None
        except Unavailable:
            raise retry_later(busy, _RETRY_SECONDS) from None
        finally:
            self._exchanges.release()


def _reason(query: Mapping[str, str]) -> str:
    """Why the issuer has sent no code."""
    code = query.get("error", "")
    logger.warning("the issuer has refused a sign-in: %.100r, %.300r", code, query.get("error_description", ""))
    return _REASONS.get(code, "it gives no known reason; the server's log has its answer")
