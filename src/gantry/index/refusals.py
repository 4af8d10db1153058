"""What SQLite and PostgreSQL refuse, by its code (sqlite.org/rescode.html; SQLSTATE), never its text: what it means for
the caller, and in our own words. The only place that sorts errors of the index."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gantry.errors import DataLoss, Internal, Interrupted, StatusError, retry_later

logger = logging.getLogger(__name__)

_PASSING = {
    sqlite3.SQLITE_PERM: "the server's user may not use its file",
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_LOCKED: "another process holds its lock",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "its file is read-only",
    sqlite3.SQLITE_INTERRUPT: "a statement was interrupted",
    sqlite3.SQLITE_IOERR: "the disk reports a read or write error",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "its lock cannot be had",
    sqlite3.SQLITE_SCHEMA: "its tables have changed meanwhile",
    sqlite3.SQLITE_NOLFS: "its file is too large for the file system",
}
"""Errors of the disk, the system or other processes: the same call may succeed later."""

_DAMAGE = {
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is no SQLite database",
}
"""What was read is not what was written. It may have been read wrongly, so the next call reads on a new connection."""

_VALUE = {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_CONSTRAINT}
"""Errors of one value of a row: the same call never succeeds, the same call with other rows does."""

_TAKEN = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
RESTORE = "put it back from a backup, or move it away and make a new one with `gantry storage rebuild`"
"""What to do about damage."""

_PRIMARY = 0xFF
"""The bits of an extended result code that hold the primary one."""

DriverError = DBAPIError | sqlite3.Error
VALUE_ERRORS = (OverflowError, UnicodeError)
"""What the driver itself raises for a value: a number of more than 64 bits, a text that is no Unicode."""


class Damaged(Interrupted):
    """The file of the index is damaged, or was read wrongly."""


class Full(Interrupted):
    """There is no room on the disk."""


class BadText(Interrupted):
    """A text in a row is not UTF-8."""


class BadValue(DataLoss):
    """A row has a value that the index cannot hold."""


class Conflict(Interrupted):
    """A transaction has met another one, and nothing of it is written: done again, it may succeed at once."""


class OutcomeUnknown(Interrupted):
    """A transaction may have been written, or not: it is not known, and will be once the index can be written again."""


def describe_sqlite_error(error: DriverError) -> str:
    """What is wrong, without a capital and a full stop. What SQLite says goes to the log."""
    logger.warning("the index refuses a statement: %s", _original(error))
    return (_PASSING | _DAMAGE).get(_code(error) & _PRIMARY, "SQLite refuses a statement; the log has the details")


def is_taken(error: DriverError) -> bool:
    """Whether a row with the same key exists."""
    return _code(error) in _TAKEN or _state(error) == _UNIQUE_VIOLATION


def names_table(error: DriverError) -> str:
    """The table whose row PostgreSQL refuses; empty where it is not said, as in SQLite."""
    return str(getattr(getattr(_original(error), "diag", None), "table_name", None) or "")


def is_full(error: BaseException) -> bool:
    """Whether there is no room, as far as SQLite says: a quota that is used up is an error of writing for it."""
    return isinstance(error, DriverError) and _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def is_damage(error: BaseException) -> bool:
    """Whether the file holds something that SQLite cannot have written, or seemed to."""
    return isinstance(error, DriverError) and _code(error) & _PRIMARY in _DAMAGE


def is_bad_text(error: DriverError) -> bool:
    """Whether SQLite's driver cannot decode a text: an error of its own, without a result code."""
    return isinstance(_original(error), sqlite3.OperationalError) and not _code(error)


def translate(error: Exception) -> StatusError:
    """The error for callers: Interrupted where the same call may succeed later, BadValue where a value is the cause,
    else Internal."""
    if isinstance(error, PoolTimeout):
        return Interrupted("the index is too busy right now")
    if isinstance(error, VALUE_ERRORS):
        logger.warning("the index cannot hold a value: %s", error)
        return BadValue("a value of its row cannot be kept in the index; the server's log has the details")
    assert isinstance(error, DriverError)  # noqa: S101 - ``translated`` catches no others
    if is_of_server(error):
        return _translate_server_error(error)
    code, words = _code(error) & _PRIMARY, describe_sqlite_error(error)
    if code in _DAMAGE:
        return Damaged(f"the index cannot be read: {words}", advice=RESTORE)
    if is_bad_text(error):
        return BadText("a text in the index is damaged; it is read in another way from now on", advice="try again")
    if is_full(error):
        return Full(f"the index cannot be used right now: {words}", advice="make room on its disk")
    if code in _PASSING or _is_closed(error):
        return Interrupted(f"the index cannot be used right now: {words}")
    if code in _VALUE or _is_of_data(error):
        return BadValue("a value of its row cannot be kept in the index; the server's log has the details")
    return Internal(f"the index refuses a statement: {words}")


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except (StatementError, sqlite3.Error, PoolTimeout, *VALUE_ERRORS) as error:
        if (ours := find_ours(error)) is not None:
            raise ours from error
        if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
            raise
        raise translate(error) from error


