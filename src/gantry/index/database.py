"""Engine, transactions and migrations. SQLite in WAL mode; a commit is on disk before it returns."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import DatabaseError

from gantry.errors import FailedPrecondition, Interrupted
from gantry.index.all_tables import metadata
from gantry.index.change_packs import leave_out
from gantry.index.clock import read_clock
from gantry.index.commits import Commits, driver_of, throw_away_damaged, write_again
from gantry.index.copy_marks import refuse_copy
from gantry.index.dialect import FOLD
from gantry.index.examination import Examination
from gantry.index.index_file import IndexFile
from gantry.index.new_index import is_new, make_tables
from gantry.index.refusals import (
    RESTORE,
    BadText,
    Damaged,
    Full,
    describe_sqlite_error,
    is_bad_text,
    is_damage,
    translated,
)
from gantry.index.reserve import Reserve
from gantry.index.tables import upload
from gantry.index.times import Times
from gantry.index.writer_queue import WriterQueue
from gantry.matching import search_key

Given = ParamSpec("Given")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

READERS = 10  # connections; each may fill its cache
READER_CACHE, WRITER_CACHE = 4096, 16384
"""KiB of pages that a connection keeps. The rest a reader finds in the system's cache: searches among 500,000 instances
take as long with 4 MiB as with 16, and ten readers would keep 160 MiB."""
WAIT = 30  # seconds that a call waits for its turn to write, or to read, or for a lock of another process
SCHEMA_VERSION = "0025"
_COUNT = "UPDATE generation SET commits = commits + 1 WHERE id = 1"
_READ_COUNT = "SELECT commits FROM generation WHERE id = 1"
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """``read`` sees a snapshot per statement, ``write`` is one serialised, durable transaction.

    Writers take turns at one connection and never hold one of the readers', so that reads go on while they wait.
    ``url`` may be the path of a file. ``now`` reads the clock: microseconds since 1970 UTC. ``shares``: other servers
    may use the database, too; ``member`` is what this one is called among them once it has joined them.
    ``records_changes``: for the change feed (``feed``).
    """

    shares = False
    member = ""
    records_changes = False

    def __init__(self, url: str | Path, now: Callable[[], int] = read_clock) -> None:
        self.now = now
        self.witness: Witness = NoWitness()
        self.times = Times()
        self._texts = _Texts()
        self.file = IndexFile(_path_of(url))
        self.engine, self._anchor = (self._open(url, most) for most in (READERS, 1))
        self.writer = self._open(url, 1, WRITER_CACHE)
        self.reserve = Reserve(self.file.path)
        self._queue, self._commits = WriterQueue(), Commits(self.reserve)
        self.examination = Examination(self.file, lambda: self._open(url, 1))
        self.reserve.make_room()
        try:
            _migrate(self.engine)
            self.file.keep()
            self._read_all_tables()
            _keep_open(self._anchor)
        except DatabaseError as error:
            self.close()
            raise FailedPrecondition(
                f"{self.engine.url.database} cannot be used as an index: {describe_sqlite_error(error)}",
                advice=RESTORE if is_damage(error) else "",
            ) from None

    def _open(self, url: str | Path, connections: int, cache: int = READER_CACHE) -> Engine:
        engine = _open(url, connections, self._texts, cache)
        self.file.guard(engine)
        return engine

    def close(self) -> None:
        for engine in (self.engine, self.writer, self._anchor):
            engine.dispose()
        self.witness.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises Interrupted where SQLite cannot read, or all connections are busy for too long."""
        begun = time.monotonic()
        with self._translated(), self.engine.connect() as connection, throw_away_damaged(connection):
            self.times.add("connections", time.monotonic() - begun)
            yield connection

    def pulse(self) -> AbstractContextManager[Connection]:
        """A connection for signs of life alone, which waits for no other."""
        return self.read()

    def write_soon(self) -> AbstractContextManager[Connection]:
        """As ``write``, over the connection of signs of life: soon, or not at all. Such a transaction is not counted,
        and writes nothing that blobs depend on. Raises Interrupted."""
        return self.write()

    @contextmanager
    def write(self, leaves: bool = False) -> Iterator[Connection]:
        """``leaves``: this server is no member any more at its end. Raises Interrupted where it is not this thread's
        turn in time, or SQLite cannot write; then nothing was written. Raises OutcomeUnknown where that is not certain:
        see ``settle``."""
        with self._take_turn():
            with (
                self.times.measure("transactions"),
                self._translated(),
                self.writer.connect() as connection,
                throw_away_damaged(connection),
                self._commits.transaction(connection),
            ):
                if not self.records_changes:
                    leave_out(connection)
                yield connection
                number = _count(connection)
            self.witness.note(number)

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        """Raises Interrupted where it is not this thread's turn in time."""
        begun = time.monotonic()
        with self._queue.take_turn(WAIT) as mine:
            self.times.add("turns", time.monotonic() - begun)
            if not mine:
                raise Interrupted("the index is too busy right now: other writers are waiting; try again")
            yield

    def settle(self) -> None:
        """Return once it is certain what earlier transactions have written, and all of it is durable: only then may
        bytes be deleted that no row names. Raises Interrupted."""
        if not self._commits.certain:
            with self.write() as connection:
                write_again(connection)

    def shorten_log(self) -> None:
        """Write the write-ahead log to the index, so that its room is free. Others may need it: then it stays."""
        with suppress(Interrupted), self.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def examine(self) -> None:
        """Look for damage, if it is time."""
        self.examination.run()

    def keep_reserve(self) -> None:
        self.reserve.take()

    def find_damage(self) -> str:
        self.examination.run_short()
        return self.examination.trouble

    def find_troubles(self) -> list[str]:
        return list(filter(None, (self.find_damage(), self.reserve.shortage, self.witness.trouble)))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except Damaged as error:
            self.examination.note(error.message)
            raise
        except BadText:
            self._replace_bad_texts()
            raise

    def _read_all_tables(self) -> None:
        """A start finds damage, not the first call that needs the table. Raises DatabaseError."""
        try:
            _read_all_tables(self.engine)
        except DatabaseError as error:
            if not is_bad_text(error):
                raise
            self._replace_bad_texts()
            _read_all_tables(self.engine)

    def _replace_bad_texts(self) -> None:
        """From now on; connections that read in the other way are closed."""
        self._texts.replace = True
        self.engine.dispose()
        self.writer.dispose()


