"""Writes of many threads share transactions; each is still a write of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text

from gantry.errors import AlreadyExists, Interrupted
from gantry.index.database import Database
from gantry.index.shared_transactions import MOST, SharedTransactions


class Counted(Database):
    """Counts transactions; ``hold`` keeps the first one waiting for its turn until all others have come."""

    transactions = 0
    fails: Exception | None = None

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.hold = threading.Event()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.hold.wait(30)
        self.transactions += 1
        with super().write() as connection:
            yield connection
            if self.fails is not None:
                raise self.fails


@pytest.fixture
def database(tmp_path: Any) -> Iterator[Counted]:
    made = Counted(f"sqlite:///{tmp_path / 'index.sqlite'}")
    with made.read() as connection:
        connection.execute(text("CREATE TABLE mine (number INTEGER PRIMARY KEY)"))
    yield made
    made.close()


def add(number: int, error: Exception | None = None) -> Callable[[Connection], int]:
    def act(connection: Connection) -> int:
        connection.execute(text("INSERT INTO mine VALUES (:number)"), {"number": number})
        if error is not None:
            raise error
        return number * 2

    return act


def run_all(shared: SharedTransactions, database: Counted, acts: list[Callable[[Connection], int]]) -> list[Any]:
    """Results and errors, once all writes have waited for the same turn."""

    def run(act: Callable[[Connection], int]) -> Any:
        try:
            return shared.run(act)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(acts)) as threads:
        calls = [threads.submit(run, act) for act in acts]
        while len(shared._waiting) < len(acts):
            pass
        database.hold.set()
        return [call.result() for call in calls]


def numbers(database: Database) -> set[int]:
    with database.read() as connection:
        return set(connection.execute(text("SELECT number FROM mine")).scalars())


def test_writes_that_wait_together_share_a_transaction(database: Counted) -> None:
    shared = SharedTransactions(database)
    assert run_all(shared, database, [add(number) for number in range(20)]) == [number * 2 for number in range(20)]
    assert numbers(database) == set(range(20))
    assert database.transactions == 1


def test_no_transaction_has_more_than_so_many(database: Counted) -> None:
    shared = SharedTransactions(database)
    assert len(run_all(shared, database, [add(number) for number in range(MOST + 5)])) == MOST + 5
    assert numbers(database) == set(range(MOST + 5))
    assert 2 <= database.transactions <= 6


def test_one_that_is_refused_is_undone_alone(database: Counted) -> None:
    shared = SharedTransactions(database)
    acts = [add(number, AlreadyExists("is there") if number % 3 == 0 else None) for number in range(12)]
    found = run_all(shared, database, acts)
    assert [isinstance(each, AlreadyExists) for each in found] == [number % 3 == 0 for number in range(12)]
    assert numbers(database) == {number for number in range(12) if number % 3}
    assert database.transactions == 1


def test_a_transaction_that_fails_fails_all_of_its_writes(database: Counted) -> None:
    shared = SharedTransactions(database)
    database.fails = Interrupted("the disk is away")
    found = run_all(shared, database, [add(number) for number in range(8)])
    assert all(isinstance(each, Interrupted) for each in found)
    assert numbers(database) == set()
    database.fails = None
    assert shared.run(add(1)) == 2


def test_an_error_that_nobody_foresaw_is_that_writes_alone(database: Counted) -> None:
    shared = SharedTransactions(database)
    zero, one, two = run_all(shared, database, [add(0), add(1, ZeroDivisionError("?")), add(2)])
    assert (zero, two) == (0, 4)
    assert isinstance(one, ZeroDivisionError)
    assert numbers(database) == {0, 2}


def test_a_turn_that_never_comes_is_an_error_of_that_call_alone(
    database: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedTransactions(database)
    database.hold.set()
    with monkeypatch.context() as patch:
        patch.setattr("gantry.index.database.WAIT", 0.01)
        with Database.write(database), pytest.raises(Interrupted):
            shared.run(add(1))
    assert shared._waiting == []
    assert shared.run(add(2)) == 4
    assert numbers(database) == {2}
