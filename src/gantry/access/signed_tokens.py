"""The only reader of signed tokens (RFC 7519): reads claims, verifies signature and times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jwt

from gantry.errors import Unauthenticated

LEEWAY = 60
"""Seconds that clocks may differ by."""
MAX_CHARACTERS = 65_536
"""The limit for all headers of a request."""
_LAST_MOMENT = 253_402_300_799  # 9999-12-31T23:59:59Z in seconds since 1970
_MOMENTS = ("exp", "iat", "nbf")
Claims = dict[str, Any]


class Unverified(NamedTuple):
    """Header and claims before verification: only to find the key that must have signed the token."""

    header: dict[str, Any]
    claims: Claims

    @property
    def kid(self) -> str | None:
        return self.header.get("kid")


def read_unverified(token: str) -> Unverified | None:
    """None for text that is not a signed token."""
    if token.count(".") != 2 or len(token) > MAX_CHARACTERS:
        return None
    try:
        token_parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None
    return Unverified(token_parts["header"], token_parts["payload"])


def verify(
    token: str,
    key: Any,
    algorithm: str,
    *,
    required: Sequence[str],
    audience: str | None = None,
    issuer: str | None = None,
) -> Claims:
    """The claims of a token that ``key`` has signed. ``audience`` and ``issuer`` are checked if given.

    Raises Unauthenticated.
    """
    options: Any = {"require": list(required), "verify_aud": audience is not None}
    try:
        claims: Claims = jwt.decode(
            token, key, [algorithm], audience=audience, issuer=issuer, leeway=LEEWAY, options=options
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Unauthenticated(f"the token is not valid: {_reason(error)}") from None
    for name in _MOMENTS:
        if name in claims and not _is_moment(claims[name]):
            raise Unauthenticated(f"the token is not valid: its claim {name} is not a number of seconds since 1970")
    return claims


def _reason(error: Exception) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it has no claim {error.claim}"
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (jwt.ExpiredSignatureError, "it has expired"),
        (jwt.ImmatureSignatureError, "it is not yet valid"),
        (jwt.InvalidAudienceError, "its audience (aud) is not this server"),
        (jwt.InvalidIssuerError, "its issuer (iss) is another"),
        (jwt.InvalidSignatureError, "its signature is wrong"),
        (jwt.InvalidAlgorithmError, "it is signed with another algorithm than that of its key"),
    )
    return next((text for kind, text in reasons if isinstance(error, kind)), "it is malformed")


def _is_moment(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= _LAST_MOMENT
