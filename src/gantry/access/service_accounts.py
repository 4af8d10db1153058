"""Service accounts of this server: keys in files as Google's clients read them, and the tokens these get for them.

The server keeps the public half of each key in a file of its own and never sees the private one. A key that is removed
takes its tokens with it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gantry.access.reloading import Reloaded
from gantry.access.signed_tokens import LEEWAY, Claims, read_unverified, verify
from gantry.errors import InvalidArgument, NotFound, Unauthenticated
from gantry.iam.policies import Principal, principal

logger = logging.getLogger(__name__)

LIFETIME = 3600
GOOGLE_TOKEN_URIS = ("https://oauth2.googleapis.com/token", "https://www.googleapis.com/oauth2/v4/token")
"""Clients that know one endpoint alone write these for an audience, whatever ``token_uri`` says."""

_OWN, _KIND = "gantry", "key"
_OWN_ALGORITHM, _KEY_ALGORITHM = "HS256", "RS256"
_NAME, _PROJECT = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]"), re.compile(r"[a-z0-9][a-z0-9.:-]{0,61}")
_KEY_ID = re.compile(r"[0-9a-f]{40}")
_HEALTHCARE = re.compile(r"https://healthcare\.[a-z0-9.-]+/?")


@dataclass(frozen=True, slots=True)
class AccountKey:
    """``public_key`` in PEM. ``created`` is in seconds since 1970."""

    id: str
    email: str
    public_key: str
    created: int


class ServiceAccounts:
    """The keys in a directory. Safe to use from many threads; what another process changes is seen within a second."""

    def __init__(self, directory: Path, audiences: Iterable[str] = ()) -> None:
        self._directory = directory
        self._audiences = frozenset(audiences)
        self._known = Reloaded(directory, self._load)
        self._lock = threading.Lock()
        self._secret = b""

    # Keys -------------------------------------------------------------------------------------------------------------

    def create(self, name: str, project: str, token_uri: str) -> dict[str, Any]:
        """A new key, as the file that clients read; its private half is nowhere else. Raises InvalidArgument."""
        if not _NAME.fullmatch(name) or not _PROJECT.fullmatch(project):
            raise InvalidArgument(f"service account {name!r} of {project!r}: write 2 to 63 of a-z, 0-9 and -")
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        email = f"{name}@{project}.iam.gantry"
        key = AccountKey(secrets.token_hex(20), email, public, int(time.time()))
        kept = {"email": email, "public_key": public, "created": key.created}
        self._write(f"{key.id}.json", json.dumps(kept).encode())
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
        return sorted(self._keys.values(), key=lambda key: (key.email, key.created, key.id))

    def delete(self, key_id: str) -> None:
        """Raises NotFound."""
        if not _KEY_ID.fullmatch(key_id) or not (self._directory / f"{key_id}.json").is_file():
            raise NotFound(f"there is no key {key_id[:50]!r}; gantry service-accounts list shows those there are")
        (self._directory / f"{key_id}.json").unlink()

    @property
    def _keys(self) -> dict[str, AccountKey]:
        return self._known.get()

    def _load(self) -> dict[str, AccountKey]:
        found = {}
        for path in self._directory.glob("*.json") if self._directory.is_dir() else ():
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
                found[path.stem] = AccountKey(path.stem, value["email"], value["public_key"], int(value["created"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.error("%s is no key of a service account: %s", path, error)
        return found

    def _write(self, name: str, data: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._directory / f".{name}.{secrets.token_hex(4)}"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._directory / name)

    # Tokens -----------------------------------------------------------------------------------------------------------

    def exchange(self, assertion: str) -> dict[str, Any]:
        """A token for a signed assertion (RFC 7523 §2.1). Raises Unauthenticated."""
        key, _ = self._signed(assertion, (*GOOGLE_TOKEN_URIS, *self._audiences), required=True)
        return self._token({"sub": f"serviceAccount:{key.email}", "key": key.id})

    def token_of(self, who: Principal) -> dict[str, Any]:
        """A token for somebody whom another issuer has vouched for, with the groups they are in."""
        return self._token({"sub": who.name, "groups": [name for name in who.members if name.startswith("group:")]})

    def _token(self, claims: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        claims = claims | {"iss": _OWN, "aud": _OWN, "iat": now, "exp": now + LIFETIME}
        token = jwt.encode(claims, self._own_secret(), _OWN_ALGORITHM, headers={"kid": _OWN})
        return {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}

    def principal(self, token: str) -> Principal | None:
        """Of a token of ours, or of one that the account has signed itself, as google-auth does.

        None for what is neither. Raises Unauthenticated.
        """
        found = read_unverified(token)
        if found is None:
            return None
        if found.kid == _OWN and found.header.get("alg") == _OWN_ALGORITHM:
            return self._of_ours(token)
        if found.kid not in self._keys:
            return None
        key, claims = self._signed(token, self._audiences, required=False)
        return _of_key(key, claims["exp"])

    def again(self, credential: str) -> Principal | None:
        """Whose key it is that a credential was given for, if it is still there."""
        kind, _, key_id = credential.partition(":")
        key = self._keys.get(key_id) if kind == _KIND else None
        return None if key is None else _of_key(key)

    def _of_ours(self, token: str) -> Principal:
        claims = verify(
            token, self._own_secret(), _OWN_ALGORITHM, required=("exp", "iat", "sub"), audience=_OWN, issuer=_OWN
        )
        if "key" in claims:
            key = self._keys.get(claims["key"])
            if key is None or f"serviceAccount:{key.email}" != claims["sub"]:
                raise Unauthenticated("the key that this token was given for is gone; use another key")
            return _of_key(key, claims["exp"])
        return principal(claims["sub"], claims.get("groups", ()), ends=claims["exp"])

    def _signed(self, token: str, audiences: Iterable[str], required: bool) -> tuple[AccountKey, Claims]:
        """The key whose signature an assertion bears, and what it says. Raises Unauthenticated."""
        found = read_unverified(token)
        if found is None:
            raise Unauthenticated("this is no signed token (RFC 7519)")
        email = str(found.claims.get("iss", ""))
        keys = [key for key in self._keys.values() if key.email == email and found.kid in (None, key.id)]
        if not keys:
            raise Unauthenticated(f"there is no key of service account {email[:100]!r} that could have signed this")
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
            raise Unauthenticated("a service account speaks for itself alone: sub must be the iss")
        if claims["exp"] - claims["iat"] > LIFETIME + LEEWAY:
            raise Unauthenticated(f"a signed token may be good for {LIFETIME} seconds at most")
        audience = claims.get("aud")
        if audience is None and not required:
            return
        named = audience if isinstance(audience, list) else [audience]  # RFC 7519 §4.1.3
        if not any(isinstance(each, str) and self._is_ours(each, audiences, required) for each in named):
            raise Unauthenticated(f"the token is for {str(audience)[:200]!r}, and not for this server")

    def _is_ours(self, audience: str, audiences: frozenset[str], required: bool) -> bool:
        return audience in audiences or (not required and _HEALTHCARE.fullmatch(audience) is not None)

    def _own_secret(self) -> bytes:
        with self._lock:
            if not self._secret:
                path = self._directory / "secret"
                if not path.is_file():
                    self._write("secret", secrets.token_bytes(32))
                self._secret = path.read_bytes()
            return self._secret


def _of_key(key: AccountKey, ends: float = math.inf) -> Principal:
    return principal(f"serviceAccount:{key.email}", credential=f"{_KIND}:{key.id}", ends=ends)
