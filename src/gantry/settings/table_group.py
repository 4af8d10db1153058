"""The settings of tables of metadata and of queries: one of the groups in ``groups.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantry.settings import readers
from gantry.settings.setting import setting, table
from gantry.storage.bigquery.places import BigQueryPlace


@dataclass(frozen=True)
class TableSettings:
    """Tables"""

    bigquery: Mapping[str, str] = table(
        readers.TABLES,
        "Directories that stand for projects or datasets of BigQuery: exports of metadata write Parquet files there.",
        '{"my-project.my_dataset" = "/srv/tables"}',
        more="In the environment: `my-project.my_dataset=/srv/tables,…`. It needs "
        "`pip install 'gantry-dicom[tables]'`; see [tables.md](howto/tables.md).",
        absent="none: such exports are refused",
    )
    bigquery_projects: tuple[BigQueryPlace, ...] = setting(
        (),
        readers.BIGQUERY_PROJECTS,
        "Projects of BigQuery itself that exports of metadata may write to, where bigquery names no directory.",
        '[{project = "my-project"}]',
        more="In the environment as JSON. It needs `pip install 'gantry-dicom[bigquery]'`; see "
        "[tables.md](howto/tables.md#bigquery-itself).",
        absent="none",
    )
    query_seconds: int = setting(
        60,
        readers.number(1, 600),
        "Seconds that a query of tables may take; then it is stopped.",
        "300",
        more="See [query.md](howto/query.md#limits).",
    )
    query_megabytes: int = setting(
        1024,
        readers.number(128, 1_000_000),
        "Memory of one query in MB. What does not fit is written to data, up to four times as much.",
        "4096",
    )
    query_result_megabytes: int = setting(
        1024,
        readers.number(1, 1_000_000),
        "Size of a query's result in MB. All results that are kept have at most four times as much.",
        "256",
    )
    max_queries: int = setting(
        2,
        readers.number(1, 1000),
        "Queries that may run at a time; others wait.",
        "4",
    )
