"""An index moves from SQLite to PostgreSQL and back: every row, every number, and whatever ends it in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Boolean, Connection, Integer, LargeBinary, TableClause, insert, select, text

import gantry.index.copy_steps
import gantry.index_copies
from gantry.config import hold_alone
from gantry.errors import DataLoss, FailedPrecondition, Interrupted, InvalidArgument, NotFound, StatusError
from gantry.index import copy_numbers, copy_rows, postgresql_locks
from gantry.index.copy_ends import End, open_end
from gantry.index.copy_numbers import read_numbers
from gantry.index.copy_rows import TABLES
from gantry.index.copy_steps import Copy
from gantry.index.database import SCHEMA_VERSION
from gantry.index.opening import NO_DRIVER
from gantry.index.sql import SqlIndex
from gantry.index.tables import generation
from gantry.index_copies import copy_index
from gantry.index_wiring import IndexPlace
from gantry.resources import Dataset, DicomStore
from gantry.storage.generation_marks import INDEX, Mark, write_mark
from tests.faults.older import index_of_schema
from tests.index.values import DATASET, STORE
from tests.support.postgresql import Databases, to_text

EACH = 4
"""Rows of each table; read three at a time."""

Contents = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_rows, "ROWS", 3)
    monkeypatch.setattr(copy_rows, "LARGE_ROWS", 2)
    monkeypatch.setattr(postgresql_locks, "_LOCK_SECONDS", 1)


@pytest.fixture
def address(databases: Databases) -> Iterator[str]:
    """Of a database that is empty."""
    url = databases.make()
    yield to_text(url).replace("+psycopg", "")
    databases.drop(url)


@pytest.fixture
def data(tmp_path: Path, empty_index: Path) -> Path:
    """A data directory whose index has rows in every table."""
    made = tmp_path / "data"
    made.mkdir()
    shutil.copy(empty_index, made / "index.sqlite")
    with open_end(made / "index.sqlite") as end, end.transaction() as connection:
        fill(connection)
        found = connection.execute(select(generation)).one()
    write_mark(str(made), INDEX, Mark(found.mark, found.commits))
    return made


def fill(connection: Connection) -> None:
    """Rows of made-up values, such that each names one of the table that it refers to."""
    for table in TABLES:
        if table.name != "generation":
            rows = [{each.name: _value(table, each, number) for each in table.c} for number in range(1, EACH + 1)]
            connection.execute(insert(table), rows)


def _value(table: TableClause, column: Any, number: int) -> Any:
    is_absent = getattr(column, "nullable", False) and number % 3 == 0
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if isinstance(column.type, Integer) or column.name == "rowid":
        return None if is_absent else number
    if isinstance(column.type, LargeBinary):
        return bytes([0, 255, number])
    return None if is_absent else f"{column.name} ÄΩ𝒳'\\ {number}"


def contents(place: str | Path) -> Contents:
    with open_end(place) as end:
        return {table.name: rows_of(end, table) for table in TABLES}


def rows_of(end: End, table: TableClause) -> list[tuple[Any, ...]]:
    rows = end.connection.execute(select(*table.c)).all()
    return sorted((tuple(row) for row in rows), key=repr)


def one_on(found: Contents) -> Contents:
    """With one transaction more."""
    ((number, mark, commits, rebuilding),) = found["generation"]
    return found | {"generation": [(number, mark, commits + 1, rebuilding)]}


def names(data: Path) -> set[str]:
    return {each.name for each in data.iterdir()}


def silent(_what: str, _done: int, _total: int) -> None: ...


copy = partial(copy_index, tell=silent)


def begins(data: Path, database: str) -> bool:
    """Whether a server finds an index there that it may use."""
    place = IndexPlace(data, database)
    try:
        place.require()
        found = place.read_generation()
    except FailedPrecondition:
        return False
    return found is not None and found.has_stores


# All of it ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_row_goes_up_and_comes_back(data: Path, address: str) -> None:
    before = contents(data / "index.sqlite")
    assert all(len(rows) == EACH for name, rows in before.items() if name != "generation"), before
    told: list[tuple[str, int, int]] = []
    up = copy_index(str(data), address, lambda *said: told.append(said))
    assert contents(address) == one_on(before)
    assert up is not None and not up.continued and up.stores == dict.fromkeys(range(1, EACH + 1), (1, 1))
    assert {name: each.rows for name, each in up.tables.items()} == {name: len(rows) for name, rows in before.items()}
    assert {each[0] for each in told} >= {"copying study_text", "comparing instance"}
    assert all(done <= total for _, done, total in told)
    assert (begins(data, "sqlite"), begins(data, address)) == (False, True)
    assert sorted(each.name for each in data.iterdir()) == [
        "index.generation",
        "index.postgresql",
        "index.sqlite.moved",
        "lock",
    ]
    down = copy(address, str(data))
    assert contents(data / "index.sqlite") == one_on(one_on(before))
    assert down is not None and down.tables.keys() == up.tables.keys() and down.stores == up.stores
    assert (begins(data, "sqlite"), begins(data, address)) == (True, False)
    assert sorted(each.name for each in data.iterdir()) == [
        "index.generation",
        "index.sqlite",
        "index.sqlite.moved",
        "lock",
    ]


@pytest.mark.slow
def test_a_copy_that_is_complete_is_not_made_again(data: Path, address: str) -> None:
    copy(str(data), address)
    there = contents(address)
    assert copy(str(data), address) is None
    assert contents(address) == there
    copy(address, str(data))
    here = contents(data / "index.sqlite")
    assert copy(address, str(data)) is None
    assert contents(data / "index.sqlite") == here


@pytest.mark.slow
def test_no_number_is_given_out_again(data: Path, address: str) -> None:
    """Neither that of a row that is there, nor that of one that was deleted."""
    numbered = ("dataset", "dicom_store", "header_pack", "segment", "series", "upload")
    with open_end(data / "index.sqlite") as end, end.transaction() as connection:
        connection.execute(text("UPDATE sqlite_sequence SET seq = 1000 + rowid"))
        before = read_numbers(connection)
    assert before.keys() == set(numbered) and len(set(before.values())) == len(numbered)
    copy(str(data), address)
    with open_end(address) as end:
        assert read_numbers(end.connection) == before
        given = {name: end.connection.scalar(text(f"SELECT nextval('{name}_id_seq')")) for name in before}
        assert given == {name: last + 1 for name, last in before.items()}
        assert end.connection.scalar(text("SELECT nextval('study_id_seq')")) == EACH + 1
    copy(address, str(data))
    with open_end(data / "index.sqlite") as end:
        assert read_numbers(end.connection) == given


@pytest.mark.slow
def test_what_postgresql_has_no_place_for_is_left_out(data: Path, address: str) -> None:
    """U+0000 in a text, as a server leaves it out; also where two keys are one without it. A text that is no UTF-8 is
    read as a server reads it."""
    with open_end(data / "index.sqlite") as end, end.transaction() as connection:
        connection.execute(text("UPDATE failure SET message = 'a' || char(0) || 'b' WHERE seq = 1"))
        connection.execute(text("UPDATE failure SET message = CAST(x'61ff' AS TEXT) WHERE seq = 2"))
        connection.execute(text("INSERT INTO garbage VALUES ('k' || char(0)), ('k'), ('l' || char(0))"))
    copied = copy(str(data), address)
    found = contents(address)
    assert copied is not None and copied.tables["garbage"].rows == len(found["garbage"]) == EACH + 2
    assert {("k",), ("l",)} <= set(found["garbage"])
    assert {"ab", "a\ufffd"} <= {row[5] for row in found["failure"]}


@pytest.mark.slow
def test_the_copy_is_used_as_the_index_that_it_is(data: Path, address: str, sqlite_path: Path) -> None:
    """Its rows are found, and new ones have new numbers."""
    shutil.copy(sqlite_path, data / "index.sqlite")
    (data / "index.generation").unlink()
    with closing(SqlIndex(data / "index.sqlite")) as index:
        index.resources.create_dataset(Dataset(DATASET), "v1")
        index.resources.create_dicom_store(DicomStore(STORE))
        first = index.resources.get_dicom_store(STORE)
    copy(str(data), address)
    with closing(SqlIndex(address)) as index:
        assert index.resources.get_dicom_store(STORE) == first
        other = replace(STORE, store="other")
        index.resources.create_dicom_store(DicomStore(other))
        assert index.resources.get_dicom_store(other).id == first.id + 1
    copy(address, str(data))
    with closing(SqlIndex(data / "index.sqlite")) as index:
        assert index.resources.get_dicom_store(other).id == first.id + 1


# Ended in the middle --------------------------------------------------------------------------------------------------

_STEPS = gantry.index.copy_steps
MOMENTS: dict[str, tuple[object, str, int]] = {
    "the target is marked": (_STEPS, "make_copy_mark", 1),
    "the tables are made": (_STEPS, "upgrade_schema", 1),
    "the tables are emptied": (_STEPS, "remove_all_rows", 1),
    "a range is written": (_STEPS, "write_rows", 2),
    "many ranges are written": (_STEPS, "write_rows", 30),
    "numbers are written": (_STEPS, "write_numbers", 1),
    "a table is compared": (Copy, "_compare_table", 2),
    "all is compared": (Copy, "_compare", 1),
    "the target is verified": (Copy, "run", 1),
    "the source is marked": (_STEPS, "make_copy_mark", 2),
    "the source is given up": (Copy, "give_up_source", 1),
    "the directory is marked": (IndexPlace, "keep", 1),
    "the file is renamed": (gantry.index_copies, "_rename", 1),
    "the target has no mark": (_STEPS, "remove_copy_mark", 1),
    "the target is let go": (Copy, "let_target_go", 1),
    "the directory is unmarked": (IndexPlace, "leave", 1),
}
QUICK = ("many ranges are written", "the source is given up", "the target has no mark")
"""Those of each test run; all others in the slow one."""

UP_ALONE, DOWN_ALONE = {"the directory is marked"}, {"the directory is unmarked"}


def list_moments(others: set[str]) -> list[Any]:
    """Each moment, before and after its step."""
    return [
        pytest.param(each, after, id=f"{word} {each}", marks=() if after and each in QUICK else pytest.mark.slow)
        for each in MOMENTS
        if each not in others
        for word, after in (("before", False), ("after", True))
    ]


def end_in(call: Callable[[], object], owner: object, name: str, times: int, after: bool) -> bool:
    """Make a call in a process that is killed before or after a step in it; whether it came so far."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    code = 1
    try:
        left, step = times, getattr(owner, name)

        def die(*args: Any, **kw: Any) -> Any:
            nonlocal left
            left -= 1
            if not left and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = step(*args, **kw)
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(owner, name, die)
        call()
        code = 0
    finally:
        os._exit(code)


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "after"), list_moments(DOWN_ALONE))
def test_a_copy_up_that_is_killed_is_ended_by_the_same_command(
    data: Path, address: str, moment: str, after: bool
) -> None:
    before = contents(data / "index.sqlite")
    assert end_in(lambda: copy(str(data), address), *MOMENTS[moment], after), "it was not killed"
    source, target = begins(data, "sqlite"), begins(data, address)
    assert not (source and target)
    is_last = moment == "the target is let go" and after
    assert target is is_last
    if not source and not target:
        with pytest.raises(FailedPrecondition, match=r"gantry index copy|is used no more|is not used any more"):
            SqlIndex(address)
    assert (copy(str(data), address) is None) is is_last
    assert contents(address) == one_on(before)
    assert (begins(data, "sqlite"), begins(data, address)) == (False, True)


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "after"), list_moments(UP_ALONE))
def test_a_copy_down_that_is_killed_is_ended_by_the_same_command(
    data: Path, address: str, moment: str, after: bool
) -> None:
    copy(str(data), address)
    before = contents(address)
    assert end_in(lambda: copy(address, str(data)), *MOMENTS[moment], after), "it was not killed"
    source, target = begins(data, address), begins(data, "sqlite")
    assert not (source and target)
    assert target is (moment == "the directory is unmarked" and after)
    copy(address, str(data))
    assert contents(data / "index.sqlite") == one_on(before)
    assert (begins(data, "sqlite"), begins(data, address)) == (True, False)
    assert not (data / "index.sqlite.copying").exists()


