"""Listings of servers that do not sort: all keys are put in order in a temporary file first."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from gantry.errors import NoRoom, StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.remote.client import Client
from gantry.storage.remote.listing import Progress, is_marker, read_pages
from gantry.storage.remote.names import decode_key, encode_key, with_problem
from gantry.storage.remote.provider import Page
from gantry.worker_calls import Check

_SETTINGS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")  # nobody reads it after a crash
_MAKE = "CREATE TABLE object (key BLOB PRIMARY KEY, size INTEGER, tag TEXT, class TEXT) WITHOUT ROWID"
_PUT = """INSERT INTO object VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET size = excluded.size, tag = excluded.tag, class = excluded.class WHERE (size, tag) <> (excluded.size, excluded.tag)
"""
_GET = "SELECT key, size, tag, class FROM object WHERE key > ? ORDER BY key"


def sort_all(client: Client, prefix: str, start_after: str, check: Check) -> Iterator[ObjectMeta]:
    """Every object below ``prefix`` behind ``start_after``, each once. Nothing comes before the whole listing is read;
    it is on the disk, not in memory. Raises NoRoom, Unavailable where the disk cannot hold it."""
    try:
        with _open() as database:
            progress = Progress(client)
            for page in read_pages(client, prefix, "", False, check):
                progress.note(_keep(database, page))
            for key, size, tag, storage_class in database.execute(_GET, (encode_key(start_after),)):
                yield with_problem(ObjectMeta(decode_key(key), size, "", tag, storage_class))
    except (sqlite3.Error, OSError) as error:
        raise _translate(error) from None


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    """In a file without a name: it is gone once it is closed, or the process has ended. A listing may be closed in
    another thread than it was begun in."""
    with ExitStack() as opened:
        with tempfile.TemporaryDirectory(prefix="gantry-listing-") as directory:
            path = Path(directory) / "keys.sqlite"
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            opened.enter_context(closing(database))
            for each in (*_SETTINGS, _MAKE):
                database.execute(each)
        yield database


def _keep(database: sqlite3.Connection, page: Page) -> bool:
    """Whether the page had an object that was not known, or has been changed meanwhile."""
    before = database.total_changes
    rows = [
        (encode_key(each.key), each.size, each.tag, each.storage_class) for each in page.objects if not is_marker(each)
    ]
    database.execute("BEGIN")
    database.executemany(_PUT, rows)
    database.execute("COMMIT")
    return database.total_changes > before


def _translate(error: Exception) -> StatusError:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return NoRoom("the disk of temporary files has no room for the listing", advice="make room on it")
    return Unavailable("the listing cannot be kept in a temporary file", advice="see to the disk of temporary files")
