"""Servers that share an index in PostgreSQL: who is alive, and what becomes of the work of those that are not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from gantry import asked_aside, membership
from gantry.asked_aside import AskedAside
from gantry.errors import Expelled, FailedPrecondition, Interrupted, TakenOver
from gantry.index import postgresql, postgresql_locks
from gantry.index.clock import to_micros
from gantry.index.postgresql_locks import be_alone
from gantry.index.refusals import OutcomeUnknown
from gantry.index.retention import Retention
from gantry.index.sql import SqlIndex
from gantry.membership import SharedMembership, State
from gantry.names import DatasetName
from gantry.resources import Batch, Dataset, DicomStore
from tests.index.values import DATASET, STORE, begin, item


class Pair:
    """Two servers, and a clock of their own for each."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.a, self.b = (SqlIndex(url, shares=True) for _ in range(2))
        self.now = 0.0
        self._members: list[SharedMembership] = []
        monkeypatch.setattr(membership, "BEAT_SECONDS", 3600.0)  # none by itself
        monkeypatch.setattr(membership.time, "monotonic", lambda: self.now)

    def join(self, index: SqlIndex, home: str, runs: bool = True) -> SharedMembership:
        made = SharedMembership(index.servers, f"host:{home}", home, runs, lambda: False)
        self._members.append(made)
        return made

    def close(self) -> None:
        for each in self._members:
            each._stopping.set()
            each._wake.set()
            each._thread.join()
        self.a.close()
        self.b.close()


