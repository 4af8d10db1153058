"""Wiring of tables: from the setting ``bigquery`` to the directories where exports of metadata write."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gantry.durable_files import make_directory
from gantry.errors import FailedPrecondition
from gantry.settings.directories import check_tables
from gantry.settings.loading import Settings
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.system_errors import describe_os_error
from gantry.table_seams import NO_WAREHOUSE, Warehouse


def require_tables(settings: Settings) -> None:
    """Raises FailedPrecondition where the library that writes Parquet is not installed, or a directory cannot be made,
    and InvalidArgument where one is among the server's own files."""
    if not settings.bigquery:
        return
    if find_spec("duckdb") is None:
        raise FailedPrecondition(
            "bigquery: needs a library that is not installed: `pip install 'gantry-dicom[tables]'`"
        )
    check_tables(Path(settings.data).absolute(), settings.bigquery)
    for root in settings.bigquery.values():
        try:
            make_directory(Path(root))
        except OSError as error:
            raise FailedPrecondition(f"bigquery: {root} cannot be made: {describe_os_error(error)}") from None


def open_warehouse(settings: Settings, mark: str) -> Warehouse:
    """``mark`` is that of the index. Raises what ``require_tables`` raises."""
    require_tables(settings)
    return LocalWarehouse(settings.bigquery, mark) if settings.bigquery else NO_WAREHOUSE
