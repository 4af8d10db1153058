"""In PostgreSQL statements without rows go with the next one that has some, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from gantry.index.deferred import begin_part, defer, end_part, fetch_together, send, undo_part
from gantry.index.refusals import BadValue
from gantry.index.row_numbers import expect_numbers, take_numbers
from gantry.index.sql import SqlIndex
from gantry.index.statements import by_columns, inserting
from gantry.index.tables import garbage, segment
from gantry.resources import Batch, DicomStore, Operation
from tests.index.values import RUNNER, item, said, stored

MOST = 18
"""Round trips of a batch with a new study and two new series. Before statements were deferred there were 33."""
ADD = inserting(garbage, "blob_key")


@pytest.fixture
def index(postgresql_index: SqlIndex) -> SqlIndex:
    return postgresql_index


def count_round_trips(index: SqlIndex, log: Path, act: Any) -> int:
    """Of the connection that writes: how often it waits for an answer."""
    with index.database.writer.connect() as connection:
        driver: Any = connection.connection.driver_connection
    with log.open("w") as file:
        driver.pgconn.trace(file.fileno())
        act()
        driver.pgconn.untrace()
    waits = ("\tReadyForQuery", "\tCopyInResponse")
    return sum(any(each in line for each in waits) for line in log.read_text(errors="replace").splitlines())


def batch(number: int) -> Batch:
    header = said(item(0)).description
    new = [item(100 * number + n, f"1.{number}", f"1.{number}.{n % 2}")._replace(description=header) for n in range(20)]
    key = f"main/1/{number}.seg"
    placed = [each._replace(blob_key=f"{key}@{n * 4096}+{each.size}") for n, each in enumerate(new)]
    return Batch(str(number), tuple(placed), segments=(key,), blob_prefix=f"main/1/{number}")


def test_a_batch_needs_few_round_trips(
    index: SqlIndex, store: DicomStore, operation: Operation, tmp_path: Path
) -> None:
    def commit(number: int) -> None:
        index.operations.commit_batch(operation, RUNNER, batch(number))

    commit(1)
    found = count_round_trips(index, tmp_path / "trace", lambda: commit(2))
    assert 8 < found <= MOST
    assert len(stored(index, store)) == 40


def keys_in(connection: Connection) -> list[str]:
    return list(connection.execute(select(garbage.c.blob_key).order_by(garbage.c.blob_key)).scalars())


def test_what_waits_is_seen_by_what_follows(index: SqlIndex) -> None:
    with index.database.write() as connection:
        ADD.run(connection, [("a",), ("b",)])
        assert keys_in(connection) == ["a", "b"]
        ADD.run(connection, [("c",)])
        connection.execute(insert(garbage), [{"blob_key": "d"}, {"blob_key": "e"}])
        ADD.run(connection, [("f",)])
        rows = fetch_together(connection, [("SELECT count(*) AS found FROM garbage", ())])
        assert rows[0][0].found == 6
        ADD.run(connection, [("g",)])
    with index.database.read() as connection:
        assert keys_in(connection) == list("abcdefg")


def test_an_error_is_raised_by_what_it_was_sent_with(index: SqlIndex) -> None:
    with pytest.raises(BadValue), index.database.write() as connection:
        ADD.run(connection, [("a",)])
        ADD.run(connection, [("a",)])
        keys_in(connection)
    with pytest.raises(BadValue), index.database.write() as connection:
        ADD.run(connection, [("a",)])
        ADD.run(connection, [("a",)])
        send(connection)
    with index.database.write() as connection:
        assert keys_in(connection) == []


def test_the_end_of_a_transaction_sends_what_is_left_and_raises_its_error(index: SqlIndex) -> None:
    with pytest.raises(BadValue), index.database.write() as connection:
        ADD.run(connection, [("a",)])
        ADD.run(connection, [("a",)])


def test_nothing_is_written_where_the_block_fails(index: SqlIndex) -> None:
    with pytest.raises(KeyError), index.database.write() as connection:
        ADD.run(connection, [("a",)])
        raise KeyError
    with index.database.write() as connection:
        assert keys_in(connection) == []


@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "waiting"])
def test_a_part_is_undone_alone(index: SqlIndex, is_sent: bool) -> None:
    with index.database.write() as connection:
        ADD.run(connection, [("before",)])
        begin_part(connection, "part")
        if is_sent:
            send(connection)
        ADD.run(connection, [("before",)])  # would be refused
        undo_part(connection, "part")
        end_part(connection, "part")
        ADD.run(connection, [("later",)])
    with index.database.read() as connection:
        assert keys_in(connection) == ["before", "later"]


def test_queries_are_sent_together(index: SqlIndex, tmp_path: Path) -> None:
    by_key = by_columns(garbage.c.blob_key)

    def act() -> None:
        with index.database.write() as connection:
            ADD.run(connection, [("a",), ("c",)])
            found = by_key.fetch_each(connection, [("a",), ("b",), ("c",)])
            assert [[row.blob_key for row in rows] for rows in found] == [["a"], [], ["c"]]

    assert count_round_trips(index, tmp_path / "trace", act) == 3  # with the count and the commit


def test_numbers_come_ahead_and_each_once(index: SqlIndex) -> None:
    with index.database.write() as connection:
        expect_numbers(connection, segment.name, 3)
        assert keys_in(connection) == []
        first = take_numbers(connection, segment.name, 2)
        again = take_numbers(connection, segment.name, 2)
        expect_numbers(connection, segment.name, 1)
        keys_in(connection)
        more = take_numbers(connection, segment.name, 5)
    every = [*first, *again, *more]
    assert len(set(every)) == len(every) == 9
    assert first == sorted(first)


def test_outside_of_a_transaction_nothing_waits(index: SqlIndex) -> None:
    with index.database.read() as connection:
        assert not defer(connection, "SELECT 1")


def test_of_several_servers_each_sends_every_statement_by_itself(postgresql_url: str, tmp_path: Path) -> None:
    """One that is frozen between two that were sent together would keep its turn: PostgreSQL ends a session that is
    idle in its transaction, but does not take it for idle then."""
    index = SqlIndex(postgresql_url, shares=True)
    try:
        with index.database.write() as connection:
            ADD.run(connection, [("main/1/1/a",)])
            driver: Any = connection.connection.driver_connection
            with driver.cursor() as cursor:  # beside SQLAlchemy, which would send what waits
                assert cursor.execute("SELECT blob_key FROM garbage").fetchall() == [("main/1/1/a",)]
            assert not defer(connection, "SELECT 1")
    finally:
        index.close()
