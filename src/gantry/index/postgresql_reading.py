"""An index in PostgreSQL beside running servers or without one: without their lock. It is only read, but for keys of
service accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gantry.errors import FailedPrecondition, Unavailable
from gantry.index.clock import read_clock
from gantry.index.copy_marks import refuse_copy
from gantry.index.database import read_version
from gantry.index.postgresql import has_table, open_engine
from gantry.index.postgresql_locks import LOCK
from gantry.index.read_only import ReadOnlyDatabase
from gantry.index.refusals import describe_server_error
from gantry.index.server_address import name_server, parse_server

_READERS = 4
# How an advisory lock stands there: https://www.postgresql.org/docs/current/view-pg-locks.html
_IS_LOCKED = """
    SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND granted
    AND CAST(classid AS bigint) = %s AND CAST(objid AS bigint) = %s AND objsubid = 1)
"""
_WITHOUT_LIMITS = """
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN
('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')
"""
"""Those that this version of PostgreSQL has."""


class ReadOnlyPostgres(ReadOnlyDatabase):
    """Raises FailedPrecondition for an index of another version."""

    def __init__(self, url: str) -> None:
        self.now = read_clock
        self.engine = self.writer = open_engine(parse_server(url), _READERS)
        event.listen(self.engine, "connect", _read_only)
        try:
            self._require(name_server(url))
        except BaseException:
            self.engine.dispose()
            raise

    def _require(self, name: str) -> None:
        try:
            with self.read() as connection:
                refuse_copy(connection, name)
                found = read_version(connection) if has_table(connection, "alembic_version") else ""
        except Unavailable as error:
            raise FailedPrecondition(f"{name} cannot be read as an index: {error.what}") from None
        self._require_version(name, found)

    def has_servers(self) -> bool:
        """Of any data directory. Raises Unavailable."""
        with self.read() as connection:
            return bool(connection.exec_driver_sql(_IS_LOCKED, (LOCK >> 32, LOCK & 0xFFFFFFFF)).scalar())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except PoolTimeout:
            raise Unavailable("the index cannot be read: all connections are busy") from None
        except DBAPIError as error:
            raise Unavailable(f"the index cannot be read: {describe_server_error(error)}") from None


class PostgresBeside(ReadOnlyPostgres):
    """For rows that no other rows depend on, so that their writers need not be alone: keys of service accounts. Raises
    FailedPrecondition for an index of another version."""

    @contextmanager
    def write(self, leaves: bool = False) -> Iterator[Connection]:
        with self.read() as connection:
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                connection.exec_driver_sql("SET TRANSACTION READ WRITE")
                yield connection

    def _require_version(self, name: str, found: str) -> None:
        if not found:
            raise FailedPrecondition(f"{name} holds no index yet", advice="start the server, which makes one")
        super()._require_version(name, found)


def _read_only(connection: psycopg.Connection[object], _record: object) -> None:
    """Nothing but tables of the connection alone can be written; and limits that a database may have for the sessions
    of a server do not count: a statement of a check takes as long as reading all rows."""
    connection.execute("SET default_transaction_read_only = on")
    connection.execute(_WITHOUT_LIMITS)
