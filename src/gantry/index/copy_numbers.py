"""Which numbers an index has given out: a copy gives out none of them again (sqlite.org/autoinc.html; PostgreSQL's
sequences)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from gantry.index.all_tables import metadata
from gantry.index.dialect import is_sqlite

_NUMBERED = [each.name for each in metadata.sorted_tables if each.dialect_options["sqlite"].get("autoincrement")]
"""Tables whose numbers are never used again."""


def read_numbers(connection: Connection) -> dict[str, int]:
    """The last number of each such table."""
    if is_sqlite(connection):
        rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
        return {name: int(number) for name, number in rows if name in _NUMBERED}
    return {name: _read_last(connection, name) for name in _NUMBERED}


def write_numbers(connection: Connection, numbers: Mapping[str, int]) -> None:
    """In the transaction of the caller, when the rows are there."""
    if is_sqlite(connection):
        connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        made = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
        for name in _NUMBERED:
            connection.execute(made, {"name": name, "last": numbers.get(name, 0)})
        return
    for name in (each.name for each in metadata.sorted_tables):
        if _has_sequence(connection, name):
            highest = connection.exec_driver_sql(f"SELECT max(id) FROM {name}").scalar() or 0  # noqa: S608 - of ours
            last = max(numbers.get(name, 0), int(highest))
            if last:
                connection.execute(text(f"SELECT setval('{name}_id_seq', :last)"), {"last": last}).close()


def _read_last(connection: Connection, name: str) -> int:
    query = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}_id_seq"  # noqa: S608 - of ours
    return int(connection.exec_driver_sql(query).scalar_one())


def _has_sequence(connection: Connection, name: str) -> bool:
    return connection.exec_driver_sql("SELECT to_regclass(%s)", (f"{name}_id_seq",)).scalar() is not None
