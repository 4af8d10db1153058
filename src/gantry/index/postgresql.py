"""The index in a database of PostgreSQL. A commit is on the disk of its server before it returns.

Whoever writes holds the database for itself. A server that is alone has a lock of the session that writes, and there is
no other way to write. So a second server of Gantry is refused, and once the lock can be had again after a connection
was lost, all that went over it has either been committed or is gone.

Servers that share a database take turns (``postgresql_locks``), which says the same of a connection that was lost. At
its end a transaction looks whether the server is still among those that are alive: one that was taken for dead writes
nothing.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.types.numeric import IntLoader
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from gantry.errors import Expelled, FailedPrecondition, StatusError
from gantry.index.change_packs import leave_out
from gantry.index.clock import read_clock
from gantry.index.commits import replace_connection
from gantry.index.copy_marks import refuse_copy
from gantry.index.database import READERS, WAIT, Database, NoWitness, Witness, is_current, read_version, upgrade_schema
from gantry.index.deferred import begin, forget, listen
from gantry.index.generations import Generation
from gantry.index.postgresql_locks import TAKE_TURN, Taken, be_alone, share_lock, take_lock
from gantry.index.refusals import OutcomeUnknown, describe_server_error, translated
from gantry.index.server_address import name_server, parse_server
from gantry.index.servers import GONE
from gantry.index.times import Times
from gantry.index.writer_queue import WriterQueue

logger = logging.getLogger(__name__)

OLDEST = 130_000
"""PostgreSQL 13 is the first that normalizes texts and tells the outcome of a transaction."""

_CONNECT_SECONDS = 10
_RESTS, _REST_SECONDS = "rests since", 1.0
"""A connection that nobody has used for so long is tried before it is used: that costs a round trip."""
_CONNECTION = {
    "connect_timeout": _CONNECT_SECONDS,
    "autocommit": True,
    # A network that is gone without a word is noticed in a minute.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_PULSE = _CONNECTION | {
    # Signs of life go on over a new connection before the others take this server for dead.
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "tcp_user_timeout": 8_000,
}
_SOON_SECONDS = 3
_BEGIN_SESSION = (
    f"SET synchronous_commit = on; SET lock_timeout = '{WAIT}s'; SET client_encoding = 'UTF8'; "
    # Whatever the defaults of the user are: with more, PostgreSQL would end transactions because of others.
    "SET default_transaction_isolation = 'read committed'; "
    # The pages of an index are in memory or on flash: to read one costs hardly more in any order.
    "SET random_page_cost = 1.1"
)
# A server whose client is gone without a word ends its transaction, and gives its lock up, in a minute.
_NOTICE_LOSS = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
_COUNT = (
    "UPDATE generation SET commits = commits + 1 WHERE id = 1 AND (%s = '' OR EXISTS (SELECT 1 FROM server "
    "WHERE server.id = %s)) RETURNING commits, CAST(pg_current_xact_id() AS text)"
)
"""With the name of the server, where it must be one of those that are alive."""
_OUTCOME = "SELECT pg_xact_status(CAST(%s AS xid8))"


class PostgresDatabase(Database):
    """The same promises as SQLite's. ``url`` begins with ``postgresql://``."""

    def __init__(self, url: str, now: Callable[[], int] = read_clock, shares: bool = False) -> None:
        self.now, self.shares = now, shares
        self.witness: Witness = NoWitness()
        self.times = Times()
        self._url, self._name = parse_server(url), name_server(url)
        self.engine, self.writer = (open_engine(self._url, most) for most in (READERS, 1))
        self._pulse = open_engine(self._url, 1, _PULSE)
        listen(self.writer)
        event.listen(self.writer, "connect", share_lock if shares else take_lock)
        if shares:  # one that has nothing to write is there, too
            event.listen(self._pulse, "connect", share_lock)
        self._queue = WriterQueue()
        self._certain = True
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        with _usable(self._name), self.writer.connect() as connection:  # from here on the database is ours
            _require_ability(connection, self._name)
            refuse_copy(connection, self._name)
            if not _is_current(connection):
                with be_alone(connection) if self.shares else nullcontext():
                    if not _is_current(connection):  # another server may have done it meanwhile
                        _expel_all(connection)
                        upgrade_schema(self._url, self._name)
            if not self.shares:
                _expel_all(connection)

    def close(self) -> None:
        for engine in (self.engine, self.writer, self._pulse):
            engine.dispose()
        self.witness.close()

    @contextmanager
    def pulse(self) -> Iterator[Connection]:
        with translated(), self._pulse.connect() as connection:
            yield connection

    @contextmanager
    def write_soon(self) -> Iterator[Connection]:
        with self.pulse() as connection:
            try:
                connection.exec_driver_sql(f"BEGIN; SET LOCAL lock_timeout = '{_SOON_SECONDS}s'; {TAKE_TURN}").close()
                yield connection
                connection.exec_driver_sql("COMMIT").close()
            except BaseException:
                _roll_back(connection)
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises Interrupted where PostgreSQL cannot be reached, or all connections are busy for too long."""
        begun = time.monotonic()
        with translated(), self.engine.connect() as connection:
            self.times.add("connections", time.monotonic() - begun)
            yield connection

    @contextmanager
    def write(self, leaves: bool = False) -> Iterator[Connection]:
        with self._take_turn():
            with self.times.measure("transactions"), translated(), self.writer.connect() as connection:
                if self.shares:
                    # Each statement is sent by itself: PostgreSQL ends a session that is idle in its transaction, but
                    # not one that was frozen between statements sent together, which would keep its turn.
                    connection.exec_driver_sql(f"BEGIN; {TAKE_TURN}").close()
                else:
                    begin(connection, "BEGIN")
                if not self.records_changes:
                    leave_out(connection)
                try:
                    yield connection
                    number, transaction = self._count(connection, "" if leaves else self.member)
                except BaseException:
                    forget(connection)
                    _roll_back(connection)
                    raise
                self._commit(connection, transaction)
            self.witness.note(number)

    def _count(self, connection: Connection, member: str) -> tuple[int, str]:
        """Count this transaction: how many there are with it, and what it is called. Raises Expelled."""
        counted = connection.exec_driver_sql(_COUNT, (member, member)).first()
        if counted is None:
            raise Expelled(GONE)
        return counted[0], counted[1]

    def _commit(self, connection: Connection, transaction: str) -> None:
        try:
            connection.exec_driver_sql("COMMIT")
        except BaseException as error:
            self._certain = False
            if self._find_outcome(connection, transaction, error) != "committed" or not isinstance(error, Exception):
                raise
        self._certain = True

    def _find_outcome(self, connection: Connection, transaction: str, error: BaseException) -> str:
        """On a new connection, which begins when the transaction has ended: see ``take_lock``."""
        replace_connection(connection)
        try:
            if self.shares:  # its session may still be there, and has its turn until it ends
                connection.exec_driver_sql(f"BEGIN; {TAKE_TURN}; COMMIT").close()
            found = connection.exec_driver_sql(_OUTCOME, (transaction,)).scalar()
        except (StatementError, StatusError) as again:
            replace_connection(connection)
            logger.warning("the outcome of a transaction is not known: %s", again)
            raise OutcomeUnknown(
                "the connection to PostgreSQL is lost; whether the change was made is not known",
                advice="look before you try again",
            ) from error
        self._certain = True
        return str(found)

    def settle(self) -> None:
        """With the lock it is certain: see above."""
        if not self._certain:
            with self.write():
                pass

    def shorten_log(self) -> None:
        """PostgreSQL does that."""

    def examine(self) -> None:
        """PostgreSQL has checksums of its own."""

    def keep_reserve(self) -> None:
        """PostgreSQL's disk is not ours."""

    def find_damage(self) -> str:
        """PostgreSQL does not tell before it reads what is damaged."""
        return ""

    def find_troubles(self) -> list[str]:
        try:
            with self.read() as connection:
                connection.exec_driver_sql("SELECT 1").close()
        except StatusError as error:
            return [error.what]
        return [self.witness.trouble] if self.witness.trouble else []


