"""Tokens of an OpenID Connect issuer: signed by keys that it publishes, for our audience (OIDC Core §2, §10.1).

Keys are fetched when one is asked for that is not known, never more often than every half minute, and again every hour,
so that what the issuer has taken back is not good for ever. While it cannot be reached, the keys known before stay good
for a day.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from gantry.errors import InvalidArgument, Unauthenticated, Unavailable
from gantry.iam.policies import Principal, principal

logger = logging.getLogger(__name__)

LEEWAY = 60
_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
_PAUSE, _FRESH, _STALE = 30.0, 3600.0, 86_400.0  # seconds
_MAX_BYTES, _MAX_GROUPS = 1 << 20, 1000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OPTIONS: Any = {"require": ["exp", "iat", "iss", "aud"]}


class OidcTokens:
    """Safe to use from many threads. Raises InvalidArgument for an issuer without TLS, but on this machine."""

    def __init__(
        self, issuer: str, audience: str, email_claim: str = "email", groups_claim: str = "groups", jwks_uri: str = ""
    ) -> None:
        if not audience:
            raise InvalidArgument(
                "oidc_audience: is needed with oidc_issuer: tokens for others are not for this server"
            )
        require_safe("oidc_issuer", issuer)
        self._issuer, self._audience = issuer, audience
        self._email_claim, self._groups_claim = email_claim, groups_claim
        self._jwks_uri = jwks_uri
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched, self._tried = -_STALE, -_PAUSE
        self._lock = threading.Lock()

    def principal(self, token: str) -> Principal | None:
        """None for a token of somebody else. Raises Unauthenticated, Unavailable where its keys cannot be had."""
        claims = self.claims(token)
        return None if claims is None else self.principal_of(claims)

    def again(self, credential: str) -> Principal | None:
        """What the issuer takes back is not heard of: its tokens are good until they end."""
        return None

    def claims(self, token: str) -> dict[str, Any] | None:
        """What the issuer says in a token. None for one of somebody else. Raises Unauthenticated, Unavailable."""
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        if claimed.get("iss") != self._issuer:
            return None
        key = self._key(str(header.get("kid", "")))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                [key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options=_OPTIONS,
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"the token of {self._issuer} is not good: {error}") from None
        return claims

    def principal_of(self, claims: dict[str, Any]) -> Principal:
        """Whom the claims of a token name. Raises Unauthenticated."""
        email = claims.get(self._email_claim)
        if not isinstance(email, str) or "@" not in email or any(char.isspace() for char in email):
            raise Unauthenticated(f"the token names nobody: its claim {self._email_claim!r} is no e-mail address")
        if claims.get("email_verified") is False:
            raise Unauthenticated("the issuer has not verified the e-mail address of this token")
        groups = claims.get(self._groups_claim) or ()
        listed = groups[:_MAX_GROUPS] if isinstance(groups, list) else ()
        groups = [f"group:{name}" for name in listed if isinstance(name, str)]
        return principal(f"user:{email}", groups, ends=claims["exp"])

    def _key(self, kid: str) -> jwt.PyJWK:
        """Whoever needs a key that is not here waits until keys have been fetched, and nobody else does."""
        age = time.monotonic() - self._fetched
        if kid not in self._keys or age > _STALE:
            with self._lock:
                if kid not in self._keys or time.monotonic() - self._fetched > _STALE:
                    self._refresh()
        elif age > _FRESH and self._lock.acquire(blocking=False):
            threading.Thread(target=self._refresh_behind, daemon=True).start()
        if time.monotonic() - self._fetched > _STALE:
            raise Unavailable(f"the keys of {self._issuer} cannot be had at the moment; try again")
        if (key := self._keys.get(kid)) is None:
            raise Unauthenticated(f"{self._issuer} has no key {kid[:50]!r}")
        return key

    def _refresh_behind(self) -> None:
        try:
            self._refresh()
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._tried < _PAUSE:
            return
        self._tried = now
        try:
            with httpx.Client(timeout=10) as client:
                uri = (
                    self._jwks_uri
                    or json_of(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")["jwks_uri"]
                )
                require_safe("jwks_uri", uri)
                found = json_of(client, uri)["keys"]
            self._keys = {key.key_id: key for key in map(_usable, found) if key is not None and key.key_id}
            self._fetched = now
        except (httpx.HTTPError, httpx.InvalidURL, InvalidArgument, ValueError, KeyError, TypeError) as error:
            logger.error("the keys of %s cannot be fetched: %s", self._issuer, error)


def json_of(client: httpx.Client, url: str, form: dict[str, str] | None = None) -> Any:
    """What an address answers, to a form where there is one. Raises httpx.HTTPError, ValueError."""
    with client.stream("GET" if form is None else "POST", url, data=form) as answer:
        answer.raise_for_status()
        held = b""
        for chunk in answer.iter_bytes():
            held += chunk
            if len(held) > _MAX_BYTES:
                raise ValueError(f"{url} gives more than {_MAX_BYTES} bytes")
    return httpx.Response(200, content=held).json()


def _usable(value: Any) -> jwt.PyJWK | None:
    """None for keys that are shared secrets, or for something else than signing."""
    try:
        key = jwt.PyJWK.from_dict(value)
    except (jwt.PyJWKError, jwt.InvalidKeyError, jwt.exceptions.PyJWTError):
        return None
    usable = key.algorithm_name in _ALGORITHMS and value.get("use", "sig") == "sig"
    return key if usable else None


def require_safe(name: str, url: str) -> None:
    """Raises InvalidArgument."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)) or not parts.hostname:
        raise InvalidArgument(f"{name}: {url[:200]!r} is no https address")
