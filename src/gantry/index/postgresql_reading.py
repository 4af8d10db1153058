"""An index in PostgreSQL that is only read, beside a running server or without one: without the server's lock."""

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
from gantry.index.read_only import ReadOnlyDatabase
from gantry.index.refusals import describe_server_error
from gantry.index.server_address import name_server, parse_server

_READERS = 4
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except PoolTimeout:
            raise Unavailable("the index cannot be read: all connections are busy") from None
        except DBAPIError as error:
            raise Unavailable(f"the index cannot be read: {describe_server_error(error)}") from None


def _read_only(connection: psycopg.Connection[object], _record: object) -> None:
    """Nothing but tables of the connection alone can be written; and limits that a database may have for the sessions
    of a server do not count: a statement of a check takes as long as reading all rows."""
    connection.execute("SET default_transaction_read_only = on")
    connection.execute(_WITHOUT_LIMITS)
