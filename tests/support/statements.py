"""SQL statements of an index, as they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Connection, event

from gantry.index import statements as running
from gantry.index.database import Database
from gantry.index.dialect import is_sqlite


@contextmanager
def record_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Those inside the block with their parameters, for many rows those of the first; no transaction control."""
    statements: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            statements.append((statement, parameters[0] if many else parameters))

    fetch_rows = running.fetch_rows

    def keep_and_fetch(connection: Connection, text: str, values: tuple[Any, ...]) -> running.Rows:
        """Of any index: with SQLite these statements are run by the driver, so that SQLAlchemy sees none of them."""
        if is_sqlite(connection):
            statements.append((text, values))
        return fetch_rows(connection, text, values)

    engines = database.engine, database.writer
    for engine in engines:
        event.listen(engine, "before_cursor_execute", keep)
    try:
        with mock.patch.object(running, "fetch_rows", keep_and_fetch):
            yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", keep)
