"""SQL statements of an index, as they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from gantry.index.database import Database


@contextmanager
def record_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Those inside the block with their parameters, for many rows those of the first; no transaction control."""
    statements: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            statements.append((statement, parameters[0] if many else parameters))

    engines = database.engine, database.writer
    for engine in engines:
        event.listen(engine, "before_cursor_execute", keep)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", keep)
