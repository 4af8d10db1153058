"""What SQLite refuses reaches callers in our words, and the log in SQLite's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.errors import FailedPrecondition, Interrupted
from gantry.index.database import Database


def test_a_file_that_is_no_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(FailedPrecondition) as caught:
        Database(f"sqlite:///{tmp_path}/index.sqlite")
    assert caught.value.what.endswith("cannot be used as an index: its file is no SQLite database")
    assert "gantry storage rebuild" in caught.value.message
    assert "file is not a database" in caplog.text


def test_an_index_that_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.index.database.WAIT", 0.1)
    first, second = (Database(f"sqlite:///{tmp_path}/index.sqlite") for _ in range(2))
    with first.write(), pytest.raises(Interrupted) as caught, second.write():
        pass
    assert caught.value.message == "the index cannot be used right now: another process holds its lock"


def test_a_statement_that_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with pytest.raises(Interrupted) as caught, database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert "nowhere" not in caught.value.message and "no such table: nowhere" in caplog.text


def test_an_index_of_another_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(FailedPrecondition) as caught:
        Database(f"sqlite:///{tmp_path}/index.sqlite")
    assert "written by another version of Gantry; upgrade" in caught.value.message
    assert "9999" not in caught.value.message and "9999" in caplog.text