class _TextDumper(StrDumperUnknown):
    """PostgreSQL has no U+0000 in a text, so it is left out."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "") if "\0" in obj else obj)


def open_engine(url: URL, connections: int, settings: dict[str, Any] = _CONNECTION) -> Engine:
    """As many connections at most, each in the session that all of Gantry's have."""
    # AUTOCOMMIT hands transactions to ``write``, as in SQLite; values are positional for ``statements``.
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        paramstyle="format",
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=WAIT,
        connect_args=settings,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: psycopg.Connection[Any], _record: Any) -> None:
        connection.execute(_BEGIN_SESSION)
        if connection.info.host and not connection.info.host.startswith("/"):
            connection.execute(_NOTICE_LOSS)
        connection.adapters.register_dumper(str, _TextDumper)
        connection.adapters.register_loader("numeric", IntLoader)  # sums of whole numbers

    @event.listens_for(engine, "checkin")
    def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _try(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _proxy: Any) -> None:
        """One that PostgreSQL has ended meanwhile is replaced before anybody uses it."""
        if time.monotonic() - record.info.get(_RESTS, math.inf) > _REST_SECONDS:
            try:
                connection.execute("SELECT 1")
            except psycopg.Error as error:
                raise DisconnectionError from error

    return engine


def open_server_alone(url: str) -> Engine:
    """For one connection, which has the lock: no server uses the database meanwhile. Raises DBAPIError, Interrupted,
    FailedPrecondition."""
    engine = open_engine(parse_server(url), 1)
    event.listen(engine, "connect", take_lock)
    with engine.connect() as connection:
        _require_ability(connection, name_server(url))
    return engine


