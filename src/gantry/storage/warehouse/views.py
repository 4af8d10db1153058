"""A DuckDB file of views beside the tables of a dataset: one view for each table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from gantry.durable_files import sync_file
from gantry.storage.warehouse.parquet import connect, run
from gantry.table_schema import quote_name, quote_text

_FORMAT = "v1.0.0"
"""Of the file: every DuckDB since then reads it."""


def write_views(file: Path, tables: Mapping[str, Path]) -> None:
    """Write a new file; it is on the disk on return. ``tables`` are the directories of Parquet files by name. Raises
    OSError, Internal."""
    for left in (file, Path(f"{file}.wal")):
        left.unlink(missing_ok=True)
    with closing(connect(file.parent)) as connection:
        run(connection, f"ATTACH {quote_text(str(file))} AS made (STORAGE_VERSION {quote_text(_FORMAT)})")
        for name, directory in sorted(tables.items()):
            source = f"read_parquet({quote_text(f'{directory}/*.parquet')})"
            run(connection, f"CREATE VIEW made.{quote_name(name)} AS FROM {source}")
        run(connection, "DETACH made")
    sync_file(file)
