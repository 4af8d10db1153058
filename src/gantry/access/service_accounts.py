"""Service accounts of this server: key files in the format of Google's clients, and the tokens given for them.

The server keeps the public half of each key and never stores the private one. When a key is deleted, the tokens given
for it stop working. Servers that share their keys give tokens that are valid at each of them.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gantry.access.reloading import Recent
from gantry.access.signed_tokens import LEEWAY, Claims, read_unverified, verify
from gantry.errors import InvalidArgument, NotFound, Unauthenticated, Unavailable
from gantry.iam.account_keys import AccountKey, KeyRing
from gantry.iam.policies import Principal, principal
from gantry.index_protocols.keys import KeyStore

Made = TypeVar("Made")

LIFETIME = 3600  # seconds, as Google's access tokens
GOOGLE_TOKEN_URIS = ("https://oauth2.googleapis.com/token", "https://www.googleapis.com/oauth2/v4/token")
"""Some clients always write one of these as the audience, whatever ``token_uri`` says."""

_OWN, _KIND = "gantry", "key"
_OWN_ALGORITHM, _KEY_ALGORITHM = "HS256", "RS256"
_NAME, _PROJECT = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]"), re.compile(r"[a-z0-9][a-z0-9.:-]{0,62}")
_KEY_ID = re.compile(r"[0-9a-f]{40}")
_HEALTHCARE = re.compile(r"https://healthcare\.[a-z0-9.-]+/?")


class ServiceAccounts:
    """The keys in a store. Safe to use from many threads; changes by other processes count within a second, and a new
    key at once."""

    def __init__(self, store: KeyStore, audiences: Iterable[str] = ()) -> None:
        self._store = store
        self._audiences = frozenset(audiences)
        self._known = Recent(store.read)

    # Keys -------------------------------------------------------------------------------------------------------------

    def create(self, name: str, project: str, token_uri: str) -> dict[str, Any]:
        """Create a key and return the key file; the private half is stored nowhere else. Raises InvalidArgument."""
        if not _NAME.fullmatch(name) or not _PROJECT.fullmatch(project):
            raise InvalidArgument(f"service account {name!r} of {project!r}: write 2 to 63 of a-z, 0-9 and -")
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        email = f"{name}@{project}.iam.gantry"
        key = AccountKey(secrets.token_hex(20), email, public, int(time.time()))
        self._store.add_key(key)
        self._known.forget()
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": key.id,
            "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": email,
            "client_id": str(int(key.id[:15], 16)),
            "auth_uri": token_uri.removesuffix("/token") + "/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def list(self) -> list[AccountKey]:
        return sorted(self._known.get().keys.values(), key=lambda key: (key.email, key.created, key.id))

    def delete(self, key_id: str) -> None:
        """The key is good for nothing from now on, also after a crash of the system. Raises NotFound."""
        if not _KEY_ID.fullmatch(key_id) or not self._store.remove_key(key_id):
            raise NotFound(f"there is no key {key_id[:50]!r}; gantry service-accounts list shows all keys")
        self._known.forget()

    def _find_key(self, key_id: Any) -> AccountKey | None:
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            return None  # of another issuer
        return self._known.get().keys.get(key_id) or self._known.look_again().keys.get(key_id)

    def _with_keys(self, use: Callable[[KeyRing], Made]) -> Made:
        """Use the keys that are known, and those that there are by now where these do not suffice: the key may be new,
        or the token by another server. Raises Unauthenticated."""
        known = self._known.get()
        try:
            return use(known)
        except Unauthenticated:
            newer = self._known.look_again()
            if newer == known:
                raise
        return use(newer)

    # Tokens -----------------------------------------------------------------------------------------------------------

    def exchange(self, assertion: str) -> dict[str, Any]:
        """A token for a signed assertion (RFC 7523 §2.1). Raises Unauthenticated."""
        audiences = (*GOOGLE_TOKEN_URIS, *self._audiences)
        key, _ = self._with_keys(lambda ring: self._verify_assertion(ring, assertion, audiences, required=True))
        return self._make_token({"sub": f"serviceAccount:{key.email}", "key": key.id})

    def issue_for(self, who: Principal) -> dict[str, Any]:
        """A token for a caller whom another issuer has authenticated, with their groups."""
        return self._make_token(
            {"sub": who.name, "groups": [name for name in who.members if name.startswith("group:")]}
        )

    def _make_token(self, claims: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        claims = claims | {"iss": _OWN, "aud": _OWN, "iat": now, "exp": now + LIFETIME}
        token = jwt.encode(claims, self._signing_secret(), _OWN_ALGORITHM, headers={"kid": _OWN})
        return {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}

    def authenticate(self, token: str) -> Principal | None:
        """The caller, by a token of this server or one that the account has signed itself, as google-auth does.

        None for any other token. Raises Unauthenticated.
        """
        unverified = read_unverified(token)
        if unverified is None:
            return None
        if unverified.kid == _OWN and unverified.header.get("alg") == _OWN_ALGORITHM:
            return self._with_keys(lambda ring: _verify_own(ring, token))
        if self._find_key(unverified.kid) is None:
            return None
        key, claims = self._with_keys(lambda ring: self._verify_assertion(ring, token, self._audiences, required=False))
        return _of_key(key, claims["exp"])

    def recheck(self, credential: str) -> Principal | None:
        """The account of a credential's key, if the key still exists."""
        kind, _, key_id = credential.partition(":")
        key = self._find_key(key_id) if kind == _KIND else None
        return None if key is None else _of_key(key)

    def _verify_assertion(
        self, ring: KeyRing, token: str, audiences: Iterable[str], required: bool
    ) -> tuple[AccountKey, Claims]:
        """The key that has signed an assertion, and its claims. Raises Unauthenticated."""
        unverified = read_unverified(token)
        if unverified is None:
            raise Unauthenticated("this is not a signed token (RFC 7519)")
        email = str(unverified.claims.get("iss", ""))
        keys = [key for key in ring.keys.values() if key.email == email and unverified.kid in (None, key.id)]
        if not keys:
            raise Unauthenticated(f"service account {email[:100]!r} has no key that could have signed this token")
        failure = Unauthenticated("")
        for key in keys:
            try:
                claims = verify(token, key.public_key, _KEY_ALGORITHM, required=("exp", "iat", "iss"))
                self._check(claims, frozenset(audiences), required)
                return key, claims
            except Unauthenticated as error:
                failure = error
        raise failure

    def _check(self, claims: Claims, audiences: frozenset[str], required: bool) -> None:
        if claims.get("sub", claims["iss"]) != claims["iss"]:
            raise Unauthenticated("a service account can sign tokens for itself only: sub must equal iss")
        if claims["exp"] - claims["iat"] > LIFETIME + LEEWAY:
            raise Unauthenticated(f"a signed token may be valid for {LIFETIME} seconds at most")
        audience = claims.get("aud")
        if audience is None and not required:
            return
        named = audience if isinstance(audience, list) else [audience]  # RFC 7519 §4.1.3
        if not any(isinstance(each, str) and self._is_ours(each, audiences, required) for each in named):
            raise Unauthenticated(f"the token is for {str(audience)[:200]!r}, not for this server")

    def _is_ours(self, audience: str, audiences: frozenset[str], required: bool) -> bool:
        return audience in audiences or (not required and _HEALTHCARE.fullmatch(audience) is not None)

    def _signing_secret(self) -> bytes:
        if not self._known.get().secrets:
            self._store.keep_secret(secrets.token_bytes(32))
            self._known.forget()
        if not (found := self._known.get().secrets):
            raise Unavailable("this server gives no tokens: its secret cannot be read; the server's log has the reason")
        return found[0]


def _verify_own(ring: KeyRing, token: str) -> Principal:
    claims = _read_own(ring, token)
    if "key" in claims:
        key = ring.keys.get(claims["key"])
        if key is None or f"serviceAccount:{key.email}" != claims["sub"]:
            raise Unauthenticated("the key that this token was given for has been deleted; use another key")
        return _of_key(key, claims["exp"])
    return principal(claims["sub"], claims.get("groups", ()), ends=claims["exp"])


def _read_own(ring: KeyRing, token: str) -> Claims:
    """The claims of a token that one of our secrets has signed. Raises Unauthenticated."""
    failure = Unauthenticated("this server has given no tokens yet")
    for secret in reversed(ring.secrets):  # what is wrong is said by the one that signs
        try:
            return verify(token, secret, _OWN_ALGORITHM, required=("exp", "iat", "sub"), audience=_OWN, issuer=_OWN)
        except Unauthenticated as error:
            failure = error
    raise failure


def _of_key(key: AccountKey, ends: float = math.inf) -> Principal:
    return principal(f"serviceAccount:{key.email}", credential=f"{_KIND}:{key.id}", ends=ends)
