"""A server with a directory for the project ``warehouse``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gantry import Gantry, without_tracebacks
from tests.support.server import GantryServer
from tests.tables.warehouse import PROJECT, Tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return Tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def table_server(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Iterator[GantryServer]:
    home: Path = tmp_path_factory.mktemp("server")
    running = GantryServer(home / "data", home / "buckets", env={"GANTRY_BIGQUERY": f"{PROJECT}={tables.root}"})
    yield running
    running.stop()


@pytest.fixture
def gantry(table_server: GantryServer) -> Iterator[Gantry]:
    with without_tracebacks(table_server):
        yield Gantry(table_server)
