"""What an OpenID Connect issuer publishes: where its endpoints are, and its keys (OIDC Discovery §4, RFC 7517 §5).

Keys are fetched when a token names an unknown key, at most every half minute, and again every hour, so that keys that
the issuer has withdrawn stop working. While the issuer cannot be reached, its known keys stay valid for a day.
"""

from __future__ import annotations

from typing import Any

import jwt

from gantry.access.addresses import require_safe
from gantry.access.fetching import fetch_json
from gantry.access.refreshing import Refreshed
from gantry.errors import InvalidArgument, Unauthenticated, Unavailable

_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
Keys = dict[str, jwt.PyJWK]


class Issuer:
    """``jwks_uri``: the address of its keys, if not the one in its discovery document.

    Safe to use from many threads. Raises InvalidArgument for an http address that is not of this machine.
    """

    def __init__(self, url: str, jwks_uri: str = "") -> None:
        require_safe("oidc_issuer", url)
        if jwks_uri:
            require_safe("oidc_jwks_uri", jwks_uri)
        self.url, self._jwks_uri = url, jwks_uri
        self._document = Refreshed(url, self._fetch_document)
        self._keys = Refreshed(url, self._fetch_keys)

    def find_key(self, kid: str) -> jwt.PyJWK:
        """Raises Unauthenticated if the issuer has no such key, Unavailable if its keys cannot be fetched."""
        key = self._keys.get(lambda keys: kid in keys).get(kid)
        if key is None:
            raise Unauthenticated(f"{self.url[:200]} has no key {kid[:50]!r}")
        return key

    def find_endpoint(self, name: str) -> str:
        """The address of ``authorization_endpoint`` or ``token_endpoint``. Raises Unavailable."""
        address = self._document.get().get(name)
        try:
            require_safe(name, str(address))
        except InvalidArgument:
            raise Unavailable(f"{self.url[:200]} cannot be used: it names no https address as {name}") from None
        return str(address)

    def _fetch_document(self) -> dict[str, Any]:
        """Raises Unavailable, also for the document of another issuer (OIDC Discovery §4.3): equal in every letter."""
        address = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        document = fetch_json(address)
        if document.get("issuer") != self.url:
            raise Unavailable(
                f"{address[:200]} names the issuer {str(document.get('issuer'))[:200]!r}, but oidc_issuer is "
                f"{self.url[:200]!r}; set oidc_issuer to the issuer's own name, letter by letter"
            )
        return document

    def _fetch_keys(self) -> Keys:
        uri = self._jwks_uri or str(self._fetch_document().get("jwks_uri"))
        require_safe("jwks_uri", uri)
        listed = fetch_json(uri).get("keys")
        if not isinstance(listed, list):
            raise Unavailable(f"{uri[:200]} does not answer with a list of keys")
        usable = [key for key in map(_read_key, listed) if key is not None]
        return {key.key_id: key for key in usable if isinstance(key.key_id, str) and key.key_id}


def _read_key(value: Any) -> jwt.PyJWK | None:
    """None for shared secrets, and for keys with another use than signing."""
    if not isinstance(value, dict) or value.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(value)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key if key.algorithm_name in _ALGORITHMS else None
