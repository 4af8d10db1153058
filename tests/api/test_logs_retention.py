"""Finished operations are kept for a while, with their logs, then they are gone (§5.1.7)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gantry.errors import InvalidArgument, NotFound, Status
from gantry.index.sql import SqlIndex
from gantry.log_entries import LogFilter
from gantry.names import DatasetName
from gantry.resources import Batch, Dataset, Failure, Method, Operation
from tests.support.answers import refused
from tests.support.databases import index_url, query
from tests.support.gantry import Gantry
from tests.support.replicas import start_server

DAY = 86_400_000_000
DATASET = DatasetName("p", "l", "d")
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Gantry]:
    """A server of the test's own that keeps operations for 10 days."""
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_RETENTION_DAYS": "10"})
    try:
        yield Gantry(server)
    finally:
        server.stop()


def change(gantry: Gantry, statement: str, **values: object) -> None:
    """Change the index of a server that stands still, then start it again."""
    gantry.server.stop()
    query(gantry.server.data, statement, **values)
    gantry.server.start()


def number(operation: dict[str, object]) -> int:
    return int(str(operation["name"]).rpartition("/")[2])


def logged(gantry: Gantry) -> int:
    """Rows of the error log that are on disk."""
    return int(query(gantry.server.data, "SELECT count(*) FROM failure")[0][0])


@pytest.mark.slow
def test_old_operations_go_with_their_logs_and_young_ones_stay(aged: Gantry) -> None:
    aged.put(aged.bucket, "x.dcm", b"not DICOM")
    old, young = aged.import_("*"), aged.import_("*")
    change(aged, "UPDATE operation SET end_time = end_time - :age WHERE id = :id", age=11 * DAY, id=number(old))
    deadline = time.monotonic() + 60
    while logged(aged) > 1 or aged.request("GET", f"v1/{old['name']}").status_code == 200:
        assert time.monotonic() < deadline, "the sweeper has not come by"
        time.sleep(0.05)
    refused(aged.request("GET", f"v1/{old['name']}"), "NOT_FOUND")
    refused(aged.request("GET", f"logs/{old['name']}"), "NOT_FOUND")
    assert aged.operations() == [young]
    found = aged.call("POST", "v2/entries:list", json={"resourceNames": ["projects/p"]})["entries"]
    assert [item["operation"]["id"] for item in found] == [str(number(young))]


@pytest.mark.slow
def test_an_operation_that_runs_is_never_old(aged: Gantry) -> None:
    aged.put(aged.bucket, "x.dcm", b"not DICOM")
    name = aged.import_("*")["name"]
    change(aged, "UPDATE operation SET end_time = NULL, create_time = create_time - :age", age=100 * DAY)
    aged.wait(name)
    assert [item["name"] for item in aged.operations()] == [name]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqlIndex]:
    index = SqlIndex(index_url(tmp_path / "data"))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    yield index
    index.close()


def operation_with(index: SqlIndex, failures: int, *, done: bool = True) -> Operation:
    index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {})
    operation = index.operations.claim_operation("me")
    assert operation is not None
    status = Status(InvalidArgument.code, "bad")
    index.operations.commit_batch(operation, "me", Batch("k", failures=(Failure("gs://b/x", status),) * failures))
    if done:
        index.operations.finish_operation(operation, "me", status)
    return operation


@pytest.mark.slow
def test_expired_operations_are_hidden_at_once_and_removed_in_bounded_steps(index: SqlIndex) -> None:
    operation = operation_with(index, 12_000)
    running = operation_with(index, 1, done=False)
    assert index.retention.expire_operations(datetime.now(UTC) - timedelta(days=1)) == 0
    assert index.retention.expire_operations(LATER) == 2, "the import, and the operation that made the dataset"
    assert index.retention.expire_operations(LATER) == 0
    with pytest.raises(NotFound):
        index.operations.get_operation(operation.name)
    assert [item.name for item in index.operations.list_operations(DATASET, 10)] == [running.name]
    everything = index.logs.find_failures(LogFilter("all"), 100)[0]
    assert [item.name for item, _ in everything] == [running.name]
    left = []
    while index.retention.purge_operation():
        left.append(len(index.logs.list_failures(operation.name, 20_000)))
    assert all(before - after <= 5000 for before, after in zip([12_000, *left], left, strict=False))
    assert left[-1] == 0
    assert [item.name for item in index.operations.list_operations(DATASET, 10)] == [running.name]
    assert len(index.logs.list_failures(running.name, 10)) == 1
    assert not index.retention.purge_operation()
