"""A runner without work waits between two looks, also when a look fails: no core is busy for nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import Unavailable
from gantry.membership import Membership
from gantry.operations import runner
from gantry.operations.runner import Runner


class Pauses:
    """In the place of a semaphore and of an event: how long each pause would be. After ``most`` of them it ends."""

    def __init__(self, most: int, end: Callable[[], None] = lambda: None) -> None:
        self.most, self.end, self.seconds = most, end, list[float]()

    def acquire(self, timeout: float) -> bool:
        return self.wait(timeout)

    def wait(self, timeout: float) -> bool:
        self.seconds.append(timeout)
        if len(self.seconds) == self.most:
            self.end()
        return len(self.seconds) == self.most


@pytest.fixture
def looks() -> list[str]:
    return []


def make_runner(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], Any]) -> Runner:
    """One whose index answers every claim with what ``look`` returns."""
    monkeypatch.setattr(runner, "make_chores", lambda *_: [])
    index = SimpleNamespace(operations=SimpleNamespace(claim_operation=look))
    seams: Any = SimpleNamespace(index=index, members=Membership())
    return Runner(seams, slots=1)


@pytest.mark.parametrize("error", [None, Unavailable("the index is away"), ZeroDivisionError()])
def test_a_look_that_finds_nothing_is_followed_by_a_pause(
    monkeypatch: pytest.MonkeyPatch, looks: list[str], error: Exception | None
) -> None:
    def look(runner_id: str) -> None:
        looks.append(runner_id)
        if error is not None:
            raise error

    idle = make_runner(monkeypatch, look)
    pauses = Pauses(3, idle._stopping.set)
    idle._wake = pauses  # type: ignore[assignment]
    idle._work()
    assert looks == [idle.id] * 3
    assert pauses.seconds == [5, 5, 5]


def test_a_look_that_finds_something_is_followed_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch, looks: list[str]
) -> None:
    found = ["first", "second"]
    idle = make_runner(monkeypatch, lambda _: found.pop(0) if found else None)
    monkeypatch.setattr(idle, "_run", looks.append)
    pauses = Pauses(1, idle._stopping.set)
    idle._wake = pauses  # type: ignore[assignment]
    idle._work()
    assert looks == ["first", "second"] and pauses.seconds == [5]


def test_no_thread_of_a_runner_keeps_the_process_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One may hang in a system call."""
    idle = make_runner(monkeypatch, lambda _: None)
    assert [thread.name for thread in idle._threads] == ["runner-0", "waits"]
    assert all(thread.daemon for thread in idle._threads)


def test_operations_that_wait_are_looked_at_twice_a_second(monkeypatch: pytest.MonkeyPatch, looks: list[str]) -> None:
    idle = make_runner(monkeypatch, lambda _: None)
    pauses = Pauses(4)
    idle._stopping = pauses  # type: ignore[assignment]
    monkeypatch.setattr(idle.waits, "list_waiting", lambda: looks.append("looked") or [])
    idle._watch()
    assert pauses.seconds == [0.5] * 4 and looks == ["looked"] * 3
