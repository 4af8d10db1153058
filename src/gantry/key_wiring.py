"""Where the keys of service accounts are: in files of the data directory, or, with an index in PostgreSQL, in its rows,
which all servers that use it have in common."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gantry.access.key_files import KeyFiles
from gantry.durable_files import sync_directory
from gantry.errors import FailedPrecondition
from gantry.iam.account_keys import AccountKey, KeyRing
from gantry.index_protocols import Index
from gantry.index_protocols.keys import KeyIndex, KeyStore
from gantry.index_wiring import IndexPlace
from gantry.settings.loading import Settings
from gantry.system_errors import describe_os_error

KEYS = "service-accounts"
_MOVED = f"{KEYS}.moved"
"""Keys that are rows of PostgreSQL now; nobody reads these files any more."""


class LateKeys:
    """Those of an index that is opened only after all settings were checked."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._keys: KeyIndex | None = None

    def begin(self, index: Index) -> None:
        """Raises FailedPrecondition."""
        _adopt(self._data, index.keys)
        self._keys = index.keys

    def read(self) -> KeyRing:
        return self._begun.read()

    def add_key(self, key: AccountKey) -> None:
        self._begun.add_key(key)

    def remove_key(self, key_id: str) -> bool:
        return self._begun.remove_key(key_id)

    def keep_secret(self, secret: bytes) -> None:
        self._begun.keep_secret(secret)

    @property
    def _begun(self) -> KeyIndex:
        if self._keys is None:
            raise FailedPrecondition("the index is not open yet")
        return self._keys


def make_key_files(data: Path) -> KeyFiles:
    """Those of a data directory."""
    return KeyFiles(data / KEYS)


@contextmanager
def open_keys(settings: Settings) -> Iterator[KeyStore]:
    """Beside the servers that use them. Raises FailedPrecondition."""
    data = Path(settings.data).absolute()
    place = IndexPlace(data, settings.database)
    place.require()
    if not place.is_server:
        yield make_key_files(data)
        return
    with closing(place.open_keys()) as keys:
        _adopt(data, keys)
        yield keys


def write_key_files(data: Path, ring: KeyRing) -> None:
    """The data directory has the keys of an index that its servers leave. One without a secret never had keys: those in
    the files are still valid then. Raises FailedPrecondition."""
    if not ring.keys and not ring.secrets:
        return
    try:
        make_key_files(data).replace(ring)
    except OSError as error:
        raise FailedPrecondition(f"{data / KEYS} cannot be written: {describe_os_error(error)}") from None


def _adopt(data: Path, keys: KeyIndex) -> None:
    """Files of a server that had its keys there become rows, so that no key and no token stops working."""
    directory = data / KEYS
    if not directory.is_dir():
        return
    files = KeyFiles(directory)
    try:
        files.keep_secret(secrets.token_bytes(32))  # which tells one directory from another
        ring = files.read()
        if not ring.secrets:
            raise FailedPrecondition(f"{directory}: its secret cannot be read; the log has the reason")
        keys.adopt(ring)
        shutil.rmtree(data / _MOVED, ignore_errors=True)
        directory.rename(data / _MOVED)
        sync_directory(data)
    except OSError as error:
        raise FailedPrecondition(
            f"{directory}: its keys cannot be moved to PostgreSQL: {describe_os_error(error)}"
        ) from None
