"""Each transition of an operation, and each that is forbidden; see the head of ``index.operations``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gantry.errors import Aborted, Code, NotFound, ResourceExhausted, Status
from gantry.index.sql import SqlIndex
from gantry.resources import Batch, DicomStore, Method, Operation
from tests.index.values import DATASET, RUNNER, STORE, failed, item

OTHER = "runner-2"
START = 1_700_000_000_000_000


class Clock:
    """It goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.micros = START

    def __call__(self) -> int:
        self.micros += 1_000_000
        return self.micros


@pytest.fixture
def index(index: SqlIndex) -> SqlIndex:
    index.database.now = Clock()
    return index


def create(index: SqlIndex, most: int = 0) -> Operation:
    return index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE), most)


def waiting(index: SqlIndex) -> Operation:
    return create(index)


def running(index: SqlIndex) -> Operation:
    create(index)
    claimed = index.operations.claim_operation(RUNNER)
    assert claimed is not None
    return claimed


def stopping(index: SqlIndex) -> Operation:
    value = running(index)
    index.operations.request_cancel(value.name)
    return value


def done(index: SqlIndex) -> Operation:
    value = running(index)
    index.operations.finish_operation(value, RUNNER, None)
    return value


def hidden(index: SqlIndex) -> Operation:
    value = done(index)
    index.retention.expire_operations(datetime.now(UTC) + timedelta(days=1))
    return value


def of_another(index: SqlIndex) -> Operation:
    value = running(index)
    assert index.operations.claim_operation(OTHER) is not None
    return value


State = Callable[[SqlIndex], Operation]
NOT_MINE: list[State] = [waiting, done, hidden, of_another]


