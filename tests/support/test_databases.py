"""A run of the tests has its indexes in the database that it names, and leaves none behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.index.sql import SqlIndex
from gantry.names import DatasetName
from gantry.resources import Dataset
from tests.support import databases
from tests.support.databases import environ_of, index_url, is_server, query
from tests.support.gantry import Gantry

DATASET = DatasetName("p", "l", "d")


def test_the_shared_server_has_its_index_there(gantry: Gantry) -> None:
    data = gantry.server.data
    assert (data / "index.postgresql").exists() is is_server()
    assert (data / "index.sqlite").exists() is not is_server()
    assert (gantry.dataset_id,) in query(data, "SELECT dataset FROM dataset")


def test_an_index_without_a_server_stays_what_it_is(tmp_path: Path) -> None:
    index = SqlIndex(index_url(tmp_path / "data"))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.close()
    again = SqlIndex(index_url(tmp_path / "data"))
    assert again.resources.get_dataset(DATASET).name == DATASET
    again.close()
    assert query(tmp_path / "data", "SELECT dataset FROM dataset WHERE dataset = :id", id="d") == [("d",)]


def test_another_directory_has_another_index(tmp_path: Path) -> None:
    one, other = (environ_of(tmp_path / name) for name in ("one", "other"))
    assert (one == other) is not is_server()
    assert environ_of(tmp_path / "one") == one


def test_a_name_that_is_no_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(databases.VARIABLE, "postgres")
    with pytest.raises(AssertionError, match="sqlite or postgresql"):
        is_server()


@pytest.mark.sqlite("shows what is left out")
def test_what_is_about_sqlite_alone_is_left_out() -> None:
    assert not is_server()
