"""Listings of servers that do not sort: all keys are put in order in a temporary file first."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gantry.resources import ObjectMeta
from gantry.seams import Check
from gantry.storage.remote.client import Client

_MAKE = "CREATE TABLE object (key BLOB PRIMARY KEY, size INTEGER, tag TEXT, class TEXT) WITHOUT ROWID"
_PUT = "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)"
_GET = "SELECT key, size, tag, class FROM object WHERE key > ? ORDER BY key"


def sort_all(client: Client, prefix: str, start_after: str, check: Check) -> Iterator[ObjectMeta]:
    """Every object below ``prefix`` behind ``start_after``, each once. Nothing comes before the whole listing is read;
    it is on the disk, not in memory."""
    with tempfile.TemporaryDirectory(prefix="gantry-listing-") as directory:
        database = sqlite3.connect(Path(directory) / "keys.sqlite", isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_MAKE)
            _fill(database, client, prefix, check)
            for key, size, tag, storage_class in database.execute(_GET, (start_after.encode(),)):
                yield ObjectMeta(key.decode(), size, "", tag, storage_class)
        finally:
            database.close()


def _fill(database: sqlite3.Connection, client: Client, prefix: str, check: Check) -> None:
    token = ""
    while True:
        check()
        page = client.list_page(prefix, "", token, False)
        rows = [
            (each.key.encode(), each.size, each.tag, each.storage_class)
            for each in page.objects
            if each.size or not each.key.endswith("/")
        ]
        database.execute("BEGIN")
        database.executemany(_PUT, rows)
        database.execute("COMMIT")
        token = page.token
        if not token:
            return
