"""What SQLite refuses reaches callers in our words, and the log in SQLite's."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gantry.errors import Code, FailedPrecondition, Internal, Interrupted
from gantry.index.commits import driver_of
from gantry.index.database import Database
from gantry.index.refusals import BadValue, Damaged, OutcomeUnknown, translate


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
    with pytest.raises(Internal) as caught, database.read() as connection:
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


def put_another_file_there(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.rename(path)


def test_a_commit_that_fails_while_another_file_takes_the_place_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite"
    database = Database(f"sqlite:///{path}")

    def fail_to_sync(connection: Connection) -> SimpleNamespace:
        driver = driver_of(connection)

        def execute(statement: str) -> None:
            driver.execute(statement)
            if statement == "COMMIT":
                put_another_file_there(path)
                raise refused(sqlite3.SQLITE_IOERR_FSYNC)

        return SimpleNamespace(execute=execute)

    monkeypatch.setattr("gantry.index.commits.driver_of", fail_to_sync)
    with pytest.raises(OutcomeUnknown) as caught, database.write():
        pass
    assert caught.value.message.startswith("the index could not be written: the disk reports a read or write error")
    with pytest.raises(Interrupted, match="another file is in the place of the index"):
        database.settle()


def test_a_connection_that_is_opened_again_and_finds_another_file(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    database = Database(f"sqlite:///{path}")
    with pytest.raises(Interrupted) as caught, database.read() as connection:
        connection.invalidate()
        connection.rollback()
        put_another_file_there(path)
        connection.exec_driver_sql("SELECT 1")
    assert caught.value.message.startswith("another file is in the place of the index")


# What each error means for the caller ---------------------------------------------------------------------------------


def refused(code: int) -> DBAPIError:
    error = sqlite3.OperationalError("/secret/path")
    error.sqlite_errorcode = code
    return DBAPIError("SELECT", {}, error)


PASSING = [
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM),
    *(number for name, number in vars(sqlite3).items() if name.startswith("SQLITE_IOERR")),
    *(sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_CANTOPEN_ISDIR),
]


@pytest.mark.parametrize("code", PASSING)
def test_trouble_of_the_disk_passes(code: int) -> None:
    error = translate(refused(code))
    assert isinstance(error, Interrupted) and not isinstance(error, Damaged)
    assert "the log has the details" not in error.message and "secret" not in error.message


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT_INDEX])
def test_damage_passes_too_and_says_what_to_do(code: int) -> None:
    error = translate(refused(code))
    assert isinstance(error, Damaged) and isinstance(error, Interrupted) and "backup" in error.message


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_CONSTRAINT_NOTNULL]
)
def test_a_value_that_cannot_be_kept_never_passes(code: int) -> None:
    assert translate(refused(code)).code is Code.DATA_LOSS


@pytest.mark.parametrize("value", [2**63, "\ud800", object()])
def test_what_the_driver_refuses_itself_is_about_a_value(tmp_path: Path, value: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with pytest.raises(BadValue), database.write() as connection:
        connection.exec_driver_sql("INSERT INTO garbage (blob_key) VALUES (?)", (value,))
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO garbage (blob_key) VALUES ('works')")


def test_an_index_that_is_closed_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with pytest.raises(Interrupted), database.read() as connection:
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
        connection.exec_driver_sql("SELECT 1")


def test_a_text_that_is_damaged_hides_no_other_row(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with database.write() as connection:
        for number in range(3):
            text = f"CAST(x'{'41ff42' if number == 1 else '414242'}' AS TEXT) || {number}"
            connection.exec_driver_sql(f"INSERT INTO garbage (blob_key) VALUES ({text})")
    query = "SELECT blob_key FROM garbage ORDER BY blob_key"
    with pytest.raises(Interrupted), database.read() as connection:
        connection.exec_driver_sql(query).all()
    for way in (database.read, database.write):
        with way() as connection:
            assert sorted(connection.exec_driver_sql(query).scalars()) == ["ABB0", "ABB2", "A\ufffdB1"]


def test_a_connection_that_has_read_damage_is_not_used_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/index.sqlite")
    used = []
    for _ in range(2):
        with pytest.raises(Damaged), database.read() as connection:
            used.append(connection.connection.driver_connection)
            raise refused(sqlite3.SQLITE_CORRUPT)
    assert used[0] is not used[1]
    with pytest.raises(Interrupted), database.read() as connection:
        used.append(connection.connection.driver_connection)
        raise refused(sqlite3.SQLITE_BUSY)
    with database.read() as connection:
        assert connection.connection.driver_connection is used[2], "it is new for damage alone"


def test_an_index_that_has_no_free_connection_is_busy() -> None:
    error = translate(PoolTimeout("QueuePool limit of size 5 overflow 10 reached"))
    assert isinstance(error, Interrupted) and error.message == "the index is too busy right now"
