"""The port of the keys of service accounts: files of one server, or rows of an index that several share."""

from __future__ import annotations

from typing import Protocol

from gantry.iam.account_keys import AccountKey, KeyRing


class KeyStore(Protocol):
    """Safe to use from many threads, and beside other processes. Each call is durable when it returns; Unavailable says
    that it cannot be done now."""

    def read(self) -> KeyRing:
        """All of it, as it is now."""
        ...

    def add_key(self, key: AccountKey) -> None: ...

    def remove_key(self, key_id: str) -> bool:
        """Whether it was there."""
        ...

    def keep_secret(self, secret: bytes) -> None:
        """It signs from now on, unless there is one already."""
        ...


class KeyIndex(KeyStore, Protocol):
    """Those of an index."""

    def adopt(self, ring: KeyRing) -> None:
        """Add the keys and secrets of a server that had them in files, once: the first of its secrets, which it shares
        with no other server, tells whether that was done. A key that was deleted since does not come back."""
        ...
