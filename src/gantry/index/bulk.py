"""Statements that run for many rows at once. They are compiled once, and rows go to the driver as tuples: SQLAlchemy's
work for each row would cost more than SQLite's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Table, bindparam, insert, select

Rows = Sequence[tuple[Any, ...]]


class Bulk:
    """A statement whose parameters are ``names``, in the order in which each row gives their values.

    Values are as the driver takes them: numbers, texts and bytes.
    """

    def __init__(self, statement: Any, *names: str) -> None:
        self._statement, self._names = statement, list(names)
        self._texts: dict[str, str] = {}

    def run(self, connection: Connection, rows: Rows) -> None:
        """Nothing happens where there are no rows. Raises IntegrityError as SQLAlchemy does."""
        if rows:
            text = self._texts.get(connection.dialect.name) or self._compile(connection.dialect)
            connection.exec_driver_sql(text, list(rows))

    def _compile(self, dialect: Dialect) -> str:
        # Without the names SQLAlchemy would bind every column of the table in an INSERT.
        compiled = self._statement.compile(dialect=dialect, column_keys=[])
        if compiled.positiontup != self._names:
            raise ValueError(f"rows give {self._names}, but the statement takes {compiled.positiontup}")
        text = self._texts[dialect.name] = str(compiled)
        return text


def inserting(table: Table, *names: str) -> Bulk:
    """New rows with these columns, which stand in the order of the table; the others have their defaults."""
    statement: Insert = insert(table).values({name: bindparam(name) for name in names})
    return Bulk(statement, *names)


def insert_numbered(connection: Connection, table: Table, bulk: Bulk, rows: Rows) -> list[int]:
    """Insert rows; the numbers that they have got in the column ``id``, in their order.

    Numbers grow, and nobody else writes meanwhile: those of the new rows are behind all that were there.
    """
    number = table.c.id
    last = connection.execute(select(number).order_by(number.desc()).limit(1)).scalar() or 0
    bulk.run(connection, rows)
    return list(connection.execute(select(number).where(number > last).order_by(number)).scalars())
