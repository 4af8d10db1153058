"""Operations that were taken up thousands of times: no committed bytes go, and none of the others stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gantry import ingest
from gantry.operations import blob_keys
from gantry.operations import import_dicom_data as verb
from gantry.operations.blob_keys import sweep_uncommitted
from gantry.operations.commits import Totals, commit
from gantry.resources import Operation
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.places import PlacedBlobStore
from tests.faults.house import House

pytestmark = pytest.mark.slow


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


class Here(Executor):
    """Calls are made at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


EARLIER = re.compile(r"main/1/\d+/\d{4,}-\d{6}/\d{3}/\d{4}-[0-9a-f]{16}\.dcm")


@contextmanager
def earlier_form(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The names of an older version: a directory for each batch, a file for each instance."""

    def attempt(operation: Operation) -> str:
        return f"{blob_keys.operation_prefix(operation)}{operation.attempt:04d}-"

    def batch(operation: Operation, number: int) -> str:
        return f"{attempt(operation)}{number // 1000:06d}/{number % 1000:03d}"

    today = house.seams
    files: Any = {"main": LocalBlobs(str(house.data / "blobs"), shared=False)}
    here: Any = Here()
    with monkeypatch.context() as older:
        older.setattr(verb, "batch_prefix", batch)
        older.setattr(ingest, "item_prefix", lambda directory, _offset: f"{directory}/")
        house.seams = replace(today, blobs=PlacedBlobStore(files), executor=here)
        yield older
    house.seams = today


@pytest.mark.parametrize("attempts", [3, 9998, 10_001])
def test_an_upgrade_in_the_middle_keeps_what_the_older_version_committed(
    house: House, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """The last attempt of the older version has committed one batch and written others."""
    had(house, attempts - 1)
    with earlier_form(house, monkeypatch):
        breaks_off(house, committed=2)
    assert all(EARLIER.fullmatch(key) for key in house.blobs())
    breaks_off(house)
    breaks_off(house)
    house.check(house.carry_to_the_end())


def test_an_older_version_may_have_committed_on_both_sides_of_ten_thousand(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with earlier_form(house, monkeypatch) as older:
        older.setattr(blob_keys, "_sweep", lambda *_: {})  # it would remove what is committed
        had(house, 9998)
        breaks_off(house)
        breaks_off(house)
    finished = house.carry_to_the_end()
    assert (finished.counter.success, finished.counter.failure) == (house.scene.success, house.scene.failure)
    assert {instance.blob_key for instance in house.seams.index.instances.walk_store(1)} <= house.blobs()
