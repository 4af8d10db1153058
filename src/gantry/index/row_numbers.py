"""The numbers of new rows in PostgreSQL: from sequences, before the rows are written. Nobody else gets them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from gantry.index.deferred import defer

_OPTION = "gantry_numbers"


def expect_numbers(connection: Connection, table: str, count: int) -> None:
    """So many are needed soon: they come with the next rows. Those that are not taken stay unused."""
    taken = connection.get_execution_options().get(_OPTION)
    if taken is None:
        taken = {}
        connection.execution_options(**{_OPTION: taken})

    def keep(rows: list[Any]) -> None:
        taken[table] = sorted(number for (number,) in rows)

    if count:
        defer(connection, _query(table, count), keep=keep)


def take_numbers(connection: Connection, table: str, count: int) -> list[int]:
    """The next numbers of a table that numbers its rows, in order."""
    ahead: list[int] = connection.get_execution_options().get(_OPTION, {}).pop(table, [])
    if len(ahead) < count:
        ahead = sorted(connection.exec_driver_sql(_query(table, count)).scalars())
    return ahead[:count]


def _query(table: str, count: int) -> str:
    return f"SELECT nextval('{table}_id_seq') FROM generate_series(1, {int(count)})"  # noqa: S608 - ours
