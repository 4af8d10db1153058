"""Transactions, and what is known of one whose COMMIT has failed.

Where its sync fails, a transaction stands in the write-ahead log, but no connection sees it. After a crash SQLite reads
the log anew and may find it there, so it comes back. It is gone for certain once another transaction was written over
it, which begins at the same place of the log, and synced: the checksums of what follows it do not fit any more
(sqlite.org/walformat.html).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, StatementError

from gantry.index.refusals import DriverError, OutcomeUnknown, describe_sqlite_error, find_ours, is_damage, is_full
from gantry.index.reserve import Reserve

logger = logging.getLogger(__name__)


class Commits:
    """``certain``: all transactions so far are either durable or gone for good. It is not certain at the start: what a
    process has written that was killed is seen, and may not be durable yet."""

    def __init__(self, reserve: Reserve) -> None:
        self.certain = False
        self._reserve = reserve

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """One durable transaction, or none where the block raises an error.

        Raises what SQLite raises where nothing was written, and OutcomeUnknown where that is not certain.
        """
        self._reserve.make_room()
        driver_of(connection).execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException as error:
            _roll_back(connection)
            self._give_room(error)
            raise
        self._commit(connection)
        self.certain = True

    def _commit(self, connection: Connection) -> None:
        try:
            driver_of(connection).execute("COMMIT")
        except BaseException as error:
            self.certain = False
            replace_connection(connection)
            self._give_room(error)
            self._undo(connection, error)
            raise

    def _give_room(self, error: BaseException) -> None:
        """A quota may be used up while the disk has room."""
        if is_full(error):
            self._reserve.give_up()

    def _undo(self, connection: Connection, error: BaseException) -> None:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            write_again(connection)
            connection.exec_driver_sql("COMMIT")
        except StatementError as again:
            replace_connection(connection)
            words = _describe(error if isinstance(error, DriverError) else again)
            raise OutcomeUnknown(
                f"the index could not be written: {words}; whether the change was made is not known",
                advice="look before you try again",
            ) from error
        self.certain = True


def _describe(error: DriverError | StatementError) -> str:
    """What is wrong, without a capital and a full stop."""
    if (ours := find_ours(error)) is not None:
        return ours.what
    return describe_sqlite_error(error) if isinstance(error, DriverError) else "a new connection is refused"


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's, for what every transaction does: SQLAlchemy's own way takes ten times as long."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - the callers ask ``is_sqlite``
    return driver


def write_again(connection: Connection) -> None:
    """Write something that changes nothing: the user version (sqlite.org/pragma.html) as it is, with its page."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


@contextmanager
def throw_away_damaged(connection: Connection) -> Iterator[None]:
    """A connection that has read damage is not used again: what it has in its memory may be wrong."""
    try:
        yield
    except Exception as error:
        if is_damage(error):
            replace_connection(connection)
        raise


def _roll_back(connection: Connection) -> None:
    """SQLite may have done it by itself, where the disk is full. A connection that cannot is thrown away."""
    if connection.invalidated:
        return
    try:
        with suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        if getattr(connection.connection.driver_connection, "in_transaction", False):
            replace_connection(connection)
    except DBAPIError:
        replace_connection(connection)


def replace_connection(connection: Connection) -> None:
    """From here on the connection is a new one to the same database."""
    with suppress(DBAPIError):
        connection.invalidate()
        connection.rollback()
