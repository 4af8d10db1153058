"""Statements that are compiled once and take their values as tuples.

For what runs with every batch: SQLAlchemy's work for each statement, and for each row, would cost more than SQLite's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Select, Table, bindparam, func, insert, select

Rows = Sequence[tuple[Any, ...]]


class Statement:
    """A statement whose parameters are ``names``, in the order in which values are given.

    Values are as the driver takes and gives them: numbers, texts and bytes.
    """

    def __init__(self, statement: Any, *names: str) -> None:
        self._statement, self._names = statement, list(names)
        self._texts: dict[str, str] = {}

    def execute(self, connection: Connection, *values: Any) -> CursorResult[Any]:
        """Once. Rows have their columns as attributes."""
        return connection.exec_driver_sql(self._text(connection.dialect), values)

    def run(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """Once for each row, if there is any. Raises IntegrityError as SQLAlchemy does."""
        if every := list(rows):
            connection.exec_driver_sql(self._text(connection.dialect), every)

    def _text(self, dialect: Dialect) -> str:
        return self._texts.get(dialect.name) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> str:
        # Without the names SQLAlchemy would bind every column of the table in an INSERT.
        compiled = self._statement.compile(dialect=dialect, column_keys=[])
        if compiled.positiontup != self._names:
            raise ValueError(f"values are {self._names}, but the statement takes {compiled.positiontup}")
        text = self._texts[dialect.name] = str(compiled)
        return text


FEW = 4
"""Up to so many rows are looked up one by one: an IN with values of any number costs five times as much for one row."""


@cache
def by_columns(*columns: Any, of: Any = None) -> Statement:
    """The rows where ``columns`` have the values that are given: all columns of their table, or those of ``of``."""
    shown = of if of is not None else (columns[0].table,)
    names = [f"given_{number}" for number in range(len(columns))]
    conditions = [column == bindparam(name) for column, name in zip(columns, names, strict=True)]
    return Statement(select(*shown).where(*conditions), *names)


def inserting(table: Any, *names: str) -> Statement:
    """New rows with these columns, which stand in the order of the table; the others have their defaults."""
    return Statement(insert(table).values({name: bindparam(name) for name in names}), *names)


class Numbering:
    """New rows of a table that numbers them in its column ``id``."""

    def __init__(self, table: Table, *names: str) -> None:
        self._insert, self._last = inserting(table, *names), Statement(select(func.max(table.c.id)))

    def insert(self, connection: Connection, rows: Rows) -> Sequence[int]:
        """The numbers of the new rows, in their order: one after the other, since nobody else writes meanwhile."""
        if not rows:
            return ()
        self._insert.run(connection, rows)
        last = int(self._last.execute(connection).scalar_one())
        return range(last - len(rows) + 1, last + 1)


def fetch_tuples(connection: Connection, query: Select[Any], values: dict[str, Any]) -> Rows:
    """All rows of a query on numbers and texts, as the driver gives them."""
    result = connection.execute(query, values)
    if result.cursor is None:
        raise ValueError("only a query gives rows")
    rows: Rows = result.cursor.fetchall()
    result.close()
    return rows
