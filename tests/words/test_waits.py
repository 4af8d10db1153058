"""Which operations wait: for what, since when, and when they are tried again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gantry.errors import BucketAway, DiskAway, Interrupted, NoRoom, NoWorker, StatusError, Wait
from gantry.names import DatasetName, OperationName
from gantry.operations import waits
from gantry.operations.waits import Waits
from gantry.resources import Method, Operation

NAME = OperationName(DatasetName("p", "l", "d"), 7)
OPERATION = Operation(NAME, "v1", Method.IMPORT_DICOM_DATA, datetime.now(UTC))


def wait(made: Waits, error: StatusError) -> float:
    assert error.waits_for is not None
    return made.begin(OPERATION, error, error.waits_for)


@pytest.mark.parametrize(
    ("error", "cause"),
    [(BucketAway, "BUCKET"), (DiskAway, "DISK"), (NoRoom, "ROOM"), (Interrupted, "INDEX"), (NoWorker, "WORKER")],
)
def test_it_says_what_for_and_what_to_do(error: type[StatusError], cause: str) -> None:
    made = Waits()
    wait(made, error("the reason"))
    found = made.find(7)
    assert found is not None and found.cause == cause and found.next_attempt is not None
    assert found.message.startswith("the reason; it goes on by itself once")
    assert made.count() == {each: int(each == cause) for each in Wait}


def test_pauses_grow_to_a_minute_and_are_not_all_alike() -> None:
    made, pauses = Waits(), []
    for _ in range(30):
        pauses.append(wait(made, Interrupted("away")))
        made._take(7, made._entries[7])
    assert waits.FIRST_SECONDS / 2 <= pauses[0] <= waits.FIRST_SECONDS
    assert all(waits.MOST_SECONDS / 2 <= pause <= waits.MOST_SECONDS for pause in pauses[10:])
    assert len(set(pauses[10:])) > 10


def test_it_is_one_wait_until_the_operation_goes_on() -> None:
    made = Waits()
    first = wait(made, Interrupted("away"))
    begun = made.find(7)
    assert made.take(OPERATION) and not made.take(OPERATION)
    during = made.find(7)
    assert begun is not None and during is not None and during.next_attempt is None and during.since == begun.since
    wait(made, Interrupted("away still"))
    again = made.find(7)
    assert again is not None and again.since == begun.since
    made.end(7)
    assert made.find(7) is None and wait(made, Interrupted("away")) <= 2 * first


def test_what_it_waits_for_now_has_its_own_time() -> None:
    made = Waits()
    wait(made, Interrupted("away"))
    before = made.find(7)
    wait(made, NoRoom("full"))
    after = made.find(7)
    assert before is not None and after is not None and after.since > before.since


def test_it_is_due_when_its_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Waits()
    wait(made, Interrupted("away"))
    assert made.take_due() is None and not made.has_due()
    monkeypatch.setattr(waits, "FIRST_SECONDS", 0.0)
    made.end(7)
    wait(made, Interrupted("away"))
    assert made.has_due() and made.take_due() == OPERATION and made.take_due() is None


def test_a_note_is_of_an_attempt_that_runs() -> None:
    made = Waits()
    made.note(7, Wait.WORKER, "silent")
    found = made.find(7)
    assert found is not None and (found.cause, found.next_attempt) == (Wait.WORKER, None)
    assert made.list_waiting() == []
    wait(made, NoRoom("full"))
    made.note(7, Wait.WORKER, "silent")
    kept = made.find(7)
    assert kept is not None and kept.cause is Wait.ROOM
