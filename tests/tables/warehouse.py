"""A server whose tables lie in directories, and readers of them that know nothing of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from tests.support.gantry import Gantry
from tests.support.server import Json

PROJECT = "warehouse"


class Tables:
    """The datasets of one project, as directories."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self, gantry: Gantry, table: str = "t") -> str:
        return f"bq://{PROJECT}.{self.dataset(gantry)}.{table}"

    def dataset(self, gantry: Gantry) -> str:
        """One of its own for each test."""
        return gantry.dataset_id.replace("-", "_")

    def base(self, gantry: Gantry) -> Path:
        return self.root / self.dataset(gantry)

    def query(self, gantry: Gantry, table: str = "t", columns: str = "*", rest: str = "") -> list[Any]:
        """By a reader of a directory of Parquet files."""
        source = f"read_parquet('{self.base(gantry)}/{table}/*.parquet')"
        return duckdb.connect().execute(f"SELECT {columns} FROM {source} {rest}").fetchall()

    def uids(self, gantry: Gantry, table: str = "t") -> list[tuple[str, str, str]]:
        columns = "StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID"
        return sorted(self.query(gantry, table, columns))

    def view(self, gantry: Gantry, query: str) -> list[Any]:
        """By the file of views beside the tables."""
        path = self.base(gantry) / f"{self.dataset(gantry)}.duckdb"
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(query).fetchall()

    def left(self, gantry: Gantry, table: str = "t") -> list[str]:
        """What exports have left behind them."""
        hidden = self.base(gantry) / ".gantry" / table
        return sorted(name for name in os.listdir(hidden) if "op-" in name) if hidden.exists() else []


def destination(uri: str, **more: Any) -> Json:
    return {"bigqueryDestination": {"tableUri": uri, **more}}


def export(gantry: Gantry, uri: str, filter_uri: str = "", version: str = "v1", **more: Any) -> Json:
    """The finished operation."""
    body = destination(uri, **more)
    if filter_uri:
        body["filterConfig"] = {"resourcePathsGcsUri": filter_uri}
    return gantry.wait(gantry.call("POST", f"{version}/{gantry.store}:export", json=body)["name"])
