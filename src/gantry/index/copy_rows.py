"""The rows of an index, table by table, in the order of their keys: read in ranges, and written as they were read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnClause, Connection, LargeBinary, Select, TableClause, literal, select, tuple_

from gantry.index.access_tables import account_key, token_secret
from gantry.index.all_tables import metadata
from gantry.index.dialect import is_sqlite
from gantry.index.statements import Statement, inserting
from gantry.index.tables import server, study_text

Row = tuple[Any, ...]

ROWS, LARGE_ROWS = 2000, 64
"""Read and written at a time: of rows with bytes in them, of which one may have a MiB, fewer."""

TABLES: tuple[TableClause, ...] = (
    *(each for each in metadata.sorted_tables if each not in (account_key, token_secret, server)),
    study_text,
)
"""Those that others refer to come before them. Not among them are keys, which beside SQLite are files,
and servers that are alive: none uses either index meanwhile."""


def read_rows(connection: Connection, table: TableClause, last: Row | None = None) -> Iterator[list[Row]]:
    """Ranges of rows as the target has them, behind the one with the key ``last``."""
    keys = _keys(table)
    places = [list(table.c).index(key) for key in keys]
    most = LARGE_ROWS if any(isinstance(each.type, LargeBinary) for each in table.c) else ROWS
    while True:
        read = connection.execute(_select_after(table, keys, last).limit(most)).all()
        if rows := [row for each in read if (row := _to_writable(connection, table, tuple(each))) is not None]:
            yield rows
        if len(read) < most:
            return
        last = tuple(read[-1][place] for place in places)


def find_last(connection: Connection, table: TableClause) -> Row | None:
    """The last key of a table; None where it is empty."""
    keys = _keys(table)
    found = connection.execute(select(*keys).order_by(*(key.desc() for key in keys)).limit(1)).first()
    return None if found is None else tuple(found)


def count_rows(connection: Connection, table: TableClause) -> int:
    name = connection.dialect.identifier_preparer.quote(table.name)
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())  # noqa: S608 - of ours


def write_rows(connection: Connection, table: TableClause, rows: Sequence[Row]) -> None:
    """In the transaction of the caller."""
    _inserting(table).run(connection, rows)


@cache
def _inserting(table: TableClause) -> Statement:
    return inserting(table, *(column.name for column in table.c))


def remove_all_rows(connection: Connection) -> None:
    """In the transaction of the caller."""
    names = [connection.dialect.identifier_preparer.quote(table.name) for table in reversed(TABLES)]
    if is_sqlite(connection):
        for name in names:
            connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - of ours
    else:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(names)}")


def _keys(table: TableClause) -> list[ColumnClause[Any]]:
    return [each for each in table.c if each.primary_key or (table is study_text and each.name == "rowid")]


def _select_after(table: TableClause, keys: Sequence[ColumnClause[Any]], last: Row | None) -> Select[Any]:
    query = select(*table.c).order_by(*keys)
    if last is None:
        return query
    bound = [literal(value, key.type) for key, value in zip(keys, last, strict=True)]
    return query.where(keys[0] > bound[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*bound))


def _to_writable(connection: Connection, table: TableClause, row: Row) -> Row | None:
    """PostgreSQL has no U+0000 in a text, so it is left out, as where a server writes there. A key that is there
    without it already is one row with it then: None."""
    if not any(isinstance(value, str) and "\0" in value for value in row):
        return row
    cleared = tuple(value.replace("\0", "") if isinstance(value, str) else value for value in row)
    keys = {key: list(table.c).index(key) for key in _keys(table)}
    if all(row[place] == cleared[place] for place in keys.values()):
        return cleared
    same = [key == cleared[place] for key, place in keys.items()]
    is_there = connection.execute(select(*keys).where(*same)).first() is not None
    return None if is_there else cleared
