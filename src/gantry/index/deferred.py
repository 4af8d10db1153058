"""What gives no rows is sent to PostgreSQL together with the next statement that does, and queries that do not depend
on each other are sent together: a round trip costs more than most statements of a batch.

Only in a transaction that has begun with ``begin``. The order of statements stays, so that each of them sees what it
would see else. An error of a statement that was deferred is raised by the one that it was sent with: whoever has
something to say about it sends before (``send``). SQLite has no round trips, and defers nothing. Nor does one of
several servers (``PostgresDatabase.write``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, IteratorResult, event
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError

from gantry.index.commits import driver_of
from gantry.index.dialect import is_sqlite

_OPTION = "gantry_deferred"


class _Deferred(NamedTuple):
    """``rows``: values for each time; None: once, without any. ``keep`` takes the rows that a query gives."""

    text: str
    rows: Sequence[Any] | None = None
    keep: Callable[[list[Any]], None] | None = None


def listen(engine: Engine) -> None:
    """Each statement of this engine is sent after those that wait, in one round trip."""

    @event.listens_for(engine, "do_execute")
    def _execute(cursor: Any, statement: str, values: Any, context: Any) -> bool:
        return _send_with(context.root_connection, cursor, statement, values, cursor.execute)

    @event.listens_for(engine, "do_executemany")
    def _executemany(cursor: Any, statement: str, values: Any, context: Any) -> bool:
        return _send_with(context.root_connection, cursor, statement, values, cursor.executemany)


def begin(connection: Connection, *texts: str) -> None:
    """In a transaction, that has begun or begins with ``texts``, statements without values: they are sent with the
    first one that gives rows."""
    connection.execution_options(**{_OPTION: [_Deferred(text) for text in texts]})


def forget(connection: Connection) -> None:
    """What waits is not sent any more: the transaction is undone."""
    _waiting(connection).clear()


def defer(
    connection: Connection,
    text: str,
    rows: Sequence[Any] | None = None,
    keep: Callable[[list[Any]], None] | None = None,
) -> bool:
    """False where it has to run at once. ``keep`` is called with the rows of a query once they are there."""
    if not _defers(connection):
        return False
    _waiting(connection).append(_Deferred(text, rows, keep))
    return True


def send(connection: Connection) -> None:
    """All that waits. Raises what SQLAlchemy would raise for it."""
    if waiting := _take(connection):
        with _as_errors_of_alchemy(connection, waiting[-1].text):
            driver: Any = connection.connection.driver_connection
            with _sending(driver, waiting):
                pass


def fetch_together(connection: Connection, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
    """The rows of each query, with their columns as attributes."""
    if not _defers(connection) or len(queries) < 2 - bool(_waiting(connection)):
        return [list(connection.exec_driver_sql(text, tuple(values))) for text, values in queries]
    waiting = _take(connection)
    with _as_errors_of_alchemy(connection, queries[-1][0]):
        driver: Any = connection.connection.driver_connection
        with _sending(driver, waiting):
            cursors = [driver.cursor().execute(*query) for query in queries]
        return [_rows_of(cursor) for cursor in cursors]


def _rows_of(cursor: Any) -> list[Any]:
    names = SimpleResultMetaData([column.name for column in cursor.description])
    return list(IteratorResult(names, iter(cursor.fetchall())))


def begin_part(connection: Connection, name: str) -> None:
    """From here on ``undo_part`` undoes what is done, until ``end_part``."""
    if any(each.rows for each in _waiting(connection)):
        send(connection)  # one with a value that the driver refuses would keep the savepoint from being made
    _run_plain(connection, f"SAVEPOINT {name}")


def undo_part(connection: Connection, name: str) -> None:
    """Where nothing of it was sent, nothing is undone."""
    waiting, start = _waiting(connection), f"SAVEPOINT {name}"
    places = [number for number, each in enumerate(waiting) if each.text == start]
    if places:
        del waiting[places[-1] + 1 :]
        return
    waiting.clear()
    if is_sqlite(connection):
        _run_plain(connection, f"ROLLBACK TO {name}")
    else:
        # At once: the driver sees by it that what it has prepared among statements that failed is not there.
        connection.exec_driver_sql(f"ROLLBACK TO {name}").close()


def end_part(connection: Connection, name: str) -> None:
    _run_plain(connection, f"RELEASE {name}")


def _run_plain(connection: Connection, statement: str) -> None:
    """A statement without values and rows, in the cheapest way that the driver has."""
    if is_sqlite(connection):
        driver_of(connection).execute(statement)
    elif not defer(connection, statement):
        connection.exec_driver_sql(statement).close()


def _defers(connection: Connection) -> bool:
    return not is_sqlite(connection) and _OPTION in connection.get_execution_options()


def _waiting(connection: Connection) -> list[_Deferred]:
    found: list[_Deferred] | None = connection.get_execution_options().get(_OPTION)
    return found if found is not None else []


def _take(connection: Connection) -> list[_Deferred]:
    waiting = _waiting(connection)
    taken = list(waiting)
    waiting.clear()
    return taken


def _send_with(connection: Connection, cursor: Any, statement: str, values: Any, execute: Any) -> bool:
    """False where nothing waits: then SQLAlchemy goes on as always."""
    waiting = _take(connection)
    if waiting:
        with _sending(cursor.connection, waiting):
            execute(statement, values)
    return bool(waiting)


@contextmanager
def _sending(driver: Any, waiting: Sequence[_Deferred]) -> Iterator[None]:
    """What waits, and the statements of the block."""
    kept = []
    with driver.pipeline(), driver.cursor() as cursor:
        for text, rows, keep in waiting:
            if keep is not None:
                kept.append((driver.cursor().execute(text), keep))
            elif rows is None:
                cursor.execute(text)
            else:
                cursor.executemany(text, rows)
        yield
    for query, keep in kept:
        keep(query.fetchall())


@contextmanager
def _as_errors_of_alchemy(connection: Connection, text: str) -> Iterator[None]:
    errors: Any = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        raise DBAPIError.instance(text, None, error, errors, dialect=connection.dialect) from error
