"""A DuckDB file of views beside the tables of a dataset: one view for each table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from gantry.durable_files import sync_file
from gantry.errors import Internal
from gantry.storage.disks import FULL
from gantry.storage.warehouse.parquet import connect, run
from gantry.table_schema import quote_name, quote_text

logger = logging.getLogger(__name__)

_FORMAT = "v1.0.0"
"""Of the file: every DuckDB since then reads it."""


_said: dict[str, Path] = {}
"""Tables without a view, which the log has said of them: a table that follows a store is written every few seconds."""


def write_views(file: Path, tables: Mapping[str, Path], others: Mapping[str, Path]) -> None:
    """Write a new file; it is on the disk on return. ``tables`` are directories of Parquet files by name, and so are
    ``others``, which get no view where they cannot be read: a table that is damaged is in the way of no other one.
    Raises OSError, Internal."""
    for left in (file, Path(f"{file}.wal")):
        left.unlink(missing_ok=True)
    with closing(connect(file.parent)) as connection:
        run(connection, f"ATTACH {quote_text(str(file))} AS made (STORAGE_VERSION {quote_text(_FORMAT)})")
        for name, directory in sorted(tables.items()):
            _make_view(connection, name, directory)
        for name, directory in sorted(others.items()):
            try:
                _make_view(connection, name, directory)
            except (Internal, OSError) as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                _say(name, directory)
        run(connection, "DETACH made")
    sync_file(file)


def _make_view(connection: duckdb.DuckDBPyConnection, name: str, directory: Path) -> None:
    source = f"read_parquet({quote_text(f'{directory}/*.parquet')})"
    run(connection, f"CREATE VIEW made.{quote_name(name)} AS FROM {source}")


def _say(name: str, directory: Path) -> None:
    if _said.get(name) != directory:
        _said[name] = directory
        logger.warning("table %s has no view beside it: its files are damaged, or cannot be read now", name)
