"""Wiring of tables: from the settings ``bigquery`` and ``bigquery_projects`` to where exports of metadata write."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from gantry.durable_files import make_directory
from gantry.errors import FailedPrecondition
from gantry.libraries import is_installed
from gantry.query_seams import NO_QUERIES, QueryEngine
from gantry.settings.directories import check_tables
from gantry.settings.loading import Settings
from gantry.storage.bigquery.warehouse import BigQueryWarehouse
from gantry.storage.sql.engine import LocalQueries
from gantry.storage.sql.limits import QueryLimits
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.system_errors import describe_os_error
from gantry.table_address import TableAddress
from gantry.table_seams import NO_WAREHOUSE, ExportTable, StreamTable, Warehouse

_STAGING, _SPILLS = "bigquery", "queries"
_THREADS = 4  # of one query: others want to run, too


def require_tables(settings: Settings) -> None:
    """Raises FailedPrecondition where the library that writes Parquet is not installed, or a directory cannot be made,
    and InvalidArgument where one is among the server's own files."""
    _require_bigquery(settings)
    if not settings.bigquery:
        return
    if not (is_installed("duckdb") and is_installed("sqlglot")):
        raise FailedPrecondition(
            "bigquery: needs a library that is not installed: `pip install 'gantry-dicom[tables]'`"
        )
    check_tables(Path(settings.data).absolute(), settings.bigquery)
    for root in settings.bigquery.values():
        try:
            make_directory(Path(root))
        except OSError as error:
            raise FailedPrecondition(f"bigquery: {root} cannot be made: {describe_os_error(error)}") from None


def _require_bigquery(settings: Settings) -> None:
    if not settings.bigquery_projects:
        return
    if not is_installed("google.cloud.bigquery"):
        raise FailedPrecondition(
            "bigquery_projects: needs libraries that are not installed: `pip install 'gantry-dicom[bigquery]'`"
        )
    if settings.engine is not None:
        raise FailedPrecondition(
            "bigquery_projects: rows wait in the data directory, which workers of an engine do not have; leave "
            "executor out"
        )


def open_warehouse(settings: Settings, mark: str) -> Warehouse:
    """``mark`` is that of the index. Raises what ``require_tables`` raises."""
    require_tables(settings)
    local = LocalWarehouse(settings.bigquery, mark) if settings.bigquery else NO_WAREHOUSE
    if not settings.bigquery_projects:
        return local
    staging = Path(settings.data).absolute() / _STAGING
    return _Warehouses(local, settings.bigquery, BigQueryWarehouse(settings.bigquery_projects, staging))


def open_queries(settings: Settings) -> QueryEngine:
    """SQL over the tables that have a directory."""
    if not settings.bigquery:
        return NO_QUERIES
    limits = QueryLimits(
        settings.query_seconds,
        settings.query_megabytes,
        settings.query_result_megabytes,
        threads=min(os.cpu_count() or 1, _THREADS),
    )
    roots = {name: os.path.abspath(root) for name, root in settings.bigquery.items()}
    return LocalQueries(roots, Path(settings.data).absolute() / _SPILLS, limits)


@dataclass(frozen=True)
class _Warehouses:
    """Directories come first: ``roots`` are the projects and datasets that have one."""

    local: Warehouse
    roots: Collection[str]
    bigquery: BigQueryWarehouse

    def covers(self, address: TableAddress) -> bool:
        return self._find(address).covers(address)

    def find_directory(self, address: TableAddress) -> str:
        return self._find(address).find_directory(address)

    def open_stream(self, address: TableAddress, key: str, owner: str) -> StreamTable:
        return self._find(address).open_stream(address, key, owner)

    def require(self, address: TableAddress) -> None:
        self._find(address).require(address)

    def open(self, address: TableAddress, key: str, owner: str, attempt: int) -> ExportTable:
        return self._find(address).open(address, key, owner, attempt)

    def sweep(self, is_over: Callable[[str], bool]) -> None:
        self.local.sweep(is_over)
        self.bigquery.sweep(is_over)

    def _find(self, address: TableAddress) -> Warehouse:
        is_local = bool({address.project, f"{address.project}.{address.dataset}"} & set(self.roots))
        return self.local if is_local or not self.bigquery.covers(address) else self.bigquery
