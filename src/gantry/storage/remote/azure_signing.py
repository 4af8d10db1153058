"""How a request of Blob Storage shows who sends it: a key of the account, a SAS token, or a token of Entra ID."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
"""In this order ("Authorize with Shared Key", Azure Storage REST reference)."""
Query = Mapping[str, str]


class Access(Protocol):
    """``identity`` is what an error calls it."""

    @property
    def identity(self) -> str: ...

    def sign(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> tuple[Query, Mapping[str, str]]:
        """What is added to query and headers. ``path`` is as it is sent."""
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    identity: str = "without credentials"

    def sign(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> tuple[Query, Mapping[str, str]]:
        return {}, {}


class SharedKey:
    """Raises ValueError where the key is no Base64."""

    def __init__(self, account: str, key: str) -> None:
        self.identity = f"with a key of account {account}"
        self._account, self._key = account, base64.b64decode(key, validate=True)

    def sign(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> tuple[Query, Mapping[str, str]]:
        text = describe_request(self._account, method, path, query, headers)
        digest = hmac.digest(self._key, text.encode(), hashlib.sha256)
        return {}, {"authorization": f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"}


def describe_request(account: str, method: str, path: str, query: Query, headers: Mapping[str, str]) -> str:
    """The text that is signed. Names of ``headers`` are in small letters."""
    lines = [method, *(headers.get(name, "") for name in _SIGNED)]
    lines += [f"{name}:{text}" for name, text in sorted(headers.items()) if name.startswith("x-ms-")]
    lines.append(f"/{account}{path}")
    lines += [f"{name}:{text}" for name, text in sorted(query.items())]
    return "\n".join(lines)


class Sas:
    """Raises ValueError for what has no signature, or is a whole address: such requests would be anonymous."""

    def __init__(self, account: str, token: str) -> None:
        self.identity = f"with a SAS token of account {account}"
        self._query = dict(parse_qsl(token.removeprefix("?").replace("+", "%2B")))  # a signature may hold it
        if "sig" not in self._query or "://" in token:
            raise ValueError

    def sign(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> tuple[Query, Mapping[str, str]]:
        return self._query, {}


@dataclass(frozen=True, slots=True)
class Bearer:
    """``get_token`` gives a token that is valid now."""

    identity: str
    get_token: Callable[[], str]

    def sign(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> tuple[Query, Mapping[str, str]]:
        return {}, {"authorization": f"Bearer {self.get_token()}"}
