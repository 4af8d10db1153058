"""A corpus of public DICOM files: ``GANTRY_CORPUS`` names a directory with manifest.csv, wildcards.csv,
object-cases.csv and data/. It lies in directories, and in buckets of each provider."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.directories import Buckets, Directories
from tests.support.gantry import Gantry, without_tracebacks
from tests.support.providers import Provider, S3Buckets, serve_provider
from tests.support.s3_places import serve_s3
from tests.support.server import GantryServer

WHY = "NOT TESTED: GANTRY_CORPUS is not set to a directory with manifest.csv, wildcards.csv and data/"
OWN = "s3 for all"
"""The corpus lies in a bucket, and so do the stored instances."""
PROVIDERS = ("s3", OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in ("moto", "gcs", "azure")))


class Place(NamedTuple):
    """Where the corpus lies, and a server that reads it."""

    server: GantryServer
    buckets: Buckets


def corpus() -> Path | None:
    text = os.environ.get("GANTRY_CORPUS", "")
    return Path(text) if text and (Path(text) / "manifest.csv").is_file() else None


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one of the corpus's tables; none without a corpus."""
    directory = corpus()
    if directory is None:
        return []
    with (directory / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def files() -> dict[str, bytes]:
    """All of data/, by key."""
    directory = corpus()
    assert directory is not None
    return Directories(directory).read("gs://data")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and corpus() is None:
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="package", params=["directories", *PROVIDERS])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The tests' own servers, and moto."""
    if request.param == "directories":
        server = request.getfixturevalue("server")
        yield Place(server, Directories(server.buckets))
        return
    with _serve(request.param) as buckets:
        home = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
        own = f'blobs = "{buckets.make_bucket()}/own"\n' if request.param == OWN else ""
        (home / "gantry.toml").write_text(own + buckets.settings)
        server = GantryServer(home / "data", home / "buckets", env={"GANTRY_CONFIG": str(home / "gantry.toml")})
        try:
            yield Place(server, buckets)
        finally:
            server.stop()


@contextmanager
def _serve(name: str) -> Iterator[Provider]:
    if name == "moto":
        with serve_s3() as url:
            yield S3Buckets(url)
    else:
        with serve_provider(name.partition(" ")[0]) as served:
            yield served.buckets


@pytest.fixture(scope="package")
def corpus_address(place: Place) -> str:
    """A bucket with the whole corpus as it lies in data/, and the marker of the directory that archives do not keep."""
    address = place.buckets.make_bucket()
    place.buckets.put(address, files() | {"wild/empty-folder/": b""})
    return address


@pytest.fixture
def gantry(place: Place) -> Iterator[Gantry]:
    with without_tracebacks(place.server):
        yield Gantry(place.server)


@pytest.fixture(scope="module")
def world(place: Place) -> Gantry:
    """As ``gantry``, for all tests of a module."""
    return Gantry(place.server)
