"""Operations that were taken up thousands of times: no committed bytes go, and none of the others stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from gantry.operations import blob_keys
from gantry.operations import import_dicom_data as verb
from gantry.operations.blob_keys import sweep_uncommitted
from gantry.operations.commits import Totals, commit
from gantry.resources import Operation
from tests.faults.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def had(house: House, attempts: int) -> None:
    """As if the operation had been taken up so many times."""
    with house.seams.index.database.engine.connect() as connection:
        connection.execute(text("UPDATE operation SET attempt = :attempts"), {"attempts": attempts})


def breaks_off(house: House, committed: int = 1) -> Operation:
    """One attempt that commits so many batches, writes another one and ends there."""
    runner = str(house.seams.index.operations.get_operation(house.created.name).attempt)
    operation = house.claim(runner)
    sweep_uncommitted(house.seams, operation)
    with closing(verb.import_dicom_data(house.seams, operation)) as batches:
        for _, batch in zip(range(committed), batches, strict=False):
            commit(house.seams, operation, runner, batch, Totals())
        next(batches)
    return operation


@pytest.mark.parametrize("attempts", [8, 9997])
def test_attempts_may_gain_a_digit(house: House, attempts: int) -> None:
    had(house, attempts)
    for _ in range(4):
        breaks_off(house)
    house.check(house.carry_to_the_end())


def earlier_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of an older version."""

    def attempt(operation: Operation) -> str:
        return f"{blob_keys.operation_prefix(operation)}{operation.attempt:04d}-"

    def batch(operation: Operation, number: int) -> str:
        return f"{attempt(operation)}{number // 1000:06d}/{number % 1000:03d}"

    monkeypatch.setattr(verb, "batch_prefix", batch)


@pytest.mark.parametrize("attempts", [3, 9998, 10_001])
def test_an_upgrade_in_the_middle_keeps_what_the_older_version_committed(
    house: House, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """The last attempt of the older version has committed one batch and written others."""
    had(house, attempts - 1)
    with monkeypatch.context() as older:
        earlier_form(older)
        breaks_off(house, committed=2)
    breaks_off(house)
    breaks_off(house)
    house.check(house.carry_to_the_end())


def test_an_older_version_may_have_committed_on_both_sides_of_ten_thousand(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        earlier_form(older)
        older.setattr(blob_keys, "_sweep", lambda *_: None)  # it would remove what is committed
        had(house, 9998)
        breaks_off(house)
        breaks_off(house)
    finished = house.carry_to_the_end()
    assert (finished.counter.success, finished.counter.failure) == (house.scene.success, house.scene.failure)
    assert {instance.blob_key for instance in house.seams.index.instances.walk_store(1)} <= house.blobs()
