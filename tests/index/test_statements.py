"""Queries that are compiled once and run by the driver: the same rows as SQLAlchemy's, and the same errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Select, bindparam, insert, select

from gantry.errors import Interrupted
from gantry.index import statements
from gantry.index.database import Database
from gantry.index.refusals import BadText, BadValue, Damaged
from gantry.index.statements import CompiledQuery
from gantry.index.tables import garbage

KEYS = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/index.sqlite")
    with opened.write() as connection:
        connection.execute(insert(garbage), [{"blob_key": key} for key in KEYS])
    yield opened
    opened.close()


def by_key(*conditions: Any) -> Select[Any]:
    return select(garbage.c.blob_key).where(*conditions).order_by(garbage.c.blob_key)


KEY = garbage.c.blob_key


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (by_key(bindparam("key") == KEY), {"key": "b"}),
        (by_key(bindparam("key") < KEY, bindparam("key") != KEY), {"key": "b"}),
        (by_key(KEY > "c"), {}),
        (by_key(KEY > "a", bindparam("last") > KEY).limit(bindparam("most")), {"last": "f", "most": 2}),
        (by_key(KEY.in_([bindparam("first"), bindparam("second")])), {"first": "a", "second": "e"}),
        (by_key(KEY.in_(bindparam("keys", expanding=True))), {"keys": KEYS[1:]}),
        (by_key(KEY.in_(bindparam("keys", expanding=True))), {"keys": []}),
        (by_key(bindparam("key") == KEY), {"key": "b", "other": "of another query"}),
        (by_key(bindparam("key") == KEY), {"key": "' OR 1 --"}),
    ],
)
def test_a_compiled_query_finds_what_sqlalchemy_finds(
    database: Database, query: Select[Any], values: dict[str, Any]
) -> None:
    compiled = CompiledQuery(query)
    with database.read() as connection:
        wanted = [tuple(row) for row in connection.execute(query, values)]
        assert [list(compiled.fetch(connection, values)) for _ in range(2)] == [wanted, wanted]


def test_one_query_takes_other_values_each_time(database: Database) -> None:
    compiled = CompiledQuery(by_key(bindparam("key") == KEY))
    with database.read() as connection:
        assert [compiled.fetch(connection, {"key": key}) for key in KEYS] == [[(key,)] for key in KEYS]


def test_a_query_is_compiled_once(database: Database) -> None:
    compiled = CompiledQuery(by_key(bindparam("key") == KEY))
    with database.read() as connection:
        compiled.fetch(connection, {"key": "a"})
        with mock.patch.object(Select, "compile", side_effect=AssertionError):
            assert compiled.fetch(connection, {"key": "b"}) == [("b",)]


def test_a_value_that_is_missing_is_an_error(database: Database) -> None:
    with pytest.raises(KeyError), database.read() as connection:
        CompiledQuery(by_key(bindparam("key") == KEY)).fetch(connection, {})


@pytest.mark.parametrize("value", ["\ud800", 1 << 64, object()])
def test_a_value_that_the_driver_refuses_is_an_error_of_the_value(database: Database, value: object) -> None:
    query = CompiledQuery(by_key(bindparam("key") == KEY))
    with pytest.raises(BadValue), database.read() as connection:
        query.fetch(connection, {"key": value})
    with database.read() as connection:
        assert query.fetch(connection, {"key": "a"}) == [("a",)]


def test_a_connection_that_was_closed_is_away_and_the_next_one_reads(database: Database) -> None:
    query = CompiledQuery(by_key(bindparam("key") == KEY))
    with pytest.raises(Interrupted), database.read() as connection:
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
        query.fetch(connection, {"key": "a"})
    with database.read() as connection:
        assert query.fetch(connection, {"key": "a"}) == [("a",)]


def test_damage_that_the_driver_reports_is_noted(database: Database) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    with pytest.raises(Damaged), database.read() as connection:
        used = connection.connection.driver_connection
        with mock.patch.object(statements, "driver_of") as driver:
            driver.return_value.execute.side_effect = error
            CompiledQuery(by_key()).fetch(connection, {})
    with database.read() as connection:
        assert connection.connection.driver_connection is not used


def test_a_damaged_text_is_read_in_another_way_the_next_time(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO garbage (blob_key) VALUES (CAST(x'67ff' AS TEXT))")
    query = CompiledQuery(by_key(bindparam("key") < KEY))
    with pytest.raises(BadText), database.read() as connection:
        query.fetch(connection, {"key": "f"})
    with database.read() as connection:
        assert query.fetch(connection, {"key": "f"}) == [("g\ufffd",)]
