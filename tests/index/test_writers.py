"""Writers take turns, and readers never wait for them."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gantry.errors import Interrupted, Unavailable
from gantry.index import database
from gantry.index.sql import SqlIndex
from gantry.index.writer_queue import WriterQueue
from gantry.resources import DicomStore
from tests.index.values import STORE, item
from tests.support.statements import record_statements


@pytest.fixture
def index(sqlite_index: SqlIndex) -> SqlIndex:
    return sqlite_index


@pytest.mark.slow
def test_readers_read_on_while_more_writers_than_connections_wait(
    index: SqlIndex, store: DicomStore, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the file's lock: not one of the readers' connections is with a writer."""
    writers = 3 * database.READERS
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(writers + database.READERS) as threads:
        writing = [threads.submit(index.uploads.store_instances, store.id, [item(n)]) for n in range(writers)]
        deadline = time.monotonic() + 20
        while len(index.database._queue._waiting) < writers - 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        reading = [threads.submit(index.resources.get_dicom_store, STORE) for _ in range(5 * database.READERS)]
        assert {each.result(timeout=20).id for each in reading} == {store.id}
        assert not any(each.done() for each in writing)
        other.execute("ROLLBACK")
        assert [each.result() for each in writing] == [set()] * writers
    other.close()
    assert index.instances.count_in_store(store.id) == writers


def test_a_writer_waits_no_longer_than_a_bound(
    index: SqlIndex, store: DicomStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT", 0.05)
    with index.database.write(), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(index.uploads.store_instances, store.id, [item(1)])
        with pytest.raises(Interrupted, match="busy right now") as caught:
            waiting.result(timeout=20)
    assert isinstance(caught.value, Unavailable)
    assert index.uploads.store_instances(store.id, [item(1)]) == set(), "the turn has been given back"


def test_a_transaction_that_fails_gives_its_turn_back(index: SqlIndex, store: DicomStore) -> None:
    with pytest.raises(ZeroDivisionError), index.database.write():
        _ = 1 / 0
    assert index.uploads.store_instances(store.id, [item(1)]) == set()


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    queue, order = WriterQueue(), []

    def take(number: int) -> None:
        with queue.take_turn(60) as mine:
            assert mine
            order.append(number)

    with queue.take_turn(0):
        threads = []
        for number in range(20):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(queue._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_who_waits_no_longer_is_passed_over() -> None:
    queue = WriterQueue()
    with queue.take_turn(0), queue.take_turn(0.01) as mine:
        assert not mine
    with queue.take_turn(0) as mine:
        assert mine


def test_a_transaction_costs_no_statement_besides_its_own(sqlite_index: SqlIndex) -> None:
    """The driver itself begins it, counts it and ends it."""
    with record_statements(sqlite_index.database) as statements, sqlite_index.database.write() as connection:
        connection.exec_driver_sql("INSERT OR REPLACE INTO project VALUES ('p', '1')")
    assert len(statements) == 1


def test_every_transaction_that_is_committed_is_counted_and_no_other(sqlite_index: SqlIndex) -> None:
    class Heard(list[int]):
        trouble = ""

        def note(self, commits: int) -> None:
            self.append(commits)

        def close(self) -> None: ...

    sqlite_index.database.witness = heard = Heard()
    begun = sqlite_index.generations.get().commits
    for _ in range(3):
        with sqlite_index.database.write() as connection:
            connection.exec_driver_sql("INSERT OR REPLACE INTO project VALUES ('p', '1')")
        with pytest.raises(ZeroDivisionError), sqlite_index.database.write():
            _ = 1 / 0
    assert heard == [begun + 1, begun + 2, begun + 3] and sqlite_index.generations.get().commits == begun + 3


def test_room_for_the_index_is_looked_for_once_a_second(
    sqlite_index: SqlIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: looks.append(path) or real(path))
    clock = [time.monotonic() + 10]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for moment in (0, 0.5, 0.9, 1.5, 1.6):
        clock[0] += moment
        with sqlite_index.database.write():
            pass
    assert len(looks) == 4
