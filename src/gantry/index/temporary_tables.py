"""Tables of one connection alone, which the database keeps on the disk: what does not fit into memory is sorted and
compared there. And the statements of checks, which are one text for both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult, Row

from gantry.index.dialect import is_sqlite

INTEGER, TEXT = "INTEGER", "TEXT"
_TYPES = {INTEGER: "BIGINT", TEXT: 'TEXT COLLATE "C"'}  # PostgreSQL's
_ROWS = 1000


def make_table(connection: Connection, name: str, columns: Mapping[str, str]) -> None:
    """Empty, with all of its columns as its key. Outside of a transaction."""
    keys = ", ".join(columns)
    if is_sqlite(connection):
        types = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS temp.{name}")
        connection.exec_driver_sql(f"CREATE TEMP TABLE {name} ({types}, PRIMARY KEY ({keys})) WITHOUT ROWID")
        return
    types = ", ".join(f"{column} {_TYPES[kind]}" for column, kind in columns.items())
    connection.exec_driver_sql("BEGIN READ WRITE")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{name}")
    connection.exec_driver_sql(f"CREATE TEMP TABLE {name} ({types}, PRIMARY KEY ({keys}))")
    connection.exec_driver_sql("COMMIT")


def note_contents(connection: Connection, name: str) -> None:
    """Of a table that is filled: PostgreSQL knows nothing of one before."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"ANALYZE {name}")


def execute(connection: Connection, query: str, values: Sequence[Any] = ()) -> CursorResult[*tuple[Any, ...]]:
    """``?`` stands for a value; ``values`` may be a list of rows."""
    marked = query if is_sqlite(connection) else query.replace("?", "%s")
    given = values if isinstance(values, list) else tuple(values)
    return connection.exec_driver_sql(marked, given)


def stream(connection: Connection, query: str) -> Iterator[Row[*tuple[Any, ...]]]:
    """Rows as they come, of one moment, whatever their number: PostgreSQL's driver would read all of them else."""
    if is_sqlite(connection):
        yield from connection.exec_driver_sql(query)
        return
    with one_moment(connection):
        options = {"stream_results": True, "max_row_buffer": _ROWS}
        yield from connection.exec_driver_sql(query, execution_options=options)


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """All that a connection reads in the block is of one moment. A moment within another one is the same."""
    known = connection.info
    if known.get("moment"):
        yield
        return
    connection.exec_driver_sql("BEGIN" if is_sqlite(connection) else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    known["moment"] = True
    try:
        yield
    finally:
        known["moment"] = False
        if not connection.invalidated:  # with a connection that is lost its moment is gone
            connection.exec_driver_sql("ROLLBACK")
