"""What a server does beside operations: each chore at its time, and sooner where something was given up."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gantry.operations.interruption import Stopping
from gantry.operations.sweeps import Chore, Sweeps


class House:
    """Chores that count how often they ran."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
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


def test_what_lasts_holds_up_nothing() -> None:
    house = House()
    go = threading.Event()
    sweeps = house.run(house.chore("lasts", 0, lambda: (go.wait(30), None)[1], long=True), house.chore("often", 0.01))
    house.until("lasts", 1)
    house.until("often", 5)
    go.set()
    house.end(sweeps)
