"""Another session changes what this server changes: PostgreSQL lets one of them wait, or ends its transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, create_engine, text

from gantry.errors import Interrupted
from gantry.index import repeating
from gantry.index.refusals import Conflict
from gantry.index.sql import SqlIndex
from gantry.resources import Batch, DicomStore, Operation
from tests.index.values import RUNNER, item, stored


@pytest.fixture
def index(postgresql_url: str) -> Iterator[SqlIndex]:
    opened = SqlIndex(postgresql_url)
    yield opened
    opened.close()


@pytest.fixture
def other(index: SqlIndex, postgresql_url: str) -> Iterator[Connection]:
    """Of two that wait for each other, the server's transaction is ended and not this one's."""
    engine = create_engine(postgresql_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET deadlock_timeout = '1h'")
        connection.commit()
        yield connection
    engine.dispose()


def wait_for_waiting(connection: Connection) -> None:
    while not connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").all():
        time.sleep(0.01)


def do_meanwhile(connection: Connection, call: Callable[[], object], then: Callable[[], object]) -> object:
    """What ``call`` returns, while ``then`` is done once it waits for the transaction of the connection."""
    with ThreadPoolExecutor(1) as threads:
        called = threads.submit(call)
        wait_for_waiting(connection)
        then()
        connection.commit()
        return called.result(60)


def make_deadlock(connection: Connection, index: SqlIndex, operation: Operation) -> object:
    """A batch that waits for the store, while the other session, which has locked that, waits for the operation."""
    lock = {"store": operation.store_id, "operation": operation.name.id}
    connection.execute(text("SELECT id FROM dicom_store WHERE id = :store FOR UPDATE"), lock)
    batch = Batch("a", (item(1), item(2)))
    return do_meanwhile(
        connection,
        lambda: index.operations.commit_batch(operation, RUNNER, batch),
        lambda: connection.execute(text("SELECT id FROM operation WHERE id = :operation FOR UPDATE"), lock),
    )


@pytest.mark.slow
def test_a_batch_is_committed_again_after_a_deadlock(
    index: SqlIndex, store: DicomStore, operation: Operation, other: Connection
) -> None:
    make_deadlock(other, index, operation)
    assert len(stored(index, store)) == 2
    counter = index.operations.get_operation(operation.name).counter
    assert (counter.success, counter.failure) == (2, 0)


@pytest.mark.slow
def test_it_is_not_committed_again_without_end(
    index: SqlIndex, operation: Operation, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is an interruption, after which operations go on where they were."""
    monkeypatch.setattr(repeating, "MOST", 1)
    with pytest.raises(Interrupted, match="because of another one") as caught:
        make_deadlock(other, index, operation)
    assert caught.value.retry_after


def make_study(connection: Connection, store_id: int, uid: str) -> None:
    study = "INSERT INTO study (id, store_id, study_instance_uid) VALUES (nextval('study_id_seq'), %s, %s)"
    connection.exec_driver_sql(study, (store_id, uid))


def make_series(connection: Connection, store_id: int, uid: str) -> None:
    made = (
        "INSERT INTO series (id, study_id, series_instance_uid, store_id) "
        "SELECT nextval('series_id_seq'), id, %s, store_id FROM study WHERE store_id = %s"
    )
    connection.exec_driver_sql(made, (uid, store_id))


@pytest.mark.parametrize("count", [1, 9], ids=["one", "many"])
@pytest.mark.parametrize("what", ["study", "series"])
def test_two_writers_make_the_same_study_or_series(
    index: SqlIndex, store: DicomStore, other: Connection, what: str, count: int
) -> None:
    """The second one finds what the first one has made; no instance is refused."""
    if what == "study":
        make_study(other, store.id, "1.1")
        new = [item(n, f"1.{n}", f"1.{n}.1") for n in range(1, count + 1)]
    else:
        index.uploads.store_instances(store.id, [item(0, "1.1", "1.1.0")])
        make_series(other, store.id, "1.1.1")
        new = [item(n, "1.1", f"1.1.{n}") for n in range(1, count + 1)]
    assert do_meanwhile(other, lambda: index.uploads.store_instances(store.id, new), dict) == set()
    assert {each.uids for each in stored(index, store)} >= {each.uids for each in new}
    assert len(stored(index, store)) == count + (what == "series")


def test_two_writers_store_the_same_instance(index: SqlIndex, store: DicomStore, other: Connection) -> None:
    index.uploads.store_instances(store.id, [item(1)])
    row = other.exec_driver_sql("SELECT * FROM instance").mappings().one()
    changed = dict(row) | {"sop_instance_uid": item(2).sop_instance_uid}
    columns = ", ".join(f'"{name}"' for name in changed)
    marks = ", ".join("%s" for _ in changed)
    other.exec_driver_sql(f"INSERT INTO instance ({columns}) VALUES ({marks})", tuple(changed.values()))
    found = do_meanwhile(other, lambda: index.uploads.store_instances(store.id, [item(2), item(3)]), dict)
    assert found == {item(2).uids}
    assert len(stored(index, store)) == 3


def test_calls_are_made_again_as_they_were() -> None:
    calls: list[tuple[int, str]] = []

    @repeating.repeated
    def call(number: int, name: str = "") -> str:
        calls.append((number, name))
        if len(calls) < repeating.MOST:
            raise Conflict("the index cannot be used right now")
        return "done"

    assert call(5, name="x") == "done"
    assert calls == [(5, "x")] * repeating.MOST
