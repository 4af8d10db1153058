"""``gantry migrate``: the schema of an index, without a server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gantry.cli import run as run_here
from gantry.config import hold_alone
from gantry.index.database import SCHEMA_VERSION
from gantry.index.sql import SqlIndex
from tests.faults.older import fill_older, index_of_schema
from tests.support.postgresql import share, to_text


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A data directory with an index of an older version, with rows in it."""
    data = tmp_path / "data"
    data.mkdir()
    with closing(index_of_schema(data / "index.sqlite", "0009")) as index:
        fill_older(index)
        index.commit()
    return data


@pytest.fixture
def address() -> Iterator[str]:
    """Of an empty database."""
    url = share().make()
    yield to_text(url).replace("+psycopg", "")
    share().drop(url)


def migrate(data: Path, *flags: str) -> int:
    return run_here(["migrate", "--data", str(data), *flags])


def test_check_tells_whether_it_is_needed_and_changes_nothing(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {each.name: each.read_bytes() for each in older.iterdir()}
    assert migrate(older, "--check") == 1
    assert f"has schema 0009; this version needs {SCHEMA_VERSION}" in capsys.readouterr().out
    assert {each.name: each.read_bytes() for each in older.iterdir()} == before
    assert migrate(older, "--check", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said == {"found": "0009", "schema": "0009", "newest": SCHEMA_VERSION}


def test_the_schema_is_that_of_this_version_afterwards(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(older) == 0
    assert f"has schema {SCHEMA_VERSION}, that of this version; before, it had schema 0009" in capsys.readouterr().out
    assert (migrate(older, "--check"), migrate(older)) == (0, 0)
    with closing(SqlIndex(older / "index.sqlite")) as index:
        assert [each.size for each in index.instances.walk_store(1)] == [1, 1, 1]


def test_an_index_of_a_newer_version_stays_what_it_is(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(older / "index.sqlite")) as index, index:
        index.execute("UPDATE alembic_version SET version_num = '9999'")
    assert (migrate(older, "--check"), migrate(older)) == (2, 2)
    assert "was written by a newer version of Gantry. Upgrade Gantry" in capsys.readouterr().err


def test_a_directory_without_an_index_gets_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (migrate(tmp_path, "--check"), migrate(tmp_path), migrate(tmp_path / "none")) == (2, 2, 2)
    assert list(tmp_path.iterdir()) == [tmp_path / "lock"] and "is not there" in capsys.readouterr().err
    (tmp_path / "index.sqlite").write_bytes(b"something else, which is long enough to be looked at")
    assert (migrate(tmp_path, "--check"), migrate(tmp_path)) == (2, 2)


def test_what_a_server_uses_can_be_looked_at_alone(
    older: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.config._WAIT_SECONDS", 0.1)
    with hold_alone(older):
        assert (migrate(older, "--check"), migrate(older)) == (1, 2)
    assert "in use by another gantry server" in capsys.readouterr().err


def test_a_database_gets_its_tables(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first start of a server, which finds them then."""
    monkeypatch.setenv("GANTRY_DATABASE", address)
    assert (migrate(tmp_path, "--check"), migrate(tmp_path), migrate(tmp_path, "--check")) == (1, 0, 0)
    assert "before, it had no tables" in capsys.readouterr().out
    SqlIndex(address).close()
    with closing(SqlIndex(address)):  # a server uses it
        assert migrate(tmp_path, "--check") == 0


def test_a_database_that_is_not_there_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANTRY_DATABASE", "postgresql://me:hidden@127.0.0.1:1/there")
    assert (migrate(tmp_path, "--check"), migrate(tmp_path)) == (2, 2)
    said = capsys.readouterr()
    assert "cannot be reached" in said.err and "hidden" not in said.err + said.out
