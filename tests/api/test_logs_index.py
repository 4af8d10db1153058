"""Reading the error logs of all operations costs what is read, not what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from gantry.errors import InvalidArgument, Status
from gantry.index import logs
from gantry.index.sql import SqlIndex
from gantry.log_entries import LogFilter, LogPosition, Severity
from gantry.names import DatasetName, DicomStoreName
from gantry.reasons import Reason
from gantry.resources import Batch, Dataset, DicomStore, Failure, Method
from tests.support.databases import index_url

EVERYTHING = LogFilter("all")


def of(field: str, operator: str, value: str | int) -> LogFilter:
    return LogFilter("all", parts=(LogFilter(operator, field, value),))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqlIndex]:
    """Two projects: 30 failures in ``p``, one in ``q`` before them."""
    index = SqlIndex(index_url(tmp_path / "data"))
    for project, failures in (("q", 1), ("p", 30)):
        name = DicomStoreName(project, "l", "d", "s")
        index.resources.create_dataset(Dataset(DatasetName(project, "l", "d")), "v1")
        index.resources.create_dicom_store(DicomStore(name))
        index.operations.create_operation(name.parent, "v1", Method.IMPORT_DICOM_DATA, {}, str(name))
        operation = index.operations.claim_operation("me")
        assert operation is not None
        status = Status(InvalidArgument.code, "bad")
        found = tuple(Failure(f"gs://b/{number}", status) for number in range(failures))
        index.operations.commit_batch(operation, "me", Batch("k", failures=found))
    yield index
    index.close()


@pytest.mark.sqlite("reads the words of SQLite's plans")
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("after", [None, LogPosition(1 << 50, 5, 1)])
@pytest.mark.parametrize("wanted", [EVERYTHING, of("project", "=", "p"), of("time", ">=", 5), of("store", "=", "s")])
def test_nothing_is_sorted_and_the_walk_is_along_the_index(
    index: SqlIndex, wanted: LogFilter, after: LogPosition | None, newest_first: bool
) -> None:
    statements: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(index.database.engine, "before_cursor_execute", remember)
    index.logs.find_failures(wanted, 10, after, newest_first)
    event.remove(index.database.engine, "before_cursor_execute", remember)
    assert len(statements) >= 2
    with index.database.engine.connect() as connection:
        for statement, parameters in statements[:2]:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert "INDEX failure_time" in plan[0], plan
            assert not any("TEMP B-TREE" in step for step in plan), plan


def test_one_call_looks_at_a_bounded_part(index: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one entry of ``q`` is found by a call that comes after several empty ones."""
    monkeypatch.setattr(logs, "SCAN", 10)
    position, found = None, []
    while True:
        part, position = index.logs.find_failures(of("project", "=", "q"), 5, position)
        found.append(len(part))
        if position is None:
            break
    assert found == [0, 0, 0, 1]
    numbers: list[str] = []
    while True:
        part, position = index.logs.find_failures(of("project", "=", "p"), 4, position, newest_first=False)
        numbers += [entry.failure.resource for _, entry in part]
        if position is None:
            break
    assert numbers == [f"gs://b/{number}" for number in range(30)]


def test_the_last_entries_and_the_counts_of_an_operation(index: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    (operation, _), *_ = index.logs.find_failures(EVERYTHING, 1)[0]
    assert [entry.seq for entry in index.logs.list_last_failures(operation.name, 3)] == [28, 29, 30]
    assert len(index.logs.list_last_failures(operation.name, 99)) == 30
    assert index.logs.count_entries(operation.name) == ({(Severity.ERROR, Reason.INVALID_ARGUMENT): 30}, True)
    monkeypatch.setattr(logs, "_COUNTED", 20)
    assert index.logs.count_entries(operation.name) == ({(Severity.ERROR, Reason.INVALID_ARGUMENT): 20}, False)
