"""Many new rows at once by COPY, which PostgreSQL takes in less time than as many statements, however they are sent.

Measured: docs/decisions/0022-postgresql.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gantry.index.deferred import send

LEAST = 8
"""For fewer rows a prepared statement takes as long."""

_INSERT, _VALUES = "INSERT INTO ", " VALUES "


def copy_rows(connection: Connection, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """The rows that ``insert``, a statement with a value for each of its columns, would insert one by one.

    Raises what SQLAlchemy would raise for the statement.
    """
    table, found, _ = insert.partition(_VALUES)
    if not (found and table.startswith(_INSERT)):
        raise ValueError(f"no plain INSERT: {insert[:100]}")
    send(connection)
    text = f"COPY {table.removeprefix(_INSERT)} FROM STDIN"
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(text) as copy:
            for row in rows:
                copy.write_row(row)
    except errors as error:
        raise DBAPIError.instance(text, None, error, errors, dialect=connection.dialect) from error
