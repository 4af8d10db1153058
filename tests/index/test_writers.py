"""Writers take turns, and readers never wait for them."""

from __future__ import annotations

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


@pytest.fixture
def index(sqlite_index: SqlIndex) -> SqlIndex:
    return sqlite_index


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
