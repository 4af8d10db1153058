"""A bucket whose disk fails just when an operation looks at it is neither another bucket nor none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import BucketAway, DiskAway, NotFound
from gantry.operations.bucket_use import open_bucket
from gantry.resources import Method, Operation
from gantry.seams import Bucket
from tests.faults.house import DATASET, STORE, House

FAILING = ("statvfs", "stat")
"""What is asked of a directory to tell it from another one."""


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    (tmp_path / "buckets" / "out").mkdir()
    yield made
    made.close()


def begin_export(house: House) -> Operation:
    name = house.seams.index.operations.create_operation(
        DATASET, "v1", Method.EXPORT_DICOM_DATA, {"uri_prefix": "gs://out"}, str(STORE)
    ).name
    return house.seams.index.operations.get_operation(name)


def use(house: House, operation: Operation) -> Bucket:
    now = house.seams.index.operations.get_operation(operation.name)
    return open_bucket(house.seams, now, "gs://out", "write", "")


def fail_on(monkeypatch: pytest.MonkeyPatch, call: str, name: str, number: int = errno.EIO) -> None:
    whole = getattr(os, call)

    def failing(path: Any, *args: Any, **kw: Any) -> Any:
        if not isinstance(path, int) and os.fsencode(path).endswith(os.fsencode(name)):
            raise OSError(number, os.strerror(number))
        return whole(path, *args, **kw)

    monkeypatch.setattr(os, call, failing)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.ESTALE])
@pytest.mark.parametrize("call", FAILING)
def test_an_operation_that_begins_while_its_bucket_cannot_be_looked_at_waits_and_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    operation = begin_export(house)
    with monkeypatch.context() as failing:
        fail_on(failing, call, "/buckets/out", number)
        with pytest.raises(BucketAway, match="gs://out cannot be looked at"):
            use(house, operation)
    assert use(house, operation).exists()
    assert use(house, operation).exists(), "what was kept of it the first time is that of this bucket"


@pytest.mark.parametrize("call", FAILING)
def test_the_data_directory_that_cannot_be_looked_at_makes_no_bucket_another_one(
    house: House, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    operation = begin_export(house)
    with monkeypatch.context() as failing:
        fail_on(failing, call, "/data")
        with pytest.raises(DiskAway, match="the data directory cannot be looked at"):
            use(house, operation)
    assert use(house, operation).exists()


@pytest.mark.parametrize("call", FAILING)
def test_a_bucket_that_cannot_be_looked_at_later_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    operation = begin_export(house)
    use(house, operation)
    with monkeypatch.context() as failing:
        fail_on(failing, call, "/buckets/out")
        with pytest.raises(BucketAway, match="cannot be looked at"):
            use(house, operation)
    assert use(house, operation).exists()


def test_a_bucket_that_is_not_there_when_an_operation_begins_ends_it_as_before(house: House) -> None:
    (house.data.parent / "buckets" / "out").rmdir()
    with pytest.raises(NotFound, match="does not exist"):
        use(house, begin_export(house))
