"""A DuckDB file of views beside the tables of a dataset: one view for each table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from gantry.durable_files import sync_directory, sync_file
from gantry.storage.warehouse.parquet import connect, quote_name, quote_text, run

_FORMAT = "v1.0.0"
"""Of the file: every DuckDB since then reads it."""


def write_views(file: Path, tables: Mapping[str, Path], temporary: Path) -> None:
    """Replace ``file`` as a whole. ``tables`` are the directories of Parquet files by name. Readers that have the old
    one open keep it. Raises OSError, Internal."""
    for left in (temporary, Path(f"{temporary}.wal")):
        left.unlink(missing_ok=True)
    with closing(connect(temporary.parent)) as connection:
        run(connection, f"ATTACH {quote_text(str(temporary))} AS made (STORAGE_VERSION {quote_text(_FORMAT)})")
        for name, directory in sorted(tables.items()):
            source = f"read_parquet({quote_text(f'{directory}/*.parquet')})"
            run(connection, f"CREATE VIEW made.{quote_name(name)} AS FROM {source}")
        run(connection, "DETACH made")
    sync_file(temporary)
    os.replace(temporary, file)
    sync_directory(file.parent)
