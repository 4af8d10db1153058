"""Indexes to test: each test of the promises runs with every database in DATABASES."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.index.sql import SqlIndex
from gantry.resources import Dataset, DicomStore, Operation
from tests.index.audit import audit
from tests.index.values import DATASET, STORE, begin

DATABASES = ("sqlite",)
"""A database ``x`` joins the suite by its name here, and a fixture ``x_index``."""


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


@pytest.fixture
def sqlite_index(sqlite_path: Path) -> Iterator[SqlIndex]:
    """Whatever a test does, all counts agree with the rows of instances."""
    opened = SqlIndex(f"sqlite:///{sqlite_path}")
    yield opened
    with opened.database.read() as connection:
        audit(connection)
    opened.close()