def test_created_it_waits(index: SqlIndex, store: DicomStore) -> None:
    made = create(index)
    assert (made.done, made.attempt, made.cancel_requested, made.error) == (False, 0, False, None)
    assert made.create_time > datetime.fromtimestamp(START // 1_000_000, UTC)


def test_a_project_that_has_as_many_as_it_may_gets_no_more(index: SqlIndex, store: DicomStore) -> None:
    create(index, most=2)
    second = create(index, most=2)
    with pytest.raises(ResourceExhausted):
        create(index, most=2)
    while (claimed := index.operations.claim_operation(RUNNER)) is not None:
        if claimed.name == second.name:
            index.operations.finish_operation(claimed, RUNNER, None)
    assert create(index, most=2).attempt == 0, "one that is done does not count"


@pytest.mark.parametrize("state", [waiting, of_another])
def test_waiting_or_another_runners_it_is_claimed(index: SqlIndex, store: DicomStore, state: State) -> None:
    value = state(index)
    before = index.operations.get_operation(value.name).attempt
    claimed = index.operations.claim_operation(RUNNER)
    assert claimed is not None and (claimed.name, claimed.attempt) == (value.name, before + 1)


@pytest.mark.parametrize("state", [running, stopping, done, hidden])
def test_ones_own_or_done_it_is_not_claimed(index: SqlIndex, store: DicomStore, state: State) -> None:
    state(index)
    assert index.operations.claim_operation(RUNNER) is None


@pytest.mark.parametrize("state", [running, stopping])
def test_running_it_commits(index: SqlIndex, store: DicomStore, state: State) -> None:
    value = state(index)
    committed = index.operations.commit_batch(value, RUNNER, Batch("a", (item(1),)))
    assert committed.cancel_requested is (state is stopping)
    assert index.operations.get_operation(value.name).checkpoint == "a"


@pytest.mark.parametrize("state", NOT_MINE)
def test_not_ones_own_it_can_neither_commit_nor_finish(index: SqlIndex, store: DicomStore, state: State) -> None:
    value = state(index)
    with pytest.raises(Aborted):
        index.operations.commit_batch(value, RUNNER, Batch("a", (item(1),), garbage=("g",)))
    with pytest.raises(Aborted):
        index.operations.finish_operation(value, RUNNER, None, [failed(1)])
    assert index.instances.count_in_store(store.id) == 0 and index.garbage.list_blobs() == []
    assert index.logs.list_failures(value.name, 10) == []


@pytest.mark.parametrize("state", [running, of_another])
def test_a_cancel_while_it_runs_is_remembered_and_changes_nothing_else(
    index: SqlIndex, store: DicomStore, state: State
) -> None:
    value = state(index)
    assert index.operations.request_cancel(value.name) == 0
    found = index.operations.get_operation(value.name)
    assert (found.cancel_requested, found.done) == (True, False)
    assert index.operations.cancel_requested(value.name)


def test_a_cancel_while_it_waits_ends_it(index: SqlIndex, store: DicomStore) -> None:
    value = waiting(index)
    assert index.operations.request_cancel(value.name) == 1, "one entry of the log"
    found = index.operations.get_operation(value.name)
    assert found.done and found.error is not None and found.error.code is Code.CANCELLED
    assert len(index.logs.list_failures(value.name, 10)) == 1
    assert index.operations.claim_operation(RUNNER) is None


def test_done_it_cannot_be_cancelled_and_hidden_it_is_not_there(index: SqlIndex, store: DicomStore) -> None:
    value = done(index)
    index.operations.request_cancel(value.name)
    assert not index.operations.get_operation(value.name).cancel_requested
    value = hidden(index)
    with pytest.raises(NotFound):
        index.operations.request_cancel(value.name)


def test_claimed_again_it_keeps_its_checkpoint_and_cancel(index: SqlIndex, store: DicomStore) -> None:
    value = stopping(index)
    index.operations.commit_batch(value, RUNNER, Batch("a"))
    again = index.operations.claim_again(value, RUNNER)
    assert again is not None and (again.attempt, again.checkpoint, again.cancel_requested) == (2, "a", True)


@pytest.mark.parametrize("state", [of_another, done, hidden])
def test_not_ones_own_it_is_not_claimed_again(index: SqlIndex, store: DicomStore, state: State) -> None:
    value = state(index)
    assert index.operations.claim_again(value, RUNNER) is None
    if state is not of_another:
        assert index.operations.claim_operation(RUNNER) is None
    else:
        assert index.operations.claim_operation(OTHER) is None, "it is still the other runner's own"


@pytest.mark.parametrize("error", [None, Status(Code.INTERNAL, "broken"), Status(Code.CANCELLED, "cancelled")])
def test_finished_it_is_done_once(index: SqlIndex, store: DicomStore, error: Status | None) -> None:
    value = running(index)
    index.operations.finish_operation(value, RUNNER, error)
    found = index.operations.get_operation(value.name)
    assert (found.done, found.error) == (True, error)
    assert found.end_time is not None and found.end_time > found.create_time
    with pytest.raises(Aborted):
        index.operations.finish_operation(value, RUNNER, None)
    assert index.operations.get_operation(value.name) == found


def test_it_does_not_end_before_it_was_created(index: SqlIndex, store: DicomStore) -> None:
    """The clock of the machine may be set back."""
    value = running(index)
    index.database.now = lambda: START - 3_600_000_000
    index.operations.finish_operation(value, RUNNER, None)
    assert index.operations.get_operation(value.name).end_time == value.create_time


@pytest.mark.parametrize("state", [waiting, running, stopping, of_another])
def test_not_done_it_is_never_hidden(index: SqlIndex, store: DicomStore, state: State) -> None:
    value = state(index)
    index.retention.expire_operations(datetime.now(UTC) + timedelta(days=1))
    assert not index.operations.get_operation(value.name).done


@pytest.mark.parametrize("state", [waiting, running, stopping, done, of_another])
def test_with_its_dataset_it_is_hidden_and_its_runner_is_stopped(
    index: SqlIndex, store: DicomStore, state: State
) -> None:
    value = state(index)
    index.resources.delete_dataset(DATASET)
    with pytest.raises(NotFound):
        index.operations.get_operation(value.name)
    for runner in (RUNNER, OTHER):
        with pytest.raises(Aborted):
            index.operations.commit_batch(value, runner, Batch("a"))
        assert index.operations.claim_operation(runner) is None
    while index.retention.purge_operation():
        pass
    assert index.logs.list_failures(value.name, 10) == [] and index.operations.list_progress(value.name) == []


def test_only_hidden_ones_are_purged(index: SqlIndex, store: DicomStore) -> None:
    for state in (waiting, running, stopping, done):
        state(index)
    before = index.operations.list_operations(DATASET, 10)
    assert not index.retention.purge_operation()
    assert index.operations.list_operations(DATASET, 10) == before
