"""Engine, transactions and migrations. SQLite in WAL mode; a commit is on disk before it returns."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError

from gantry.errors import FailedPrecondition, Interrupted
from gantry.index.clock import read_clock
from gantry.index.commits import Commits, throw_away_damaged, write_again
from gantry.index.refusals import Damaged, describe_sqlite_error, translated
from gantry.index.writer_queue import WriterQueue

logger = logging.getLogger(__name__)

READERS = 10  # connections; each may fill its cache of 16 MiB
WAIT = 30  # seconds that a call waits for its turn to write, or to read, or for a lock of another process
SCHEMA_VERSION = "0011"
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """``read`` sees a snapshot per statement, ``write`` is one serialised, durable transaction.

    Writers take turns at one connection and never hold one of the readers', so that reads go on while they wait.
    ``now`` reads the clock: microseconds since 1970 UTC.
    """

    def __init__(self, url: str, now: Callable[[], int] = read_clock) -> None:
        self.now = now
        self.engine, self.writer = _open(url, READERS), _open(url, 1)
        self._queue, self._commits = WriterQueue(), Commits()
        self.trouble = ""
        """What was last found damaged in the file, in one sentence."""
        try:
            _migrate(self.engine, url)
        except DatabaseError as error:
            raise FailedPrecondition(
                f"{self.engine.url.database} cannot be used as an index: {describe_sqlite_error(error)}"
            ) from None
        # While it is open SQLite does not read the write-ahead log anew, in which a failed transaction may stand.
        self._anchor = _open(url, 1).connect()
        self._anchor.exec_driver_sql("SELECT count(*) FROM sqlite_master").close()

    def close(self) -> None:
        self._anchor.close()
        self._anchor.engine.dispose()
        self.engine.dispose()
        self.writer.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises Interrupted where SQLite cannot read, or all connections are busy for too long."""
        with self._translated(), self.engine.connect() as connection, throw_away_damaged(connection):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Raises Interrupted where it is not this thread's turn in time, or SQLite cannot write; then nothing was
        written. Raises OutcomeUnknown where that is not certain: see ``settle``."""
        with self._queue.take_turn(WAIT) as mine:
            if not mine:
                raise Interrupted("the index is too busy right now: other writers are waiting; try again")
            with (
                self._translated(),
                self.writer.connect() as connection,
                throw_away_damaged(connection),
                self._commits.transaction(connection),
            ):
                yield connection

    def settle(self) -> None:
        """Return once it is certain what earlier transactions have written, and all of it is durable: only then may
        bytes be deleted that no row names. Raises Interrupted."""
        if not self._commits.certain:
            with self.write() as connection:
                write_again(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except Damaged as error:
            self.trouble = error.message
            raise


class Part:
    """One subject of the index: its queries, and the database that they run in."""

    def __init__(self, database: Database) -> None:
        self.database = database


def _open(url: str, connections: int) -> Engine:
    # AUTOCOMMIT hands transactions to ``write``: the driver's own late BEGIN would let two writers deadlock.
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,  # the connection whose cache is warm; the others' caches stay empty
        pool_timeout=WAIT,
        connect_args={"timeout": WAIT, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16384"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _migrate(engine: Engine, url: str) -> None:
    """Bring the schema up to date; an index written by a newer Gantry is refused."""
    with engine.connect() as connection:
        known = connection.execute(
            text("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
        ).scalar_one()
        if known and connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == SCHEMA_VERSION:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        logger.error("the index cannot be brought up to date", exc_info=error)
        raise FailedPrecondition(
            f"the index at {engine.url.database} was written by another version of Gantry; "
            "upgrade Gantry or choose another --data directory"
        ) from error
