"""What a server does beside operations: each chore at its time, and sooner where something was given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.backoff import Backoff
from gantry.membership import Membership
from gantry.metrics.collector import ServerCollector
from gantry.metrics.disks import Disks
from gantry.metrics.requests import Requests
from gantry.operations import sweeps as sweeps_module
from gantry.operations.interruption import Stopping
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.operations.sweeps import Chore, Sweeps


class Waits(threading.Event):
    """Counts how often somebody waits for it."""

    count = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.count += 1
        return super().wait(timeout)


class House:
    """Chores that count how often they ran."""

    def __init__(self) -> None:
        self.stopping, self.wake = Waits(), Waits()
        self.ran: list[str] = []
        self.reached: dict[tuple[str, int], threading.Event] = {}

    def chore(self, name: str, seconds: float, act: Callable[[], None] = lambda: None, **how: bool) -> Chore:
        def run() -> None:
            self.ran.append(name)
            if (event := self.reached.get((name, self.ran.count(name)))) is not None:
                event.set()
            act()

        return Chore(name, run, seconds, **how)

    def run(self, *chores: Chore) -> Sweeps:
        sweeps = Sweeps(chores, self.stopping)
        sweeps._wake = self.wake
        self.threads = [threading.Thread(target=work, daemon=True) for work in sweeps.works]
        for thread in self.threads:
            thread.start()
        return sweeps

    def until(self, name: str, times: int) -> None:
        event = self.reached.setdefault((name, times), threading.Event())
        if self.ran.count(name) < times:
            assert event.wait(30)

    def end(self, sweeps: Sweeps) -> None:
        self.stopping.set()
        sweeps.wake()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def test_a_chore_comes_again() -> None:
    house = House()
    sweeps = house.run(house.chore("often", 0.01), house.chore("seldom", 3600))
    house.until("often", 5)
    house.end(sweeps)
    assert house.ran.count("seldom") == 1


def test_what_is_done_once_is_done_once() -> None:
    house = House()
    sweeps = house.run(house.chore("once", 0), house.chore("often", 0.01))
    house.until("often", 5)
    house.end(sweeps)
    assert house.ran.count("once") == 1


def test_only_what_may_have_work_is_woken() -> None:
    house = House()
    sweeps = house.run(house.chore("garbage", 3600, woken=True), house.chore("old", 3600))
    house.until("old", 1)
    for times in (2, 3, 4):
        sweeps.wake()
        house.until("garbage", times)
    house.end(sweeps)
    assert house.ran.count("old") == 1
    assert house.ran.count("garbage") == 4


def test_an_error_costs_no_other_chore_and_what_is_done_once_is_tried_again(caplog: object) -> None:
    house = House()

    def fail() -> None:
        raise RuntimeError("a bug")

    def stop() -> None:
        raise Stopping

    sweeps = house.run(
        house.chore("bad", 0.01, fail), house.chore("stopped", 0.01, stop), house.chore("good", 0.01, woken=True)
    )
    house.until("good", 3)
    house.until("bad", 3)
    house.until("stopped", 3)
    house.end(sweeps)


@pytest.mark.parametrize("woken", [False, True])
def test_between_two_times_nothing_runs(woken: bool) -> None:
    """A thread that looks again and again whether it is time takes a core."""
    house = House()
    sweeps = house.run(house.chore("garbage", 0.2, woken=woken))
    house.until("garbage", 4)
    house.end(sweeps)
    assert 3 <= house.stopping.count + house.wake.count <= 30


def test_what_is_done_once_and_fails_is_tried_again_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps_module, "_AGAIN_SECONDS", 0.01)
    house = House()
    faults = [RuntimeError("a bug"), Stopping()]

    def fail_twice() -> None:
        if faults:
            raise faults.pop()

    sweeps = house.run(house.chore("once", 0, fail_twice), house.chore("often", 0.01))
    house.until("once", 3)
    house.until("often", house.ran.count("often") + 5)
    house.end(sweeps)
    assert house.ran.count("once") == 3


def test_what_lasts_holds_up_nothing() -> None:
    house = House()
    go = threading.Event()
    sweeps = house.run(house.chore("lasts", 0, lambda: (go.wait(30), None)[1], long=True), house.chore("often", 0.01))
    house.until("lasts", 1)
    house.until("often", 5)
    go.set()
    house.end(sweeps)


class Rests(threading.Event):
    """Notes how long each wait would be, and does not wait; in wait number ``stops_at`` the server stops."""

    def __init__(self, stops_at: int = 0) -> None:
        super().__init__()
        self.stops_at, self.seconds = stops_at, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return len(self.seconds) == self.stops_at


PIECE = 0.02


class Garbage:
    """Rows in four pieces and blobs in three lists of one, each of which takes PIECE seconds."""

    def __init__(self) -> None:
        self.rows, self.blobs = 4, ["c", "b", "a"]

    def purge_removed(self) -> bool:
        time.sleep(PIECE)
        self.rows -= 1
        return not self.rows

    def purge_store(self, _: int) -> bool:
        return self.purge_removed()

    def list_blobs(self, after: str, _: int) -> list[str]:
        time.sleep(PIECE)
        return [self.blobs.pop()] if self.blobs else []

    def forget_blobs(self, _: list[str]) -> None:
        pass

    def list_deleted_stores(self) -> list[int]:
        return [1]

    forget_store = forget_blobs


def seams_of(garbage: Garbage) -> Any:
    blobs = SimpleNamespace(delete_all=lambda keys: {}, delete_prefix=lambda *_, **__: 0)
    index = SimpleNamespace(garbage=garbage, settle=lambda: None, servers=SimpleNamespace(heard=None))
    records = SimpleNamespace(forget=lambda _: None)
    about: dict[str, Any] = {"places": ("main",), "undeletable": Backoff(), "members": Membership()}
    return SimpleNamespace(index=index, blobs=blobs, is_held=lambda: False, records=records, **about)


def test_each_piece_of_a_sweep_is_followed_by_a_rest_as_long_as_itself() -> None:
    garbage, rests = Garbage(), Rests()
    sweep_garbage(seams_of(garbage), rests)
    assert not garbage.rows and not garbage.blobs
    assert len(rests.seconds) == 3 + 3 and min(rests.seconds) >= PIECE
    garbage, rests = Garbage(), Rests()
    sweep_stores(seams_of(garbage), rests, busy=set())
    assert not garbage.rows
    assert len(rests.seconds) == 3 and min(rests.seconds) >= PIECE


@pytest.mark.parametrize("stops_at", [1, 2, 3, 4, 6])
def test_a_sweep_ends_in_the_rest_in_which_the_server_stops(stops_at: int) -> None:
    rests = Rests(stops_at)
    sweep_garbage(seams_of(Garbage()), rests)
    assert len(rests.seconds) == stops_at


def test_what_could_not_be_removed_is_told_by_who_sweeps() -> None:
    """Whoever was the keeper before has counts that never fall."""
    seams = seams_of(Garbage())
    seams.undeletable.fail("main/1/a.dcm")
    collector = ServerCollector(SimpleNamespace(id="r"), seams, None, True, True, Requests(), Disks({}))  # type: ignore[arg-type]
    assert read_undeletable(collector) == 1
    seams.members.is_keeper = False
    assert read_undeletable(collector) == 0


def read_undeletable(collector: ServerCollector) -> float:
    found = {each.name: each for each in collector._collect_troubles()}
    return found["gantry_undeletable"].samples[0].value
