"""Statements that are compiled once and take their values as tuples.

For what runs with every batch, and with most requests: SQLAlchemy's work for each statement, and for each row, would
cost more than SQLite's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Dialect, Select, Table, bindparam, func, insert, select

from gantry.index.commits import driver_of
from gantry.index.copying import LEAST, copy_rows
from gantry.index.deferred import defer, fetch_together
from gantry.index.dialect import is_sqlite
from gantry.index.row_numbers import expect_numbers, take_numbers

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
        """Once for each row, if there is any. Raises IntegrityError as SQLAlchemy does; PostgreSQL may raise it when
        something gives rows, or all is sent (``deferred``)."""
        if every := list(rows):
            text = self._text(connection.dialect)
            if not defer(connection, text, every):
                connection.exec_driver_sql(text, every)

    def fetch_each(self, connection: Connection, every: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """The rows for each of ``every``, values for one time; those of a few are sent together."""
        return fetch_each(connection, [(self, values) for values in every])

    def text_for(self, connection: Connection) -> str:
        return self._text(connection.dialect)

    def _text(self, dialect: Dialect) -> str:
        return self._texts.get(dialect.name) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> str:
        # Without the names SQLAlchemy would bind every column of the table in an INSERT.
        compiled = self._statement.compile(dialect=dialect, column_keys=[])
        if compiled.positiontup != self._names:
            raise ValueError(f"values are {self._names}, but the statement takes {compiled.positiontup}")
        text = self._texts[dialect.name] = str(compiled)
        return text


def fetch_each(connection: Connection, queries: Sequence[tuple[Statement, tuple[Any, ...]]]) -> list[list[Any]]:
    """The rows of queries that do not depend on each other."""
    return fetch_together(connection, [(each.text_for(connection), values) for each, values in queries])


FEW = 4
"""Up to so many rows are looked up one by one: an IN with values of any number costs five times as much for one row."""


@cache
def by_columns(*columns: Any, of: Any = None) -> Statement:
    """The rows where ``columns`` have the values that are given: all columns of their table, or those of ``of``."""
    shown = of if of is not None else (columns[0].table,)
    names = [f"given_{number}" for number in range(len(columns))]
    conditions = [column == bindparam(name) for column, name in zip(columns, names, strict=True)]
    return Statement(select(*shown).where(*conditions), *names)


class _Insertion(Statement):
    """A plain INSERT: of many rows PostgreSQL gets a COPY."""

    def run(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        every = list(rows)
        if len(every) < LEAST or is_sqlite(connection):
            super().run(connection, every)
        else:
            copy_rows(connection, self._text(connection.dialect), every)


def inserting(table: Any, *names: str) -> Statement:
    """New rows with these columns, which stand in the order of the table; the others have their defaults."""
    return _Insertion(insert(table).values({name: bindparam(name) for name in names}), *names)


class Numbering:
    """New rows of a table that numbers them in its column ``id``."""

    def __init__(self, table: Table, *names: str) -> None:
        self._insert, self._last = inserting(table, *names), Statement(select(func.max(table.c.id)))
        self._table, self._insert_numbered = table.name, inserting(table, "id", *names)

    def expect(self, connection: Connection, most: int) -> None:
        """So many rows are written soon, at most."""
        if not is_sqlite(connection):
            expect_numbers(connection, self._table, most)

    def insert(self, connection: Connection, rows: Rows) -> Sequence[int]:
        """The numbers of the new rows, in their order. In SQLite they are one after the other, since nobody else writes
        meanwhile."""
        if not rows:
            return ()
        if not is_sqlite(connection):
            numbers = take_numbers(connection, self._table, len(rows))
            self._insert_numbered.run(connection, [(number, *row) for number, row in zip(numbers, rows, strict=True)])
            return numbers
        self._insert.run(connection, rows)
        last = int(self._last.execute(connection).scalar_one())
        return range(last - len(rows) + 1, last + 1)


class _Compiled(NamedTuple):
    text: str
    names: tuple[str, ...]
    constants: dict[str, Any]
    is_expanding: bool


class CompiledQuery:
    """A query on numbers and texts that is compiled once and run by the driver itself: for what most requests read.

    Its values are given by name. Where it binds a list of any length (``expanding``), SQLAlchemy runs it.
    """

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._compiled: dict[str, _Compiled] = {}

    def fetch(self, connection: Connection, values: Mapping[str, Any]) -> Rows:
        """All rows, as the driver gives them; ``values`` may hold more than the query takes."""
        dialect = connection.dialect
        text, names, constants, is_expanding = self._compiled.get(dialect.name) or self._compile(dialect)
        if is_expanding:
            return _fetch_expanding(connection, self._query, values)
        known = {**constants, **values}
        return fetch_rows(connection, text, tuple([known[name] for name in names]))

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled: Any = self._query.compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        is_expanding = bool(compiled.post_compile_params)
        made = _Compiled(str(compiled), tuple(compiled.positiontup), constants, is_expanding)
        self._compiled[dialect.name] = made
        return made


def fetch_rows(connection: Connection, text: str, values: tuple[Any, ...]) -> Rows:
    """All rows of a statement of the driver. Raises what the driver raises."""
    if not is_sqlite(connection):
        return _fetch(connection.exec_driver_sql(text, values))
    try:
        with closing(driver_of(connection).execute(text, values)) as cursor:
            return cursor.fetchall()
    except sqlite3.ProgrammingError:
        # Perhaps the connection is closed: SQLAlchemy finds that out, and takes another one the next time.
        return connection.exec_driver_sql(text, values).fetchall()


def _fetch_expanding(connection: Connection, query: Select[Any], values: Mapping[str, Any]) -> Rows:
    return _fetch(connection.execute(query, values))


def _fetch(result: CursorResult[Any]) -> Rows:
    if result.cursor is None:
        raise ValueError("only a query gives rows")
    rows: Rows = result.cursor.fetchall()
    result.close()
    return rows
