"""Grants of the token endpoint: a signed assertion (RFC 7523 §2.1), or another issuer's token (RFC 8693 §2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.access.oidc import OidcTokens
from gantry.access.service_accounts import ServiceAccounts
from gantry.access.signed_tokens import read_unverified
from gantry.errors import InvalidArgument, Unauthenticated

ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
_SUBJECTS = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")


class TokenEndpoint:
    """``issuer``: the OpenID Connect issuer whose tokens are accepted, if any."""

    def __init__(self, accounts: ServiceAccounts, issuer: OidcTokens | None = None) -> None:
        self._accounts, self._issuer = accounts, issuer

    def name_account(self, form: Mapping[str, str]) -> str:
        """The issuer and subject that a form claims, not verified, to count failures by; "" without a claim."""
        token = read_unverified(form.get("assertion") or form.get("subject_token", ""))
        return "" if token is None else f"{token.claims.get('iss')} {token.claims.get('sub')}"

    def issue(self, form: Mapping[str, str]) -> dict[str, Any]:
        """An access token, valid for an hour. Raises InvalidArgument for another grant, Unauthenticated."""
        grant = form.get("grant_type", "")
        if grant == ASSERTION:
            return self._accounts.exchange(form.get("assertion", ""))
        if grant == EXCHANGE and self._issuer is not None:
            return self._exchange(self._issuer, form)
        known = ASSERTION if self._issuer is None else f"{ASSERTION} or {EXCHANGE}"
        raise InvalidArgument(f"grant_type must be {known}")

    def _exchange(self, issuer: OidcTokens, form: Mapping[str, str]) -> dict[str, Any]:
        if form.get("subject_token_type") not in _SUBJECTS:
            raise Unauthenticated(f"subject_token_type must be {' or '.join(_SUBJECTS)}")
        who = issuer.authenticate(form.get("subject_token", ""))
        if who is None:
            raise Unauthenticated("the issuer of the subject token is not known to this server")
        return self._accounts.issue_for(who) | {"issued_token_type": ACCESS_TOKEN}