def find_ours(error: BaseException) -> StatusError | None:
    """The error of ours that has refused a connection: SQLAlchemy wraps it where a statement asks for a new one."""
    inner = error.orig if isinstance(error, StatementError) else None
    return inner if isinstance(inner, StatusError) else None


def _code(error: DriverError) -> int:
    return int(getattr(_original(error), "sqlite_errorcode", 0))


def _original(error: DriverError) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _is_of_data(error: DriverError) -> bool:
    """An error of the driver itself about a value: its type, for instance."""
    return not _code(error)


# --- PostgreSQL


_UNIQUE_VIOLATION = "23505"

_STATES = {
    "08": "the connection to PostgreSQL is lost",
    "25006": "PostgreSQL takes no changes at present",
    "25P03": "PostgreSQL has ended a transaction that took too long",
    "42501": "the user of the database lacks a privilege",
    "40": "PostgreSQL has ended the transaction, because of another one",
    "53100": "the disk of PostgreSQL is full",
    "53": "PostgreSQL lacks memory or connections",
    "55": "another session of PostgreSQL holds a lock",
    "57": "PostgreSQL stops, starts or has cancelled a statement",
    "58": "PostgreSQL reports an error of its system",
    "XX": "PostgreSQL reports damage, or an error of its own",
}
"""By SQLSTATE or its class (PostgreSQL, appendix A): the same call may succeed later."""
_CONFLICTS = ("40001", "40P01")
"""Of two transactions that wait for each other, or need what the other one changes, one is ended."""
_VALUE_STATES = ("22", "23", "54")
"""Errors of one value of a row."""
RETRY_SECONDS = 5
"""After which a caller may try again: a server that begins anew, or another one that takes its place, is there then."""

_UNREACHED = "PostgreSQL cannot be reached, or refuses the user; the log has the details"


def is_of_server(error: DriverError) -> bool:
    """Whether it is an error of PostgreSQL, or of its driver."""
    return hasattr(_original(error), "sqlstate")


def describe_error(error: DriverError) -> str:
    """What is wrong in either of both, without a capital and a full stop. What the database says goes to the log."""
    return describe_server_error(error) if is_of_server(error) else describe_sqlite_error(error)


def describe_server_error(error: DriverError) -> str:
    """What is wrong, without a capital and a full stop. What PostgreSQL says goes to the log."""
    logger.warning("the index refuses a statement: %s", _original(error))
    state = _state(error)
    if _is_closed(error) or not state:
        return _STATES["08"] if _is_closed(error) else _UNREACHED
    return _STATES.get(state) or _STATES.get(state[:2], "PostgreSQL refuses a statement; the log has the details")


def _translate_server_error(error: DriverError) -> StatusError:
    state, words = _state(error), describe_server_error(error)
    # Without a state it is an error of the driver: of the connection, or of a value.
    is_operational = isinstance(error, OperationalError | InterfaceError)
    if _is_closed(error) or state in _STATES or state[:2] in _STATES or (not state and is_operational):
        kind = Conflict if state in _CONFLICTS else Interrupted
        return retry_later(kind(f"the index cannot be used right now: {words}"), RETRY_SECONDS)
    if not state or state[:2] in _VALUE_STATES:
        return BadValue("a value of its row cannot be kept in the index; the server's log has the details")
    return Internal(f"the index refuses a statement: {words}")


def _state(error: DriverError) -> str:
    return str(getattr(_original(error), "sqlstate", None) or "")


def _is_closed(error: DriverError) -> bool:
    """The index was closed meanwhile: the server stops."""
    return isinstance(error, DBAPIError) and error.connection_invalidated
