"""What the executor does where an engine, or one of its workers, behaves oddly; the engine is one of the tests."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from gantry import __version__
from gantry.engines import workers
from gantry.engines.links import Away, Lost, Report
from gantry.engines.workers import EngineWorkers


class OwnLink:
    """Two workers. ``running`` are the calls of the first one, which it never ends by itself; ``says`` is what it says
    instead of its report."""

    def __init__(self) -> None:
        self.says: Callable[[], Report | None] | None = None
        self.running: dict[str, float] = {}
        self.ended: list[str] = []
        self.names = ["first"]

    async def list_workers(self) -> Sequence[str]:
        return list(self.names)

    async def report(self, worker: str) -> Report | None:
        if worker == "first" and self.says is not None:
            return self.says()
        calls = dict(self.running) if worker == "first" else {}
        return Report(worker, __version__, "here", 1, calls=calls)

    async def run(self, worker: str, number: str, message: bytes) -> bytes | Exception:
        if worker == "first":
            self.running[number] = 0.0
            await asyncio.Event().wait()
        return pickle.dumps((True, worker, {}))

    async def end(self, worker: str, number: str) -> None:
        self.ended.append(number)
        self.running.pop(number, None)

    async def refuse(self, worker: str, version: str) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> OwnLink:
    monkeypatch.setattr(workers, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(workers, "_LOOK_SECONDS", 0.02)
    return OwnLink()


@pytest.fixture
def executor(link: OwnLink) -> Iterator[EngineWorkers]:
    async def connect() -> OwnLink:
        return link

    made = EngineWorkers(connect, "tcp://own:1")
    yield made
    made.end()
    made.shutdown()


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def be_silent() -> Report | None:
    raise Lost


def be_odd() -> Report | None:
    raise RuntimeError("what nobody expects")


def be_foreign() -> Report | None:
    return None


@pytest.mark.parametrize("says", [be_silent, be_odd, be_foreign], ids=["silent", "odd", "foreign"])
def test_the_call_of_a_worker_that_answers_no_more_is_given_to_another(
    link: OwnLink, executor: EngineWorkers, says: Callable[[], Report | None]
) -> None:
    call = executor.submit(print)
    wait_until(lambda: link.running)
    link.says = says
    link.names.append("second")
    assert call.result(60) == "second"


def test_a_worker_that_comes_back_ends_what_another_one_has_now(link: OwnLink, executor: EngineWorkers) -> None:
    call = executor.submit(print)
    wait_until(lambda: link.running)
    (ticket,) = link.running
    link.says = be_silent
    link.names.append("second")
    assert call.result(60) == "second" and link.ended == []
    link.says = None
    wait_until(lambda: ticket not in link.running)
    assert set(link.ended) == {ticket}


def test_a_scheduler_that_takes_a_connection_and_says_nothing_is_tried_again(
    link: OwnLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_CONNECT_SECONDS", 0.1)
    tries: list[int] = []
    link.names = ["second"]

    async def connect() -> OwnLink:
        tries.append(1)
        if len(tries) == 1:
            await asyncio.Event().wait()
        return link

    made = EngineWorkers(connect, "tcp://own:1")
    try:
        assert made.submit(print).result(60) == "second"
    finally:
        made.end()
        made.shutdown()


@pytest.mark.parametrize("error", [Lost, Away])
def test_a_worker_that_a_call_could_not_reach_gets_no_more_before_it_answers(
    link: OwnLink, executor: EngineWorkers, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """It is still in the list of the scheduler, and has the most room."""
    tries: list[str] = []

    async def run(worker: str, number: str, message: bytes) -> bytes | Exception:
        tries.append(worker)
        link.says = be_silent
        raise error

    monkeypatch.setattr(link, "run", run)
    call = executor.submit(print)
    wait_until(lambda: tries)
    monkeypatch.undo()
    link.names.append("second")
    assert call.result(60) == "second" and tries == ["first"]
