"""Wiring of access: from settings to what authenticates callers, and to the keys of service accounts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gantry.access.tokens import StaticTokens
from gantry.api.access import Access, Verifier
from gantry.api.attempts import FailedAttempts
from gantry.api.forwarded import Proxies
from gantry.api.grants import read_grants
from gantry.api.sessions import CALLBACK, Sessions
from gantry.errors import FailedPrecondition
from gantry.iam.policies import Binding, Policy, check_bindings
from gantry.iam.roles import Roles
from gantry.index_protocols import Index
from gantry.index_protocols.keys import KeyStore
from gantry.key_wiring import LateKeys, make_key_files, open_keys
from gantry.settings.groups import SQLITE
from gantry.settings.loading import Settings

if TYPE_CHECKING:
    from gantry.access.issuer import Issuer
    from gantry.access.oidc import OidcTokens
    from gantry.access.service_accounts import ServiceAccounts
    from gantry.access.sign_in import OidcSignIn

logger = logging.getLogger(__name__)


def open_access(settings: Settings) -> Access | None:
    """How callers are authenticated; None where they are not. Raises InvalidArgument."""
    if settings.auth == "none":
        return None
    if not settings.admins:
        logger.warning("no admins are set: unless policies are stored already, no call is permitted")
    admins = check_bindings([Binding("roles/owner", settings.admins)], roles := Roles(settings.custom_roles))
    above = read_grants(Policy(admins))
    sessions = Sessions(settings.url, settings.allowed_origins)
    attempts = FailedAttempts(settings.failed_sign_ins_per_minute, Proxies(settings.trusted_proxies).client)
    verifiers: list[Verifier] = [StaticTokens(settings.tokens_file)] if settings.tokens_file else []
    try:
        store, begin = _choose_keys(settings)
        accounts = _make_service_accounts(store, settings.url)
    except FailedPrecondition:
        if settings.oidc_issuer or not verifiers:
            raise
        return Access(verifiers, sessions, attempts, roles, above, session_hours=settings.session_hours)
    from gantry.access.endpoint import TokenEndpoint

    issuer = _make_issuer(settings) if settings.oidc_issuer else None
    tokens = _make_oidc_tokens(settings, issuer, settings.oidc_audience) if issuer is not None else None
    verifiers += [accounts, *([tokens] if tokens is not None else [])]
    return Access(
        verifiers,
        sessions,
        attempts,
        roles,
        above,
        TokenEndpoint(accounts, tokens),
        _make_sign_in(settings, issuer) if issuer is not None and settings.oidc_client_id else None,
        settings.session_hours,
        begin=begin,
    )


def _choose_keys(settings: Settings) -> tuple[KeyStore, Callable[[Index], None]]:
    """The keys of a server, and what is to be done once its index is open."""
    data = Path(settings.data).absolute()
    if settings.database == SQLITE:
        return make_key_files(data), lambda index: None
    late = LateKeys(data)
    return late, late.begin


def _make_issuer(settings: Settings) -> Issuer:
    from gantry.access.issuer import Issuer

    return Issuer(settings.oidc_issuer, settings.oidc_jwks_uri)


def _make_sign_in(settings: Settings, issuer: Issuer) -> OidcSignIn:
    from gantry.access.sign_in import OidcSignIn

    tokens = _make_oidc_tokens(settings, issuer, settings.oidc_client_id)  # an ID token's audience is the client
    redirect = f"{settings.url}{CALLBACK}"
    return OidcSignIn(issuer, settings.oidc_client_id, settings.oidc_client_secret, redirect, tokens)


def _make_oidc_tokens(settings: Settings, issuer: Issuer, audience: str) -> OidcTokens:
    from gantry.access.oidc import ClaimNames, OidcTokens

    names = ClaimNames(settings.oidc_email_claim, settings.oidc_groups_claim, settings.oidc_require_email_verified)
    return OidcTokens(issuer, audience, names)


@contextmanager
def open_service_accounts(settings: Settings) -> Iterator[ServiceAccounts]:
    """Those of the servers with these settings, which may run meanwhile. Raises FailedPrecondition."""
    with open_keys(settings) as keys:
        yield _make_service_accounts(keys)


def _make_service_accounts(keys: KeyStore, url: str = "") -> ServiceAccounts:
    """Raises FailedPrecondition where the libraries for it are not installed."""
    try:
        from gantry.access.service_accounts import ServiceAccounts
    except ImportError:
        raise FailedPrecondition(
            "service accounts and OpenID Connect need a library: pip install 'gantry-dicom[auth]'"
        ) from None
    return ServiceAccounts(keys, (url, f"{url}/", f"{url}/token") if url else ())
