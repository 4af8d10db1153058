"""What is read again when it is a second old, by one thread for all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gantry.access.reloading import Recent
from gantry.errors import Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Counts how often it was read."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False
        self.during: Callable[[], None] = lambda: None

    def __call__(self) -> int:
        self.reads += 1
        self.during()
        if self.fails:
            raise Unavailable("away")
        return self.reads


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def recent(source: Source, clock: Clock) -> Recent[int]:
    return Recent(source, clock)


def test_it_is_read_again_when_it_is_a_second_old(recent: Recent[int], clock: Clock) -> None:
    assert [recent.get(), recent.get()] == [1, 1]
    clock.now += 0.9
    assert recent.get() == 1
    clock.now += 0.2
    assert recent.get() == 2


def test_whoever_looks_again_does_so_once_a_second(recent: Recent[int], clock: Clock, source: Source) -> None:
    assert [recent.get(), *(recent.look_again() for _ in range(5))] == [1, 2, 2, 2, 2, 2]
    clock.now += 1.1
    assert [recent.look_again(), recent.look_again()] == [3, 3]
    assert source.reads == 3


def test_what_this_process_has_changed_counts_at_once(recent: Recent[int]) -> None:
    assert recent.get() == 1
    recent.forget()
    assert recent.get() == 2


def test_what_is_old_is_not_used_while_it_cannot_be_read(recent: Recent[int], clock: Clock, source: Source) -> None:
    assert recent.get() == 1
    source.fails = True
    clock.now += 1.1
    for _ in range(2):
        with pytest.raises(Unavailable, match="away"):
            recent.get()
        clock.now += 0.1
    source.fails = False
    assert recent.get() == source.reads


@pytest.mark.parametrize("fails", [False, True], ids=["read", "fails"])
def test_those_who_come_meanwhile_share_one_reading(
    recent: Recent[int], source: Source, clock: Clock, fails: bool
) -> None:
    """Also where it takes longer than a second."""
    begun, go, came = threading.Event(), threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        begun.set()
        assert go.wait(30)
        clock.now += 60

    source.during, source.fails = wait, fails
    found: list[object] = []

    class Told(Clock):
        def __call__(self) -> float:
            came.release()
            return clock()

    recent._clock = Told()

    def ask() -> None:
        try:
            found.append(recent.get())
        except Unavailable as error:
            found.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert begun.wait(30)
    for each in threads[1:]:
        each.start()
    for _ in range(5):  # the first reads the clock twice
        assert came.acquire(timeout=30)
    go.set()
    for each in threads:
        each.join(30)
    assert len(set(found)) == 1 and len(found) == 4 and source.reads == 1
