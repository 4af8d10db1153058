"""What SQLite refuses, in our own words: by its result code (sqlite.org/rescode.html), never its text."""

from __future__ import annotations

import logging
import sqlite3

from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

_WORDS = {
    sqlite3.SQLITE_PERM: "the server's user may not use its file",
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_LOCKED: "another process holds its lock",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "its file is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports a read or write error",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOTADB: "its file is no SQLite database",
}
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
RESTORE = "put it back from a backup, or move it away and make a new one with `gantry storage rebuild`"
"""What to do about damage."""

_PRIMARY = 0xFF
"""The bits of an extended result code that hold the primary one."""


def describe_sqlite_error(error: DBAPIError) -> str:
    """What is wrong, without a capital and a full stop. What SQLite says goes to the log."""
    return describe_sqlite_code(_code(error), error.orig)


def describe_sqlite_code(code: int, said: BaseException | None) -> str:
    """The same by a result code, with what SQLite ``said``."""
    logger.warning("the index refuses a statement: %s", said)
    return _WORDS.get(code & _PRIMARY, "SQLite refuses a statement; the log has the details")


def is_damage(error: DBAPIError) -> bool:
    """Whether the file holds something that SQLite cannot have written."""
    return is_damage_code(_code(error))


def is_damage_code(code: int) -> bool:
    return code & _PRIMARY in _DAMAGE


def _code(error: DBAPIError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0))
