"""The two ends of a copy: an index in a file or in PostgreSQL, over one connection that nobody else has beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from gantry.errors import FailedPrecondition, Interrupted, NotFound
from gantry.index.copy_marks import CopyMark, CopyState, read_copy_mark
from gantry.index.database import SCHEMA_VERSION
from gantry.index.dialect import is_sqlite
from gantry.index.opening import open_alone
from gantry.index.refusals import describe_error
from gantry.index.server_address import is_server, name_server

_ANY_TABLE = {
    True: "SELECT count(*) FROM sqlite_master",
    False: "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S') "
    "AND relnamespace = CAST(current_schema() AS regnamespace)",
}
_VERSION = text("SELECT version_num FROM alembic_version")
_GENERATION = text("SELECT mark, commits, rebuilding FROM generation")


class End(NamedTuple):
    """``name`` is what messages call it: without a password."""

    name: str
    connection: Connection
    url: URL

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Durable when the block has ended."""
        self.connection.exec_driver_sql("BEGIN")
        try:
            yield self.connection
        except BaseException:
            if not self.connection.invalidated:
                self.connection.exec_driver_sql("ROLLBACK")
            raise
        self.connection.exec_driver_sql("COMMIT")

    def is_empty(self) -> bool:
        return not self.connection.exec_driver_sql(_ANY_TABLE[is_sqlite(self.connection)]).scalar()

    def read_mark(self) -> CopyMark | None:
        return read_copy_mark(self.connection)

    def read_version(self) -> str:
        """Of the schema; empty where there is none."""
        has_tables = self.connection.dialect.has_table(self.connection, "alembic_version")
        return str(self.connection.execute(_VERSION).scalar() or "") if has_tables else ""

    def describe(self, state: CopyState, place: str) -> CopyMark:
        """What a copy says of this index as its source. Raises NotFound, FailedPrecondition."""
        version = self.read_version()
        if not version:
            raise NotFound(f"{self.name} holds no index", advice="name a data directory, or a database with an index")
        if version != SCHEMA_VERSION:
            raise FailedPrecondition(
                f"{self.name} has another schema than this version of Gantry",
                advice="run `gantry migrate` first, or copy it with the version that has written it",
            )
        row = self.connection.execute(_GENERATION).one()
        if row.rebuilding:
            raise FailedPrecondition(
                f"{self.name} is not complete: a rebuild has not ended", advice="run `gantry storage rebuild` again"
            )
        return CopyMark(state, row.mark, row.commits, version, place)


@contextmanager
def open_end(url: str | Path) -> Iterator[End]:
    """Raises FailedPrecondition where it cannot be opened, or a server uses it. Errors of the block stay those of the
    driver: nobody else knows whose they are."""
    name = name_server(str(url)) if is_server(url) else str(url)
    engine = open_alone(url)
    try:
        try:
            connection = engine.connect()
        except DBAPIError as error:
            raise FailedPrecondition(f"{name} cannot be used as an index: {describe_error(error)}") from None
        except Interrupted as error:
            raise FailedPrecondition(f"{name} cannot be used as an index: {error.what}") from None
        with connection:
            yield End(name, connection, engine.url)
    finally:
        engine.dispose()
