"""Indexes to test: each test of the promises runs with every database in DATABASES."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from gantry.index.sql import SqlIndex
from gantry.resources import Dataset, DicomStore, Operation
from tests.index.audit import audit
from tests.index.values import DATASET, STORE, begin
from tests.support.postgresql import Databases, share, to_text

DATABASES = ("sqlite", "postgresql")
"""A database ``x`` joins the suite by its name here, and a fixture ``x_index``."""


_LONG = ("test_every_order_of_calls",)
"""Modules that take long, and longer with a server: that is in `./run test-slow`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for each in items:
        module = each.path.stem
        if module in _LONG and "[postgresql" in each.name:
            each.add_marker(pytest.mark.slow)


@pytest.fixture(params=DATABASES)
def index(request: pytest.FixtureRequest) -> SqlIndex:
    """New and empty."""
    made: SqlIndex = request.getfixturevalue(f"{request.param}_index")
    return made


@pytest.fixture
def store(index: SqlIndex) -> DicomStore:
    """The store STORE in the dataset DATASET."""
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    return index.resources.get_dicom_store(STORE)


@pytest.fixture
def operation(index: SqlIndex, store: DicomStore) -> Operation:
    return begin(index)


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema in it: migrating costs more than most tests."""
    path = tmp_path_factory.mktemp("index") / "index.sqlite"
    SqlIndex(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_path(empty_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_index, tmp_path / "index.sqlite"))


@pytest.fixture(scope="session")
def databases() -> Databases:
    """Those of a real PostgreSQL."""
    return share()


@pytest.fixture(scope="session")
def empty_database(databases: Databases) -> Iterator[URL]:
    """With the schema in it."""
    url = databases.make()
    SqlIndex(to_text(url)).close()
    yield url
    databases.drop(url)


@pytest.fixture
def postgresql_url(databases: Databases, empty_database: URL) -> Iterator[str]:
    """The address of an index that is empty."""
    url = databases.make(empty_database)
    yield to_text(url)
    databases.drop(url)


@pytest.fixture
def sqlite_index(sqlite_path: Path) -> Iterator[SqlIndex]:
    yield from _open(f"sqlite:///{sqlite_path}")


@pytest.fixture(scope="session")
def shared_database(databases: Databases, empty_database: URL) -> Iterator[URL]:
    """One that tests use one after the other: to clear it takes a tenth of the time of a copy."""
    url = databases.make(empty_database)
    yield url
    databases.drop(url)


@pytest.fixture
def postgresql_index(databases: Databases, shared_database: URL) -> Iterator[SqlIndex]:
    try:
        yield from _open(to_text(shared_database))
    finally:
        databases.clear(shared_database)


def _open(url: str) -> Iterator[SqlIndex]:
    """Whatever a test does, all counts agree with the rows of instances."""
    opened = SqlIndex(url)
    opened.feed.begin(is_on=True)
    try:
        yield opened
        with opened.database.read() as connection:
            audit(connection)
    finally:
        opened.close()