def read_generation(url: str, shares: bool = False) -> Generation | None:
    """That of an index which is not open, unless servers share it; None in a database without one. Raises
    FailedPrecondition."""
    engine = open_engine(parse_server(url), 1)
    event.listen(engine, "connect", share_lock if shares else take_lock)
    try:
        with _usable(name_server(url)), engine.connect() as connection:
            refuse_copy(connection, name_server(url))
            if not has_table(connection, "alembic_version"):
                return None
            if not has_table(connection, "generation"):
                return Generation("")
            row = connection.exec_driver_sql("SELECT mark, commits, rebuilding FROM generation").one()
            places = connection.exec_driver_sql("SELECT place FROM generation_place").scalars()
            has_stores = connection.exec_driver_sql("SELECT 1 FROM dicom_store LIMIT 1").first() is not None
            return Generation(row.mark, row.commits, row.rebuilding, frozenset(places), has_stores)
    finally:
        engine.dispose()


def read_schema(url: str) -> str:
    """The version of the schema; empty where there is none. A server may use it meanwhile. Raises
    FailedPrecondition."""
    engine = open_engine(parse_server(url), 1)
    try:
        with _usable(name_server(url)), engine.connect() as connection:
            refuse_copy(connection, name_server(url))
            return read_version(connection) if has_table(connection, "alembic_version") else ""
    finally:
        engine.dispose()


def _is_current(connection: Connection) -> bool:
    return has_table(connection, "alembic_version") and is_current(connection)


@contextmanager
def _usable(name: str) -> Iterator[None]:
    """Raises FailedPrecondition where the database cannot be used."""
    try:
        yield
    except DBAPIError as error:
        trouble = describe_server_error(error)
    except Taken as error:
        trouble = error.what
    else:
        return
    raise FailedPrecondition(f"{name} cannot be used as an index: {trouble}")


def _expel_all(connection: Connection) -> None:
    """No other server has a session: they were killed, or have lost the database. One that comes back ends."""
    if has_table(connection, "server"):
        connection.exec_driver_sql("DELETE FROM server").close()


def has_table(connection: Connection, name: str) -> bool:
    return connection.exec_driver_sql("SELECT to_regclass(%s)", (name,)).scalar() is not None


def _require_ability(connection: Connection, name: str) -> None:
    version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if version < OLDEST:
        raise FailedPrecondition(f"{name} cannot be used as an index: PostgreSQL 13 or newer is needed")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise FailedPrecondition(
            f"{name} cannot be used as an index: its encoding is {encoding}",
            advice="make one with `CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'`",
        )


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError:
        replace_connection(connection)
