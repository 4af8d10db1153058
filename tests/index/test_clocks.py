"""Clocks that are wrong: before 1970, behind 2262, set ahead for some seconds, set back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gantry.index import clock
from gantry.index.retention import Retention
from gantry.index.sql import SqlIndex
from gantry.names import OperationName
from gantry.resources import Dataset, DicomStore, Method, Operation
from tests.index.values import DATASET, STORE, item

DAY = 86_400
NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())


class Clocks:
    """Two clocks: one that is set, one that is not."""

    def __init__(self) -> None:
        self.wall, self.steady = float(NOW), 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def index(sqlite_path: Path, clocks: Clocks) -> Iterator[SqlIndex]:
    opened = SqlIndex(sqlite_path, lambda: int(clocks.wall * 1_000_000))
    opened.retention = Retention(opened.database, lambda: clocks.steady)
    opened.resources.create_dataset(Dataset(DATASET), "v1")
    yield opened
    opened.close()


def done(index: SqlIndex) -> Operation:
    index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {})
    operation = index.operations.claim_operation("me")
    assert operation is not None
    index.operations.finish_operation(operation, "me", None)
    return operation


def expire(index: SqlIndex) -> int:
    return index.retention.expire_operations(index.retention.follow_clock() - timedelta(days=30))


@pytest.mark.parametrize("wall", [-1e9, -1.0, 0.0, 1.0, NOW, 5e9, 9_223_372_036.0])
def test_operations_have_numbers_above_those_before_them_at_any_time(
    index: SqlIndex, clocks: Clocks, monkeypatch: pytest.MonkeyPatch, wall: float
) -> None:
    monkeypatch.setattr(clock.time, "time_ns", lambda: int(clocks.wall * 1e9))
    index.database.now = clock.read_clock
    numbers = [done(index).name.id]
    for clocks.wall in (wall, wall, 0.0, NOW, wall, float(NOW) + 1):
        numbers.append(done(index).name.id)
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0 and numbers[-1] < 1 << 63
    listed = [item.name.id for item in index.operations.list_operations(DATASET, 100)]
    assert listed[: len(numbers)] == numbers[::-1]
    for number in numbers:
        assert index.operations.get_operation(OperationName(DATASET, number)).done


@pytest.mark.parametrize("raised", [False, True])
def test_a_clock_that_python_cannot_read_is_at_its_end(monkeypatch: pytest.MonkeyPatch, raised: bool) -> None:
    def read() -> int:
        if raised:
            raise OverflowError
        return 1 << 64

    monkeypatch.setattr(clock.time, "time_ns", read)
    assert clock.from_micros(clock.read_clock()).year == 2262


def test_operations_go_after_their_time(index: SqlIndex, clocks: Clocks) -> None:
    done(index)
    assert expire(index) == 0
    for _ in range(30):
        clocks.pass_(DAY - 10)
        assert expire(index) == 0
    clocks.pass_(DAY)
    assert expire(index) == 2


@pytest.mark.parametrize("days", [31, 365, 36_500])
def test_a_clock_ahead_for_some_seconds_expires_nothing(index: SqlIndex, clocks: Clocks, days: int) -> None:
    done(index)
    expire(index)
    for wrong in (days, -days, days, 0):
        before = clocks.wall
        clocks.wall += wrong * DAY
        for _ in range(8):
            clocks.pass_(1)
            assert expire(index) == 0
        clocks.wall = before + 8
    assert expire(index) == 0


def test_a_start_with_a_clock_ahead_expires_nothing(index: SqlIndex, clocks: Clocks) -> None:
    done(index)
    expire(index)
    clocks.wall += 400 * DAY
    index.retention = Retention(index.database, lambda: clocks.steady)
    for _ in range(8):
        clocks.pass_(1)
        assert expire(index) == 0


def test_a_start_over_an_older_index_with_a_clock_ahead_expires_nothing(index: SqlIndex, clocks: Clocks) -> None:
    """It has no trail yet."""
    done(index)
    clocks.wall += 400 * DAY
    for _ in range(8):
        clocks.pass_(1)
        assert expire(index) == 0


def test_what_ended_while_the_clock_was_behind_does_not_go_when_it_is_right_again(
    index: SqlIndex, clocks: Clocks
) -> None:
    expire(index)
    for behind in (NOW, 40 * DAY):
        clocks.wall -= behind
        done(index)
        expire(index)
        clocks.wall += behind
        assert expire(index) == 0


def test_a_server_that_was_off_for_months_makes_up_for_it(index: SqlIndex, clocks: Clocks) -> None:
    done(index)
    expire(index)
    clocks.wall += 90 * DAY
    index.retention = Retention(index.database, lambda: clocks.steady)
    hours = 0
    while not expire(index):
        clocks.pass_(3600)
        hours += 1
    assert 24 < hours < 48


def make_clock(wall: float) -> Callable[[], int]:
    return lambda: int(wall * 1_000_000)


@pytest.mark.slow
def test_an_index_put_back_does_not_repeat_numbers_though_the_clock_stands(sqlite_path: Path) -> None:
    """The numbers that it gave out after it was copied are others."""
    given = set()
    for _ in range(20):
        copy = sqlite_path.with_name("copy.sqlite")
        copy.write_bytes(sqlite_path.read_bytes())
        index = SqlIndex(copy, make_clock(NOW))
        index.resources.create_dataset(Dataset(DATASET), "v1")
        given.add(done(index).name.id)
        index.close()
    assert len(given) == 20


class Feed:
    """Changes of a store, which are kept for seven days."""

    def __init__(self, index: SqlIndex) -> None:
        index.resources.create_dicom_store(DicomStore(STORE))
        index.feed.begin(True)
        self.index, self.store_id = index, index.resources.get_dicom_store(STORE).id
        self.count = 0

    def store(self, count: int = 1) -> None:
        for _ in range(count):
            self.count += 1
            self.index.uploads.store_instances(self.store_id, [item(self.count)])

    def expire(self) -> list[int]:
        """The changes that are left."""
        while not self.index.feed.expire(self.index.retention.follow_clock() - timedelta(days=7), 2):
            pass
        events = self.index.feed.read(self.store_id, None, 1000).events
        return [int(event.sop_instance_uid.removeprefix("9.")) for _, event in events]


def test_changes_that_came_while_the_clock_was_behind_are_kept_as_long_as_others(
    index: SqlIndex, clocks: Clocks
) -> None:
    """As after a start without a battery, until the time is asked for."""
    feed = Feed(index)
    assert feed.expire() == []
    for number, behind in enumerate((NOW, 40 * DAY), 1):
        clocks.wall -= behind
        feed.store()
        feed.expire()
        clocks.wall += behind
        assert feed.expire() == list(range(1, number + 1))
    for _ in range(8):
        clocks.pass_(DAY)
        feed.expire()
    assert feed.expire() == []


@pytest.mark.parametrize("count", [1, 7])
def test_changes_that_came_while_the_clock_was_ahead_go_with_those_behind_them(
    index: SqlIndex, clocks: Clocks, count: int
) -> None:
    """Else the feed would grow until that time has come."""
    feed = Feed(index)
    feed.expire()
    clocks.wall += 3650 * DAY
    feed.store(count)
    clocks.pass_(8)
    assert len(feed.expire()) == count
    clocks.wall -= 3650 * DAY
    assert len(feed.expire()) == count
    clocks.pass_(DAY)
    feed.store()
    for _ in range(6):
        clocks.pass_(DAY)
        assert len(feed.expire()) == count + 1
    clocks.pass_(2 * DAY)
    assert feed.expire() == []
