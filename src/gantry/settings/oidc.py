"""Settings of sign-in and tokens by OpenID Connect."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.languages import N_
from gantry.settings import readers
from gantry.settings.setting import setting


@dataclass(frozen=True)
class OidcSettings:
    """OpenID Connect"""

    oidc_issuer: str = setting(
        "",
        readers.ISSUER,
        N_("OpenID Connect issuer whose tokens are accepted, besides those of this server."),
        '"https://login.example.org/realms/hospital"',
        more="See [access.md](howto/access.md#openid-connect).",
        absent=N_("none"),
        flag=True,
    )
    oidc_audience: str = setting(
        "",
        readers.TEXT,
        N_("Audience that the issuer's tokens must have. Needed with oidc_issuer."),
        '"gantry"',
        absent=N_("none"),
        flag=True,
    )
    oidc_email_claim: str = setting("email", readers.CLAIM, "Claim with the caller's e-mail address.", '"upn"')
    oidc_groups_claim: str = setting("groups", readers.CLAIM, "Claim with the caller's groups.", '"roles"')
    oidc_require_email_verified: bool = setting(
        False, readers.TRUTH, "Refuse tokens without the claim email_verified.", "true"
    )
    oidc_jwks_uri: str = setting(
        "",
        readers.SAFE_URL,
        "Address of the issuer's keys.",
        '"https://login.example.org/keys"',
        absent="from the issuer's discovery document",
    )
    oidc_client_id: str = setting(
        "",
        readers.TEXT,
        "Client id with which browsers sign in at the issuer.",
        '"gantry-console"',
        more="See [access.md](howto/access.md#browsers).",
        absent="none: browsers sign in with a token",
    )
    oidc_client_secret: str = setting(
        "", readers.TEXT, "Client secret, if the client has one.", '"…"', absent="none", secret=True
    )
