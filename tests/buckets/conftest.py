"""A server whose settings name buckets of S3, and the server that holds them: the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.buckets.remote import Remote
from tests.support.s3_server import S3Server
from tests.support.server import GantryServer


@pytest.fixture(scope="package")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="package")
def s3(s3_server: S3Server) -> str:
    return s3_server.url


@pytest.fixture(scope="module")
def server(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    path: Path = tmp_path_factory.mktemp("s3")
    (path / "gantry.toml").write_text(Remote.make_settings(s3))
    server = GantryServer(path / "data", path / "buckets", env={"GANTRY_CONFIG": str(path / "gantry.toml")})
    yield server
    server.stop()


@pytest.fixture
def remote(server: GantryServer, s3: str) -> Any:
    return Remote(server, s3)
