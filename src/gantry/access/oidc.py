"""Tokens of an OpenID Connect issuer: signed by keys that it publishes, for our audience (OIDC Core §2, §10.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gantry.access.issuer import Issuer
from gantry.access.signed_tokens import Claims, read_unverified, verify
from gantry.errors import InvalidArgument, Unauthenticated
from gantry.iam.policies import Principal, principal

_REQUIRED = ("exp", "iat", "iss", "aud")
_MAX_EMAIL, _MAX_GROUPS, _MAX_GROUP = 320, 1000, 500  # characters of an address by RFC 3696, groups, characters


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The claims that identify a caller. ``require_verified``: a token without ``email_verified`` is refused."""

    email: str = "email"
    groups: str = "groups"
    require_verified: bool = False


class OidcTokens:
    """Tokens of ``issuer`` for ``audience``. Safe to use from many threads. Raises InvalidArgument."""

    def __init__(self, issuer: Issuer, audience: str, names: ClaimNames | None = None) -> None:
        if not audience:
            raise InvalidArgument("oidc_audience: is needed with oidc_issuer: tokens for other audiences are refused")
        self._issuer, self._audience = issuer, audience
        self._names = names or ClaimNames()

    def authenticate(self, token: str) -> Principal | None:
        """None for a token of another issuer. Raises Unauthenticated; Unavailable without the issuer's keys."""
        claims = self.read_claims(token)
        return None if claims is None else self.principal_of(claims)

    def recheck(self, credential: str) -> Principal | None:
        """None: the issuer does not report withdrawn tokens, so they are valid until they expire."""
        return None

    def read_claims(self, token: str) -> Claims | None:
        """The claims of a verified token. None for a token of another issuer. Raises Unauthenticated, Unavailable."""
        unverified = read_unverified(token)
        if unverified is None or unverified.claims.get("iss") != self._issuer.url:
            return None
        key = self._issuer.find_key(unverified.kid or "")
        return verify(
            token,
            key.key,
            str(key.algorithm_name),
            required=_REQUIRED,
            audience=self._audience,
            issuer=self._issuer.url,
        )

    def principal_of(self, claims: Claims) -> Principal:
        """The caller whom the claims of a verified token name. Raises Unauthenticated."""
        email = claims.get(self._names.email)
        if not _is_address(email):
            raise Unauthenticated(f"the token names nobody: its claim {self._names.email!r} is not an e-mail address")
        self._require_verified(claims)
        return principal(f"user:{email}", _groups(claims.get(self._names.groups)), ends=claims["exp"])

    def _require_verified(self, claims: Claims) -> None:
        """Some issuers write the claim as a string, and many omit it (optional in OIDC Core §5.1)."""
        missing = "email_verified" not in claims
        if missing and self._names.require_verified:
            raise Unauthenticated(
                "the issuer does not say that the e-mail address of this token is verified (email_verified)"
            )
        if not missing and claims["email_verified"] is not True and claims["email_verified"] != "true":
            raise Unauthenticated("the issuer has not verified the e-mail address of this token (email_verified)")


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and "@" in value and len(value) <= _MAX_EMAIL and _is_plain(value)


def _groups(value: Any) -> list[str]:
    listed = value[:_MAX_GROUPS] if isinstance(value, list) else ()
    return [f"group:{name}" for name in listed if isinstance(name, str) and len(name) <= _MAX_GROUP]


def _is_plain(text: str) -> bool:
    return text.isprintable() and not any(char.isspace() for char in text)
