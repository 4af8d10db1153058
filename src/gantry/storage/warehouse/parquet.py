"""Rows as lines of JSON to Parquet, by DuckDB. No extension of it is ever loaded from elsewhere."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from gantry.durable_files import sync_file
from gantry.errors import Internal
from gantry.storage.warehouse.stages import COMMON, common_of, read_raw_lines
from gantry.table_schema import Column, Columns, quote_name, quote_text, write_duckdb_type

_COMMON_COLUMN = Column(0, COMMON, "STRING")
_ORDER = "ORDER BY StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID"
_GROUP = 8192
"""Rows in a group: the writer holds one group of each file, and a query skips whole groups."""

_LONG_LINE = 8 << 20  # bytes; DuckDB reads lines of 16 MiB unless it is told otherwise
_MEMORY = "1GB"  # more than it ever needs, unless rows are as long as they may be
_ERRNO = re.compile(r'"errno":"([0-9]+)"')
_KNOWN_ERRNOS = {
    os.strerror(number): number
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)
}
_SAID = re.compile("|".join(map(re.escape, _KNOWN_ERRNOS)))
_CONFIG: dict[str, str | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": _MEMORY,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # Either would let the longer side of a join stream, which need not be the one that is sorted.
    "disabled_optimizers": "join_order,build_side_probe_side",
}


def write_rows(stages: Sequence[Path], columns: Columns, longest: int, target: Path, spills: Path) -> int:
    """Write one file with the rows of several stages (lines of JSON, zstd), sorted by study and series; the number of
    rows. ``longest`` line in bytes; what does not fit into memory is spilt below ``spills``. Raises OSError, Internal.
    """
    if not stages:
        return _copy(f"SELECT {', '.join(_select(each, 'NULL') for each in columns)} WHERE false", target, spills)
    common = [path for path in map(_common_of, stages) if path.exists()]
    if not common:
        return _copy(f"FROM {_read_json(stages, columns, longest)} {_ORDER}", target, spills)
    return _copy(_join(stages, common, columns, longest), target, spills)


def _common_of(stage: Path) -> Path:
    return stage.with_name(common_of(stage.name))


def _join(stages: Sequence[Path], common: Sequence[Path], columns: Columns, longest: int) -> str:
    """The rows, each with what it has in common with others. They are sorted before they get it, as they are far
    shorter then; ``_CONFIG`` keeps them in their order. Raises Internal where something that rows have in common is
    gone."""
    known, keys = _read_members(common)
    own, wanted = _read_members(stages)
    if not wanted <= keys:
        raise Internal("what rows of the table have in common is gone from the directory")
    rows = f"(FROM {_read_json(stages, _among(columns, own), longest)} {_ORDER})"
    shared = _read_json(common, _among(columns, known), longest)
    selected = ", ".join(_choose(each, own, known) for each in columns)
    return f"FROM {rows} AS r LEFT JOIN {shared} AS c ON r.{COMMON} = c.{COMMON} SELECT {selected}"


def _read_members(files: Sequence[Path]) -> tuple[set[str], set[str]]:
    """The names of all members in these files, and all values of ``COMMON``."""
    names, keys = {COMMON}, set[str]()
    for path in files:
        for line in read_raw_lines(path):
            found = json.loads(line)
            names.update(found)
            if COMMON in found:
                keys.add(found[COMMON])
    return names, keys


def _among(columns: Columns, names: set[str]) -> Columns:
    return (_COMMON_COLUMN, *(column for column in columns if column.name in names))


def _choose(column: Column, own: set[str], common: set[str]) -> str:
    name, sides = quote_name(column.name), [side for side, names in (("r", own), ("c", common)) if column.name in names]
    if not sides:
        return _select(column, "NULL")
    values = [f"{side}.{name}" for side in sides]
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)}) AS {name}"


def _read_json(files: Sequence[Path], columns: Columns, longest: int) -> str:
    types = ", ".join(f"{quote_text(column.name)}: {quote_text(type_of(column))}" for column in columns)
    size = f", maximum_object_size={longest + 1024}" if longest > _LONG_LINE else ""
    return (
        f"read_json([{', '.join(quote_text(str(file)) for file in files)}], columns={{{types}}}, "
        f"format='newline_delimited', compression='zstd'{size})"
    )


def rewrite_file(source: Path, before: Columns, columns: Columns, target: Path, spills: Path) -> int:
    """Write the rows of a file with more columns; the number of rows. Raises OSError, Internal."""
    return _copy(_select_all([source], before, columns), target, spills)


def join_files(sources: Sequence[Path], before: Columns, columns: Columns, target: Path, spills: Path) -> int:
    """Write the rows of several files as one, sorted by study and series; the number of rows. Raises OSError,
    Internal."""
    return _copy(f"{_select_all(sources, before, columns)} {_ORDER}", target, spills)


def _select_all(sources: Sequence[Path], before: Columns, columns: Columns) -> str:
    names = {column.name for column in before}
    selected = (_select(each, quote_name(each.name) if each.name in names else "NULL") for each in columns)
    files = ", ".join(quote_text(str(source)) for source in sources)
    return f"FROM read_parquet([{files}]) SELECT {', '.join(selected)}"


def _select(column: Column, value: str) -> str:
    """A RECORD is cast by the names of its fields, and gets those that it lacks."""
    return f"CAST({value} AS {type_of(column)}) AS {quote_name(column.name)}"


def _copy(query: str, target: Path, spills: Path) -> int:
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, USE_TMP_FILE false"
    with closing(connect(spills)) as connection:
        (count,) = run(connection, f"COPY ({query}) TO {quote_text(str(target))} ({options})")
    sync_file(target)
    return int(count)


def connect(spills: Path, database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(database, config={**_CONFIG, "temp_directory": str(spills)})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run(connection: duckdb.DuckDBPyConnection, statement: str) -> Sequence[Any]:
    """The first row of the answer. Raises OSError for what the system has refused, Internal for anything else."""
    try:
        return connection.execute(statement).fetchone() or ()
    except duckdb.Error as error:
        number = find_errno(error)
        if number:
            raise OSError(number, os.strerror(number)) from None
        raise Internal("the rows cannot be written as Parquet; the server's log has the details") from error


def find_errno(error: duckdb.Error) -> int:
    """What the system has said, if DuckDB repeats it: the number or, for some calls, only the text."""
    found = _ERRNO.search(f"{error}")
    if found is not None:
        return int(found[1])
    said = _SAID.search(f"{error}")
    return _KNOWN_ERRNOS[said[0]] if said is not None else 0


def type_of(column: Column) -> str:
    """The type of a column in DuckDB."""
    return write_duckdb_type(column.type, column.repeated, ((each.name, type_of(each)) for each in column.fields))