def _count(connection: Connection) -> int:
    """Count this transaction; how many there are with it. By the driver's own calls, which cost a tenth of the time."""
    driver = driver_of(connection)
    driver.execute(_COUNT)
    (number,) = driver.execute(_READ_COUNT).fetchone()
    return int(number)


class Witness(Protocol):
    """Keeps the number of the last transaction outside of the index. ``trouble`` is what it has found there that keeps
    bytes from being deleted, as a sentence; "" while all is well."""

    @property
    def trouble(self) -> str: ...

    def note(self, commits: int) -> None:
        """A transaction is on disk. Waits for no disk."""
        ...

    def close(self) -> None: ...


class NoWitness:
    trouble = ""

    def note(self, commits: int) -> None: ...

    def close(self) -> None: ...


class Part:
    """One subject of the index: its queries, and the database that they run in."""

    def __init__(self, database: Database) -> None:
        self.database = database


Subject = TypeVar("Subject", bound=Part)


def with_reserve(
    call: Callable[Concatenate[Subject, Given], Result],
) -> Callable[Concatenate[Subject, Given], Result]:
    """For what makes room, or ends what takes it: where the disk is full it is done once more, with the reserve."""

    @wraps(call)
    def run(self: Subject, /, *args: Given.args, **kw: Given.kwargs) -> Result:
        try:
            return call(self, *args, **kw)
        except Full:
            self.database.shorten_log()
            return call(self, *args, **kw)

    return run


class _Texts:
    """How texts are read. ``replace``: one that is damaged has U+FFFD where it is no UTF-8, so that the rest of its
    row, and all other rows, can be read. That costs time, so it begins once such a text is met."""

    replace = False


def _open(url: str | Path, connections: int, texts: _Texts, cache: int = WRITER_CACHE) -> Engine:
    # AUTOCOMMIT hands transactions to ``write``: the driver's own late BEGIN would let two writers deadlock.
    engine = create_engine(
        # In the text of a URL, some characters of a path mean something else.
        URL.create("sqlite", database=str(url)) if isinstance(url, Path) else url,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,  # the connection whose cache is warm; the others' caches stay empty
        pool_timeout=WAIT,
        connect_args={"timeout": WAIT, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"cache_size=-{cache}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function(FOLD, 1, _fold, deterministic=True)
        if texts.replace:
            connection.text_factory = lambda data: data.decode(errors="replace")

    return engine


def open_file_alone(path: Path) -> Engine:
    """For one connection; whoever opens it sees to it that there is no other. Damaged texts are read as well as can
    be."""
    texts = _Texts()
    texts.replace = True
    return _open(path, 1, texts)


def _fold(data: bytes | None) -> str | None:
    """The function ``FOLD``; of a damaged text, the key of what can be read of it."""
    return None if data is None else search_key(data.decode(errors="replace"))


def _path_of(url: str | Path) -> Path | None:
    name = str(url) if isinstance(url, Path) else make_url(url).database
    return None if not name or name == ":memory:" else Path(name)


def _keep_open(engine: Engine) -> None:
    """While one connection is open SQLite does not read the write-ahead log anew, in which a failed transaction may
    stand."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").close()


def _read_all_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        for each in metadata.sorted_tables:
            connection.execute(select(each).limit(1)).all()
        connection.execute(select(upload)).all()  # every start reads all of it


def _migrate(engine: Engine) -> None:
    """Bring the schema up to date; an index written by a newer Gantry is refused."""
    with engine.connect() as connection:
        known = connection.execute(
            text("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
        ).scalar_one()
        refuse_copy(connection, f"the index at {engine.url.database}")
        if known and is_current(connection):
            return
        starts = is_new(connection) and _path_of(str(engine.url)) is not None
    if starts:
        make_tables(engine.url)
        with engine.connect() as connection:
            if is_current(connection):
                return
    upgrade_schema(engine.url, f"the index at {engine.url.database}")


def is_current(connection: Connection) -> bool:
    return read_version(connection) == SCHEMA_VERSION


def read_version(connection: Connection) -> str:
    """Of the schema, in an index that has one."""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def upgrade_schema(url: URL, name: str) -> None:
    """Run the migrations, over a connection of its own. Raises FailedPrecondition."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        logger.error("the index cannot be brought up to date", exc_info=error)
        raise FailedPrecondition(
            f"{name} was written by another version of Gantry; upgrade Gantry or choose another --data directory"
        ) from error
