"""The columns of a table of metadata, as values: names, types and modes as BigQuery has them; and its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from gantry.errors import FailedPrecondition

Type = Literal["STRING", "INTEGER", "FLOAT", "DATE", "TIME", "TIMESTAMP", "JSON", "RECORD"]
_DUCKDB = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMPTZ",
    "NUMERIC": "DECIMAL(38, 9)",
    "JSON": "JSON",
}
"""Types that columns of tables and of results have in DuckDB, and so in Parquet; all others are texts."""


class Column(NamedTuple):
    """``order`` is its place among its siblings: the tag of its element. ``fields`` are those of a RECORD.

    ``repeated`` is the mode: REPEATED, else NULLABLE.
    """

    order: int
    name: str
    type: Type
    repeated: bool = False
    fields: tuple[Column, ...] = ()

    @property
    def mode(self) -> str:
        return "REPEATED" if self.repeated else "NULLABLE"


Columns = tuple[Column, ...]


class TableRow(NamedTuple):
    """A row as JSON: its ``own`` members, an object; and those that other rows have too, each with a comma in front.

    Rows of a series are much alike: what is ``common`` to them is one text, so it is written and read once for all.
    """

    own: str
    common: str = ""

    def line(self) -> str:
        """The whole row."""
        return f"{self.own[:-1]}{self.common}}}" if self.common else self.own


def merge_columns(one: Iterable[Column], other: Iterable[Column]) -> Columns:
    """All columns of both, in their order. Raises FailedPrecondition where one has two types."""
    found = {column.name: column for column in one}
    for column in other:
        known = found.get(column.name)
        found[column.name] = column if known is None or known == column else _merge(known, column)
    return tuple(sorted(found.values()))


def _merge(one: Column, other: Column) -> Column:
    if (one.type, one.repeated) != (other.type, other.repeated):
        raise FailedPrecondition(
            f"column {one.name} is {one.type} {one.mode} in one place and {other.type} {other.mode} in another",
            advice="write to another table, or overwrite this one",
        )
    return one._replace(fields=merge_columns(one.fields, other.fields))


def dump_columns(columns: Iterable[Column]) -> str:
    """As JSON: each as the list of its fields."""
    return json.dumps([_to_list(column) for column in columns], separators=(",", ":"))


def load_columns(text: str) -> Columns:
    """What ``dump_columns`` wrote."""
    return _from_lists(json.loads(text))


def _to_list(column: Column) -> list[Any]:
    return [*column[:4], [_to_list(each) for each in column.fields]]


def _from_lists(lists: Sequence[Any]) -> Columns:
    return tuple(Column._make([*each[:4], _from_lists(each[4])]) for each in lists)


def write_duckdb_type(type: str, is_repeated: bool, fields: Iterable[tuple[str, str]] = ()) -> str:
    """The type of a column in DuckDB. ``fields`` of a RECORD: their names, and what this has returned for them."""
    kind = _DUCKDB.get(type, "VARCHAR")
    if type == "RECORD":
        kind = f"STRUCT({', '.join(f'{quote_name(name)} {below}' for name, below in fields)})"
    return f"{kind}[]" if is_repeated else kind


def quote_name(name: str) -> str:
    """As DuckDB's SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """As DuckDB's SQL has it."""
    return "'" + text.replace("'", "''") + "'"
