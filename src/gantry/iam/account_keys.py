"""Keys of service accounts, and the secrets that sign the tokens of the servers that share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class AccountKey:
    """``public_key`` in PEM. ``created`` is in seconds since 1970."""

    id: str
    email: str
    public_key: str
    created: int


class KeyRing(NamedTuple):
    """``keys`` by id. The first of ``secrets`` signs; tokens of all of them are valid."""

    keys: Mapping[str, AccountKey]
    secrets: tuple[bytes, ...]
