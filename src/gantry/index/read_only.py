"""An index that is only read, beside a running server or without one. Nothing in its directory is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, inspect
from sqlalchemy.exc import DatabaseError

from gantry.errors import FailedPrecondition, Unavailable
from gantry.index.clock import read_clock
from gantry.index.copy_marks import refuse_copy
from gantry.index.database import SCHEMA_VERSION, WAIT, Database, read_version
from gantry.index.refusals import describe_sqlite_error
from gantry.index.temporary_tables import one_moment


class ReadOnlyDatabase(Database):
    """``is_used``: a server may write to it meanwhile. Raises FailedPrecondition for an index of another version."""

    def __init__(self, path: Path, is_used: bool) -> None:
        self.now = read_clock
        self.engine = self.writer = _open(path, is_used)
        try:
            with self.read() as connection:
                found = read_version(connection)
        except Unavailable as error:
            raise FailedPrecondition(f"{path} cannot be read as an index: {error.what}") from None
        self._require_version(str(path), found)

    def _require_version(self, name: str, found: str) -> None:
        if found != SCHEMA_VERSION:
            raise FailedPrecondition(
                f"{name} was written by another version of Gantry",
                advice="run `gantry migrate`, or check it with the version that has written it",
            )

    def has_servers(self) -> bool:
        """Whether a server uses it that the lock of the data directory need not tell of. Raises Unavailable."""
        return False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises Unavailable."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise Unavailable(f"the index cannot be read: {describe_sqlite_error(error)}") from None

    @contextmanager
    def read_snapshot(self) -> Iterator[Connection]:
        """All that is read in the block is of one moment. Raises Unavailable."""
        with self.read() as connection, one_moment(connection):
            yield connection

    @contextmanager
    def write(self, leaves: bool = False) -> Iterator[Connection]:
        raise FailedPrecondition("this index is only read")
        yield


def read_file_schema(path: Path) -> str:
    """The version of the schema; empty where there is none. A server may use it meanwhile. Raises
    FailedPrecondition."""
    engine = _open(path, is_used=False)
    try:
        with engine.connect() as connection:
            refuse_copy(connection, str(path))
            return read_version(connection) if inspect(connection).has_table("alembic_version") else ""
    except DatabaseError as error:
        raise FailedPrecondition(f"{path} cannot be used as an index: {describe_sqlite_error(error)}") from None
    finally:
        engine.dispose()


def _open(path: Path, is_used: bool) -> Engine:
    # An index that was closed is one file; without ``immutable`` SQLite would make others beside it.
    alone = not is_used and not path.with_name(f"{path.name}-wal").exists()
    uri = f"file:{quote(str(path))}?mode=ro" + ("&immutable=1" if alone else "")

    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(uri, uri=True, timeout=WAIT, check_same_thread=False)
        made.text_factory = lambda data: data.decode(errors="replace")  # ``check_damage`` finds what is damaged
        return made

    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "poolclass": QueuePool, "pool_size": 4}
    return create_engine("sqlite://", creator=connect, **options)
