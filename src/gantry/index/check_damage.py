"""What is wrong with the file of the index itself, one table after the other."""

# ruff: noqa: S608 - queries are made of the names of tables and columns alone
from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Table, Text

from gantry.findings import Finding, Kind
from gantry.index.all_tables import metadata
from gantry.index.commits import driver_of

_MOST_DAMAGE = 100  # lines of SQLite: one damaged page can make thousands
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


def find_damage(connection: Connection) -> Iterator[Finding]:
    """Damaged pages, indexes that have lost an entry or have one too many, and texts that are none."""
    left = _MOST_DAMAGE
    for table in connection.exec_driver_sql(_TABLES).scalars().all():
        for line in connection.exec_driver_sql(f"PRAGMA integrity_check({_quote(table)})").scalars().all():
            if line != "ok" and left > 0:
                left -= 1
                yield Finding(Kind.INDEX_DAMAGED, "index.sqlite", str(line).replace("\n", " ")[:300])
    yield from _find_bad_texts(connection)


def _find_bad_texts(connection: Connection) -> Iterator[Finding]:
    """A reader replaces what is no UTF-8, so that the rest of a row can be checked."""
    driver_of(connection).create_function("are_texts", -1, _are_texts, deterministic=True)
    for table in metadata.sorted_tables:
        texts = [column.name for column in table.columns if isinstance(column.type, Text)]
        if not texts:
            continue
        values = ", ".join(f"CAST({_quote(name)} AS BLOB)" for name in texts)
        query = f"SELECT {_name_of(table)} FROM {_quote(table.name)} WHERE NOT are_texts({values})"
        for (name,) in connection.exec_driver_sql(query):
            yield Finding(Kind.INDEX_DAMAGED, str(name), "a text in its row is no UTF-8")


def _are_texts(*values: bytes | None) -> bool:
    try:
        for value in values:
            if value is not None:
                value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _name_of(table: Table) -> str:
    keys = [_quote(column.name) for column in table.primary_key.columns]
    return f"'{table.name} ' || " + " || ' ' || ".join(keys)


def _quote(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'
