"""Keys of service accounts in a directory: a file for each key, and one for the secret that signs tokens."""

from __future__ import annotations

import json
import logging
import secrets
from pathlib import Path

from gantry.access.reloading import Stamp, read_stamp
from gantry.durable_files import make_directory, remove_file, replace_file
from gantry.iam.account_keys import AccountKey, KeyRing

logger = logging.getLogger(__name__)

_SECRET = "secret"  # noqa: S105 - the name of a file
_OTHER_SECRETS = f"{_SECRET}-*"
"""Those of servers whose keys were brought together: they sign nothing any more."""


class KeyFiles:
    """Promises: ``index_protocols.keys.KeyStore``; raises OSError where a file cannot be written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: tuple[Stamp | None, KeyRing] = None, KeyRing({}, ())

    def read(self) -> KeyRing:
        """A file that is none of a key is left out; the log says so."""
        stamp = read_stamp(self._directory)
        seen, ring = self._seen
        if stamp is None or stamp != seen:
            ring = KeyRing(self._read_keys(), self._read_secrets())
            self._seen = stamp, ring
        return ring

    def add_key(self, key: AccountKey) -> None:
        kept = {"email": key.email, "public_key": key.public_key, "created": key.created}
        self._write(_name(key.id), json.dumps(kept).encode())

    def remove_key(self, key_id: str) -> bool:
        path = self._directory / _name(key_id)
        if not path.is_file():
            return False
        remove_file(path)
        return True

    def keep_secret(self, secret: bytes) -> None:
        if not (self._directory / _SECRET).exists():
            self._write(_SECRET, secret)

    def replace(self, ring: KeyRing) -> None:
        """The directory has these, and no others."""
        for key in ring.keys.values():
            self.add_key(key)
        wanted = {_name(each) for each in ring.keys}
        for number, secret in enumerate(ring.secrets):
            name = f"{_SECRET}-{number}" if number else _SECRET
            self._write(name, secret)
            wanted.add(name)
        for path in (*self._list("*.json"), *self._list(f"{_SECRET}*")):
            if path.name not in wanted:
                remove_file(path)

    def _list(self, pattern: str) -> list[Path]:
        return sorted(self._directory.glob(pattern)) if self._directory.is_dir() else []

    def _read_keys(self) -> dict[str, AccountKey]:
        keys = {}
        for path in self._list("*.json"):
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
                keys[path.stem] = AccountKey(path.stem, value["email"], value["public_key"], int(value["created"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.error("%s is not a key of a service account: %s", path, error)
        return keys

    def _read_secrets(self) -> tuple[bytes, ...]:
        found = []
        for path in (*self._list(_SECRET), *self._list(_OTHER_SECRETS)):
            try:
                found.append(path.read_bytes())
            except OSError as error:
                logger.error("%s cannot be read: %s", path, error)
        return tuple(found)

    def _write(self, name: str, data: bytes) -> None:
        make_directory(self._directory, 0o700)
        replace_file(self._directory / name, self._directory / f".{name}.{secrets.token_hex(4)}", data, 0o600)


def _name(key_id: str) -> str:
    return f"{key_id}.json"
