"""The examination of the index: what it finds, and when it looks again."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from gantry.errors import Interrupted
from gantry.index import examination
from gantry.index.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    path.parent.mkdir()
    made = Database(path)
    yield made
    made.close()


class Tables:
    """In the place of the look at one table: says which were looked at, and fails for some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.unreadable: set[str] = set()
        self.damaged: set[str] = set()
        monkeypatch.setattr(examination, "_is_sound", self._is_sound)

    def _is_sound(self, _connection: Connection, table: str) -> bool:
        self.seen.append(table)
        if table in self.unreadable:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise OperationalError("", {}, error)
        return table not in self.damaged


def look(database: Database, monkeypatch: pytest.MonkeyPatch) -> float:
    """Examine the index once its time has come; seconds until the next time, exact, as the clock shows whole ones."""
    later = math.ceil(max(time.monotonic(), database.examination._due))
    with monkeypatch.context() as clock:
        clock.setattr(examination.time, "monotonic", lambda: later)
        database.examination.run()
    return database.examination._due - later


def test_an_index_that_is_gone_is_in_trouble_and_no_empty_one_takes_its_place(database: Database, path: Path) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO project VALUES ('p', '1')")
    path.rename(path.with_name("moved"))
    assert "not there any more" in database.find_troubles()[0]
    database.examination._due = 0
    database.examination.run()
    assert "not there any more" in database.find_troubles()[0] and not path.exists()
    with database.engine.connect(), pytest.raises(Interrupted), database.read():  # a connection that is not open yet
        pass
    assert not path.exists()
    path.with_name("moved").rename(path)
    database.examination._due = 0
    assert database.find_troubles() == []


def test_another_file_in_the_place_of_the_index_is_trouble(database: Database, path: Path) -> None:
    path.rename(path.with_name("moved"))
    shutil.copy(path.with_name("moved"), path)
    assert "another file" in database.find_troubles()[0]
    with database.engine.connect(), pytest.raises(Interrupted, match="another file"), database.read():
        pass


def test_an_index_that_cannot_be_looked_at_is_trouble(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    assert "cannot be read" in database.find_troubles()[0]


def test_an_error_that_passes_is_looked_at_again_soon_and_only_where_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(monkeypatch)
    tables.unreadable = {"study"}
    pauses = [look(database, monkeypatch) for _ in range(6)]
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert "cannot be read" in database.examination.trouble
    assert len(set(tables.seen)) > 1 and tables.seen[-5:] == ["study"] * 5
    tables.unreadable.clear()
    assert look(database, monkeypatch) == 5 and database.examination.trouble == ""
    tables.seen.clear()
    look(database, monkeypatch)
    assert len(tables.seen) > 1, "all are examined again"


def test_damaged_tables_alone_are_examined_until_they_are_sound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(monkeypatch)
    tables.damaged = {"series", "study"}
    look(database, monkeypatch)
    tables.seen.clear()
    look(database, monkeypatch)
    assert sorted(tables.seen) == ["series", "study"] and "tables study, series" in database.examination.trouble
    tables.damaged = {"study"}
    look(database, monkeypatch)
    assert "tables study" in database.examination.trouble
    tables.damaged.clear()
    look(database, monkeypatch)
    assert database.examination.trouble == ""


def test_damage_that_every_call_meets_does_not_keep_the_examination_busy(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(monkeypatch)
    tables.damaged = {"study"}
    database.examination.note("the index cannot be read")
    assert look(database, monkeypatch) == 5
    database.examination.note("the index cannot be read")
    assert database.examination._due > time.monotonic()


def test_a_long_examination_is_followed_by_a_long_pause(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(examination.time, "monotonic", lambda: clock[0])

    def slow(_connection: Connection, _table: str) -> bool:
        clock[0] += 1
        return True

    monkeypatch.setattr(examination, "_is_sound", slow)
    database.examination._due = 0
    database.examination.run()
    assert database.examination._due - clock[0] == 200 * (clock[0] - 1000)
