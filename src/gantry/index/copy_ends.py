"""The two ends of a copy: an index in a file or in PostgreSQL, over one connection that nobody else has beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, Connection, inspect, select
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from gantry.errors import FailedPrecondition, Interrupted, NotFound
from gantry.index.copy_marks import CopyMark, CopyState, read_copy_mark
from gantry.index.database import SCHEMA_VERSION, read_version
from gantry.index.dialect import is_sqlite
from gantry.index.opening import open_alone
from gantry.index.refusals import describe_error
from gantry.index.server_address import is_server, name_server
from gantry.index.tables import generation, generation_place

_ANY_TABLE = {
    True: "SELECT count(*) FROM sqlite_master",
    # Extensions have some of their own.
    False: "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') "
    "AND relnamespace = CAST(current_schema() AS regnamespace) "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')",
}


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
            with suppress(DBAPIError, PendingRollbackError):
                self.connection.exec_driver_sql("ROLLBACK")
            raise
        self.connection.exec_driver_sql("COMMIT")

    def is_empty(self) -> bool:
        return not self.connection.exec_driver_sql(_ANY_TABLE[is_sqlite(self.connection)]).scalar()

    def read_mark(self) -> CopyMark | None:
        return read_copy_mark(self.connection)

    def read_version(self) -> str:
        """Of the schema; empty where there is none."""
        return read_version(self.connection) if inspect(self.connection).has_table("alembic_version") else ""

    def read_places(self) -> list[str]:
        """Those whose blobs it is known to name."""
        return list(self.connection.execute(select(generation_place.c.place)).scalars())

    def shorten_log(self) -> None:
        """All of a file is in it, and nothing beside it."""
        if is_sqlite(self.connection):
            self.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

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
        row = self.connection.execute(select(generation)).one()
        if row.rebuilding:
            raise FailedPrecondition(
                f"{self.name} is not complete: a rebuild has not ended", advice="run `gantry storage rebuild` again"
            )
        return CopyMark(state, row.mark, row.commits, version, place)


@contextmanager
def open_end(url: str | Path, name: str = "") -> Iterator[End]:
    """``name`` is what messages call it, if it is not the address.

    Raises FailedPrecondition where it cannot be opened, or a server uses it. Errors of the block stay those of the
    driver: nobody else knows whose they are.
    """
    name = name or (name_server(str(url)) if is_server(url) else str(url))
    try:
        engine = open_alone(url)
        connection = engine.connect()
    except DBAPIError as error:
        raise FailedPrecondition(f"{name} cannot be used as an index: {describe_error(error)}") from None
    except Interrupted as error:
        raise FailedPrecondition(f"{name} cannot be used as an index: {error.what}") from None
    try:
        with connection:
            yield End(name, connection, engine.url)
    finally:
        engine.dispose()