@pytest.mark.slow
def test_a_copy_goes_on_where_it_was(data: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert end_in(lambda: copy(str(data), address), *MOMENTS["many ranges are written"], after=True)
    with open_end(address) as end:
        there = sum(len(rows_of(end, table)) for table in TABLES)
    written: list[int] = []
    write = copy_rows.write_rows

    def count(connection: Connection, table: TableClause, rows: list[Any]) -> None:
        written.append(len(rows))
        write(connection, table, rows)

    monkeypatch.setattr(gantry.index.copy_steps, "write_rows", count)
    copied = copy(str(data), address)
    assert copied is not None and copied.continued
    assert there > 30 and sum(written) == sum(each.rows for each in copied.tables.values()) - there


@pytest.mark.slow
def test_a_source_that_was_used_meanwhile_is_copied_anew(data: Path, address: str) -> None:
    assert end_in(lambda: copy(str(data), address), *MOMENTS["all is compared"], after=True)
    with open_end(data / "index.sqlite") as end, end.transaction() as connection:
        connection.execute(text("DELETE FROM garbage"))
        connection.execute(text("UPDATE generation SET commits = commits + 1"))
    now = contents(data / "index.sqlite")
    copied = copy(str(data), address)
    assert copied is not None and not copied.continued
    assert contents(address) == one_on(now)


@pytest.mark.slow
def test_a_part_that_does_not_agree_is_copied_anew(data: Path, address: str) -> None:
    assert end_in(lambda: copy(str(data), address), *MOMENTS["all is compared"], after=True)
    with open_end(address) as end, end.transaction() as connection:
        connection.execute(text("UPDATE failure SET message = 'other' WHERE seq = 1"))
    before = contents(data / "index.sqlite")
    copied = copy(str(data), address)
    assert copied is not None and not copied.continued
    assert contents(address) == one_on(before)


@pytest.mark.parametrize(
    "broken",
    ["UPDATE instance SET size = size + 1 WHERE series_id = 2", "DELETE FROM progress WHERE operation_id = 3"],
    ids=["a value", "a row"],
)
def test_a_copy_that_does_not_agree_is_refused(
    data: Path, address: str, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Whatever has changed its rows: the source stays what it is."""
    write = copy_numbers.write_numbers

    def spoil(connection: Connection, numbers: Any) -> None:
        write(connection, numbers)
        connection.execute(text(broken))

    monkeypatch.setattr(gantry.index.copy_steps, "write_numbers", spoil)
    with pytest.raises(DataLoss, match=f"are not the {EACH} of"):
        copy(str(data), address)
    assert (begins(data, "sqlite"), begins(data, address)) == (True, False)


def test_a_value_that_postgresql_cannot_keep_is_named_by_its_table(data: Path, address: str) -> None:
    with open_end(data / "index.sqlite") as end:
        end.connection.exec_driver_sql('UPDATE instance SET "rows" = 3000000000 WHERE series_id = 2')
    refuse(data, address, DataLoss, "the table instance: a value of its row")
    assert (begins(data, "sqlite"), begins(data, address)) == (True, False)


def test_a_copy_whose_connection_is_lost_goes_on(data: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = contents(data / "index.sqlite"), 0

    def write(connection: Connection, table: TableClause, rows: list[Any]) -> None:
        nonlocal calls
        calls += 1
        copy_rows.write_rows(connection, table, rows)
        if calls == 9:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as broken:
        broken.setattr(gantry.index.copy_steps, "write_rows", write)
        refuse(data, address, Interrupted, "the connection to PostgreSQL is lost")
    assert (begins(data, "sqlite"), begins(data, address)) == (True, False)
    copied = copy(str(data), address)
    assert copied is not None and copied.continued
    assert contents(address) == one_on(before)


@pytest.mark.slow
def test_a_start_tells_that_a_copy_has_not_ended(data: Path, address: str) -> None:
    assert end_in(lambda: copy(str(data), address), *MOMENTS["a range is written"], after=True)
    with pytest.raises(
        FailedPrecondition, match=r"a copy to it, from .*, has not ended. Run `gantry index copy` again"
    ):
        IndexPlace(data, address).require()
    copy(str(data), address)
    assert end_in(lambda: copy(address, str(data)), *MOMENTS["a range is written"], after=True)
    with pytest.raises(FailedPrecondition, match=r"a copy to a file has not ended. Run `gantry index copy` again"):
        IndexPlace(data).require()
    with closing(SqlIndex(address)):
        """Whoever has changed his mind goes on with the source."""


# Refused --------------------------------------------------------------------------------------------------------------


def refuse(source: object, target: object, error: type[StatusError], words: str) -> None:
    with pytest.raises(error) as refused:
        copy(str(source), str(target))
    assert words in refused.value.message, refused.value.message
    assert "hidden" not in refused.value.message


def test_a_database_that_is_not_empty_is_refused(data: Path, address: str, postgresql_url: str) -> None:
    refuse(data, postgresql_url.replace("+psycopg", ""), FailedPrecondition, "is not empty")
    with open_end(address) as end:
        end.connection.exec_driver_sql("CREATE TABLE mine (id int)")
    refuse(data, address, FailedPrecondition, "is not empty")
    with open_end(address) as end:
        assert end.connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0
    assert begins(data, "sqlite")


@pytest.mark.slow
def test_a_directory_that_has_an_index_is_no_target(data: Path, address: str) -> None:
    copy(str(data), address)
    shutil.copy(data / "index.sqlite.moved", data / "index.sqlite")
    with open_end(data / "index.sqlite") as end:
        end.connection.exec_driver_sql("DROP TABLE index_copy")
    refuse(address, data, FailedPrecondition, "is not empty")
    assert not begins(data, "sqlite"), "an old copy, beside the note that the index is elsewhere"


@pytest.mark.slow
def test_a_copy_of_another_index_is_not_gone_on_with(data: Path, address: str) -> None:
    assert end_in(lambda: copy(str(data), address), *MOMENTS["all is compared"], after=True)
    with open_end(data / "index.sqlite") as end:
        end.connection.exec_driver_sql("UPDATE generation SET mark = 'other'")
    refuse(data, address, FailedPrecondition, "of another index")


@pytest.mark.slow
def test_an_index_that_has_moved_is_no_source_and_no_target(data: Path, address: str, databases: Databases) -> None:
    copy(str(data), address)
    url = databases.make()
    other = to_text(url).replace("+psycopg", "")
    refuse(data, other, FailedPrecondition, "were copied to the database")
    copy(address, str(data))
    refuse(data, address, FailedPrecondition, "not used any more")
    copy(str(data), other)
    assert (begins(data, address), begins(data, other)) == (False, True)
    databases.drop(url)


@pytest.mark.slow
def test_the_message_of_a_source_names_the_file_that_stays(data: Path, address: str) -> None:
    copy(str(data), address)
    copy(address, str(data))
    with pytest.raises(FailedPrecondition) as caught:
        SqlIndex(address)
    assert f"its rows were copied to {data / 'index.sqlite'}." in caught.value.message


@pytest.mark.slow
def test_a_store_without_instances_counts_as_one(data: Path, address: str) -> None:
    with closing(sqlite3.connect(data / "index.sqlite")) as file, file:
        file.execute("INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (99, 1, 'empty', '{}')")
    copied = copy(str(data), address)
    assert copied is not None and copied.stores[99] == (0, 0)


@pytest.mark.parametrize(("revision", "words"), [("0013", "gantry migrate"), ("9999", "another schema")])
def test_an_index_of_another_version_is_refused(tmp_path: Path, address: str, revision: str, words: str) -> None:
    data = tmp_path / "older"
    data.mkdir()
    with closing(index_of_schema(data / "index.sqlite", min(revision, SCHEMA_VERSION))) as index:
        index.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        index.commit()
    refuse(data, address, FailedPrecondition, words)


def test_a_directory_without_an_index_is_no_source(tmp_path: Path, address: str) -> None:
    refuse(tmp_path / "none", address, NotFound, "is no directory")
    refuse(tmp_path, address, NotFound, "holds no index")
    (tmp_path / "index.sqlite").touch()
    refuse(tmp_path, address, NotFound, "holds no index")
    refuse(address, tmp_path, NotFound, "holds no index")


def test_a_rebuild_that_has_not_ended_is_not_copied(data: Path, address: str) -> None:
    with open_end(data / "index.sqlite") as end:
        end.connection.exec_driver_sql("UPDATE generation SET rebuilding = 1")
    refuse(data, address, FailedPrecondition, "a rebuild has not ended")


@pytest.mark.slow
def test_the_directory_of_another_index_is_no_target(data: Path, address: str, tmp_path: Path) -> None:
    copy(str(data), address)
    other = tmp_path / "other"
    other.mkdir()
    refuse(address, other, FailedPrecondition, "do not belong together")
    (other / "index.generation").write_text(f"{'0' * 32}\n{'0' * 20}\n")
    refuse(address, other, FailedPrecondition, "do not belong together")
    assert begins(data, address)


@pytest.mark.slow
def test_what_a_server_uses_is_refused(data: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.config._WAIT_SECONDS", 0.1)
    with hold_alone(data):
        refuse(data, address, FailedPrecondition, "in use by another gantry server")
    copy(str(data), address)
    with closing(SqlIndex(address)):
        refuse(address, data, FailedPrecondition, "another server of Gantry uses this database")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("a", "b"), "one is a data directory"),
        (("postgresql://me:hidden@h/d", "postgresql://me:hidden@h/e"), "one is a data directory"),
        (("a", "postgresql://me:hidden@h:x/d"), "TO: the value is not"),
        (("postgres://me:hidden@h/d", "a"), "FROM: the value is not"),
        (("postgresql+psycopg://me:hidden@h/d", "a"), "FROM: the value is not"),
    ],
    ids=["two directories", "two databases", "a port", "a scheme", "a driver"],
)
def test_what_is_no_pair_of_ends_is_refused(ends: tuple[str, str], words: str) -> None:
    refuse(*ends, InvalidArgument, words)


def test_a_server_that_is_not_there_is_refused(data: Path) -> None:
    refuse(data, "postgresql://me:hidden@127.0.0.1:1/there", FailedPrecondition, "cannot be reached")
    assert begins(data, "sqlite")


def test_without_a_driver_it_is_refused(data: Path, address: str) -> None:
    with mock.patch.dict(sys.modules, {"gantry.index.postgresql": None}):
        refuse(data, address, FailedPrecondition, NO_DRIVER)
