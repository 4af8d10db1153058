"""A server with a directory of tables for the project ``p``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sql.tables import write_table
from tests.support.gantry import without_tracebacks
from tests.support.server import GantryServer


@pytest.fixture(scope="module")
def table_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tables")
    write_table(root, "p.d.t")
    write_table(root, "p.other.u")
    return root


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, table_root: Path) -> Iterator[GantryServer]:
    home = tmp_path_factory.mktemp("server")
    started = GantryServer(home / "data", home / "buckets", env={"GANTRY_BIGQUERY": f"p={table_root}"})
    yield started
    started.stop()


@pytest.fixture
def server(running: GantryServer) -> Iterator[GantryServer]:
    with without_tracebacks(running):
        yield running