@pytest.fixture
def pair(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    made = Pair(postgresql_url, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def store(pair: Pair) -> DicomStore:
    pair.join(pair.a, "a")
    pair.a.resources.create_dataset(Dataset(DATASET), "v1")
    pair.a.resources.create_dicom_store(DicomStore(STORE))
    return pair.a.resources.get_dicom_store(STORE)


def test_both_read_and_write(pair: Pair, store: DicomStore) -> None:
    pair.join(pair.b, "b")
    operation = begin(pair.b)
    claimed = pair.a.operations.claim_operation(pair.a.database.member)
    assert claimed is not None and claimed.name == operation.name
    pair.a.operations.commit_batch(claimed, pair.a.database.member, Batch("x", (item(1),)))
    assert pair.b.operations.get_operation(operation.name).counter.success == 1


def test_transactions_take_turns(pair: Pair, store: DicomStore) -> None:
    pair.join(pair.b, "b")
    order: list[str] = []

    def write_second() -> None:
        with pair.b.database.write():
            order.append("second")

    thread = threading.Thread(target=write_second)
    with pair.a.database.write():
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.slow
def test_a_server_that_is_alone_lets_no_other_in(
    postgresql_url: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_locks, "_LOCK_SECONDS", 1)
    with pytest.raises(FailedPrecondition, match="another server of Gantry uses this database"):
        SqlIndex(postgresql_url)
    pair.a.close()
    pair.b.close()
    alone = SqlIndex(postgresql_url)
    with pytest.raises(FailedPrecondition, match="another server of Gantry uses this database"):
        SqlIndex(postgresql_url, shares=True)
    alone.close()


def test_who_is_alive_keeps_its_operations(pair: Pair, store: DicomStore) -> None:
    pair.join(pair.b, "b")
    begin(pair.a)
    assert pair.a.operations.claim_operation(pair.a.database.member) is not None
    assert pair.b.operations.claim_operation(pair.b.database.member) is None


def test_who_is_silent_for_too_long_is_gone(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    begin(pair.a)
    mine = pair.a.operations.claim_operation(pair.a.database.member)
    assert mine is not None
    for pair.now in (5, 10, 15):
        b.beat()
        assert pair.b.operations.claim_operation(b.id) is None
    pair.now = 20
    b.beat()
    again = pair.b.operations.claim_operation(b.id)
    assert again is not None and again.attempt == mine.attempt + 1
    with pytest.raises(TakenOver):
        pair.a.operations.commit_batch(mine, pair.a.database.member, Batch("x", (item(1),)))
    with pytest.raises(Expelled):
        pair.a.servers.beat({})
    assert pair.b.operations.get_operation(mine.name).counter.success == 0
    pair.b.operations.commit_batch(again, b.id, Batch("x", (item(1),)))


def test_whoever_was_deaf_gives_the_others_their_time_again(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    for pair.now in (5, 10, 60):
        b.beat()
    pair.a.servers.beat({})


def test_a_beat_keeps_a_server_alive(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    for pair.now in range(5, 100, 5):
        pair.a.servers.beat({})
        b.beat()
    assert len(pair.b.servers.list_live()) == 2


def test_one_that_gave_a_sign_meanwhile_is_not_expelled(pair: Pair, store: DicomStore) -> None:
    pair.join(pair.b, "b")
    seen = next(each for each in pair.b.servers.list_live() if each.id == pair.a.database.member)
    pair.a.servers.beat({})
    assert not pair.b.servers.expel(seen)
    assert len(pair.b.servers.list_live()) == 2


def test_a_start_takes_the_place_of_the_last_one_of_its_directory(pair: Pair, store: DicomStore) -> None:
    begin(pair.a)
    assert pair.a.operations.claim_operation(pair.a.database.member) is not None
    pair.join(pair.b, "a")
    assert [each.id for each in pair.b.servers.list_live()] == [pair.b.database.member]
    assert pair.b.operations.claim_operation(pair.b.database.member) is not None
    with pytest.raises(Expelled):
        pair.a.resources.create_dataset(Dataset(DatasetName("p", "l", "e")), "v1")


def test_who_leaves_is_gone_at_once(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    begin(pair.a)
    pair.a.operations.claim_operation(pair.a.database.member)
    pair.a.servers.leave()
    assert pair.b.operations.claim_operation(b.id) is not None


def test_another_takes_the_operation_while_its_server_lives_on(pair: Pair, store: DicomStore) -> None:
    """Such as one whose thread hangs: the row says whose it is."""
    operation = begin(pair.a)
    pair.a.operations.claim_operation("earlier")
    b = pair.join(pair.b, "b")
    claimed = pair.b.operations.claim_operation(b.id)
    assert claimed is not None and claimed.name == operation.name
    with pytest.raises(TakenOver):
        pair.a.operations.commit_batch(claimed, "earlier", Batch("x", (item(1),)))


def test_the_first_that_runs_operations_keeps_house(pair: Pair) -> None:
    a = pair.join(pair.a, "a", runs=False)
    b = pair.join(pair.b, "b")
    a.beat()
    assert (a.is_keeper, b.is_keeper) == (False, True)


def test_a_store_is_free_once_every_server_has_said_so(pair: Pair) -> None:
    a, b = pair.join(pair.a, "a"), pair.join(pair.b, "b")
    a.beat()
    assert a.find_busy_stores([7, 8]) == {7, 8}
    b._describe = lambda: State(stores=[7])
    for _ in range(2):  # what the first one tells may be of the moment before
        assert a.find_busy_stores([7, 8]) == {7, 8}
        b.beat()
        a.beat()
    assert a.find_busy_stores([7, 8]) == {7}
    b._describe = State
    b.beat()
    a.beat()
    assert a.find_busy_stores([7, 8]) == set()


def test_what_another_one_runs_and_waits_for_is_known(pair: Pair) -> None:
    a, b = pair.join(pair.a, "a"), pair.join(pair.b, "b")
    waits: Any = {"cause": "BUCKET"}
    b._describe = lambda: State(operations={1: None, 2: waits})
    b._holds = AskedAside(lambda: True)
    b.beat()
    assert not a.is_held()
    a.beat()
    assert a.list_running() == {1, 2}
    assert (a.find_state(1), a.find_state(2), a.find_state(3)) == (None, waits, None)
    assert a.is_held()


def test_a_beat_waits_for_no_disk(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a backup is made stands on one; where it hangs there may be one."""
    monkeypatch.setattr(asked_aside, "ANSWER_SECONDS", 0.05)
    a, b = pair.join(pair.a, "a"), pair.join(pair.b, "b")
    answer, asked = threading.Event(), []

    def hang() -> bool:
        asked.append(True)
        return not answer.wait(60)

    b._holds = AskedAside(hang)
    for _ in range(3):
        b.beat()
    a.beat()
    assert a.is_held() and len(asked) == 1
    answer.set()
    monkeypatch.setattr(asked_aside, "ANSWER_SECONDS", 60)
    b.beat()  # the answer to the first question
    a.beat()
    assert not a.is_held()


def test_who_hears_nothing_of_the_others_deletes_nothing(pair: Pair) -> None:
    a = pair.join(pair.a, "a")
    pair.now = 10
    assert not a.is_held()
    pair.now = 11
    assert a.is_held()
    a.beat()
    assert not a.is_held()


def test_lots_of_those_who_are_gone_are_left(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    lot = pair.a.uploads.begin_upload(store.id)
    assert pair.b.uploads.list_uploads() == []
    pair.a.servers.leave()
    assert pair.b.uploads.list_uploads() == [(lot, store.id)]
    assert b.is_shared


def test_who_freezes_in_a_transaction_holds_nobody_up(
    pair: Pair, store: DicomStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.join(pair.b, "b")
    with pytest.raises(Interrupted), pair.a.database.write() as connection:
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '300ms'").close()
        with pair.b.database.write():
            pass
        connection.exec_driver_sql("SELECT 1").close()
    with pair.a.database.write():
        pass


def test_a_store_is_not_free_for_what_a_server_said_before_it_was_deleted(pair: Pair) -> None:
    a, b = pair.join(pair.a, "a"), pair.join(pair.b, "b")
    a.beat()
    b.beat()  # nobody has seen it yet
    a.find_busy_stores([7])
    b._describe = lambda: State(stores=[7])
    a.beat()
    assert a.find_busy_stores([7]) == {7}


def test_who_waits_to_expel_another_one_gives_signs_of_life(
    pair: Pair, store: DicomStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of a third server may take long."""
    monkeypatch.setattr(postgresql, "_SOON_SECONDS", 0.2)
    b = pair.join(pair.b, "b")
    pair.now = 10
    b.beat()
    pair.now = 20
    with pair.a.database.write(), ThreadPoolExecutor(1) as thread:
        beat = thread.submit(b.beat)
        assert isinstance(beat.exception(timeout=25), Interrupted)
    assert len(pair.b.servers.list_live()) == 2
    b.beat()
    assert [each.id for each in pair.b.servers.list_live()] == [b.id]


def test_who_is_gone_expels_nobody(pair: Pair, store: DicomStore) -> None:
    b = pair.join(pair.b, "b")
    a, _ = pair.b.servers.list_live()
    pair.a.servers.expel(next(each for each in pair.a.servers.list_live() if each.id == b.id))
    assert not pair.b.servers.expel(a)


def test_who_does_not_hear_the_others_deletes_nothing(pair: Pair) -> None:
    a = pair.join(pair.a, "a")
    pair.now = 9
    assert not a.is_held()
    pair.now = 11
    assert a.is_held()
    a.beat()
    assert not a.is_held()


def test_who_was_expelled_before_its_start_ends(pair: Pair) -> None:
    a, ended = pair.join(pair.a, "a"), []
    a._gone(Expelled("gone"))
    a.start(State, lambda: ended.append(True))
    assert ended


@pytest.mark.slow
def test_the_schema_is_not_changed_beside_a_server_that_writes_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection that writes may be gone, as after a start of PostgreSQL."""
    monkeypatch.setattr(postgresql_locks, "_LOCK_SECONDS", 1)
    pair.join(pair.a, "a")
    pair.a.database.writer.dispose()
    with pair.b.database.writer.connect() as connection, pytest.raises(Interrupted), be_alone(connection):
        pass


def test_who_had_lost_the_database_while_its_schema_was_changed_ends(
    pair: Pair, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was there: nobody had seen yet that it was silent."""
    pair.join(pair.a, "a")
    for engine in (pair.a.database.writer, pair.a.database._pulse):
        engine.dispose()
    pair.b.close()
    changed: list[Any] = []
    monkeypatch.setattr(postgresql, "_is_current", lambda _connection: bool(changed))
    monkeypatch.setattr(postgresql, "upgrade_schema", lambda *what: changed.append(what))
    pair.b = SqlIndex(postgresql_url, shares=True)
    assert changed
    with pytest.raises(Expelled), pair.a.database.write():
        pass
    with pytest.raises(Expelled):
        pair.a.servers.beat({})


def test_a_claim_that_nobody_was_told_of_is_made_again(
    pair: Pair, store: DicomStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(connection: Any, _transaction: str) -> None:
        connection.exec_driver_sql("COMMIT").close()
        raise OutcomeUnknown("the connection is lost")

    begin(pair.a)
    with monkeypatch.context() as patch, pytest.raises(OutcomeUnknown):
        patch.setattr(pair.a.database, "_commit", commit)
        pair.a.operations.claim_operation("me")
    claimed = pair.a.operations.claim_operation("me")
    assert claimed is not None and claimed.attempt == 3  # one is that of ``begin``
    assert pair.a.operations.claim_operation("me") is None


def test_one_that_follows_the_clock_after_another_one_begins_there(postgresql_url: str) -> None:
    """With a clock that is a month ahead, after days in which it was not asked."""
    steady, day = 0.0, 86_400
    index = SqlIndex(postgresql_url)
    first, second = (Retention(index.database, lambda: steady) for _ in range(2))
    begun = first.follow_clock()
    steady = 3.0 * day
    first.follow_clock()
    index.database.now = lambda: to_micros(begun) + 40 * day * 1_000_000
    assert second.follow_clock() < begun + timedelta(days=4)
    second.follow_clock()
    index.close()


def test_a_turn_that_does_not_come_leaves_the_connection_as_it_was(pair: Pair, store: DicomStore) -> None:
    pair.join(pair.b, "b")
    with pair.b.database.writer.connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '100ms'").close()
    with pair.a.database.write(), pytest.raises(Interrupted), pair.b.database.write():
        pass
    with pair.b.database.write() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
