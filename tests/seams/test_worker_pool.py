"""The pool of processes: the suite, and how the pool and its workers end."""

from __future__ import annotations

import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from gantry import executors
from gantry.errors import NoWorker
from gantry.executors import WorkerPool
from gantry.worker_calls import CallEnded
from tests.seams import calls
from tests.seams.executor_suite import ExecutorSuite
from tests.support.descriptors import list_open, list_opened_since
from tests.support.processes import children

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers must find the functions of the tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def executor() -> Iterator[WorkerPool]:
    with WorkerPool(2) as pool:
        yield pool


class TestWorkerPool(ExecutorSuite):
    pass


@pytest.mark.slow
def test_a_worker_that_dies_before_it_has_begun_costs_no_call() -> None:
    """Workers are killed while they start: the call that waits for them gets another one."""
    others = set(children(os.getpid()))
    with WorkerPool(2) as pool:
        for _ in range(3):
            pool.submit(calls.die).exception(timeout=30)  # the next worker of this thread has yet to start
            for pid in set(children(os.getpid())) - others:
                os.kill(pid, signal.SIGKILL)
            assert pool.submit(calls.add, 1, 2).result(timeout=30) == 3


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 4_000_000])
def test_a_worker_that_is_stopped_before_it_takes_a_call_is_replaced(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A long call fills the socket to the worker, so that sending it would not end either."""
    monkeypatch.setattr(executors, "_BEGIN_SECONDS", 4)
    others = set(children(os.getpid()))
    with WorkerPool(1) as pool:
        assert pool.submit(len, b"x").result(timeout=60) == 1
        (stopped,) = set(children(os.getpid())) - others
        os.kill(stopped, signal.SIGSTOP)
        assert pool.submit(len, bytes(size)).result(timeout=90) == size
        assert gone({stopped})


@pytest.mark.slow
def test_workers_that_end_at_once_are_no_fault_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that cannot be loaded any more, say: whoever called waits, and the same pool goes on afterwards."""
    with monkeypatch.context() as broken:
        broken.setattr(executors, "_MAIN", "raise SystemExit(1)")
        pool = WorkerPool(1)
        with pytest.raises(NoWorker, match="as soon as they have started"):
            pool.submit(os.getpid).result(60)
    assert pool.submit(os.getpid).result(60) != os.getpid()
    pool.shutdown()


@pytest.mark.slow
def test_a_call_may_be_ended_at_any_moment(tmp_path: Path) -> None:
    """Before it is given to a worker, while that one starts, while it runs, and when it is done."""
    with WorkerPool(2, lazy=True) as pool:
        for number in range(20):
            call = pool.submit(calls.add, number, 0)
            time.sleep(number % 5 * 0.02)
            call.end()
            assert call.cancelled() or isinstance(call.exception(timeout=30), CallEnded) or call.result() == number
        assert pool.submit(calls.add, 1, 2).result(timeout=30) == 3


@pytest.mark.slow
def test_the_end_of_a_pool_ends_what_lasts_too_long(tmp_path: Path) -> None:
    before = list_open()
    pool = WorkerPool(2)
    lasting = pool.submit(calls.wait_for, tmp_path / "never")
    quick = pool.submit(calls.wait_for, tmp_path / "go")
    waiting = pool.submit(calls.touch, tmp_path / "ran")
    while not (lasting.running() and quick.running()):
        time.sleep(0.01)
    (tmp_path / "go").touch()
    pool.end(2)
    pool.end()
    pool.shutdown()
    assert quick.result() is True and waiting.cancelled()
    assert isinstance(lasting.exception(), CallEnded)
    with pytest.raises(RuntimeError):
        pool.submit(calls.add, 1)
    assert not list_opened_since(before)


def test_whoever_waits_for_a_call_learns_that_it_was_dropped(tmp_path: Path) -> None:
    pool = WorkerPool(1)
    pool.submit(calls.wait_for, tmp_path / "never")
    waiting = pool.submit(calls.add, 1)
    with ThreadPoolExecutor(1) as other:
        result = other.submit(wait, [waiting], 30)
        time.sleep(0.1)
        pool.end()
        assert not result.result(60).not_done
    pool.shutdown()


def test_beats_outside_a_worker_do_nothing() -> None:
    assert calls.beat_and_go_on(3) == 3


def running(pid: int) -> bool:
    """True for a process that has not ended (a zombie has)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pids: set[int]) -> bool:
    """True once none of the processes runs; False when they do not end."""
    for _ in range(3000):
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def test_shutdown_waits_for_what_was_submitted(tmp_path: Path) -> None:
    pool = WorkerPool(1)
    futures = [pool.submit(calls.touch, tmp_path / str(number)) for number in range(5)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.slow
def test_shutdown_ends_the_workers_and_closes_every_descriptor(tmp_path: Path) -> None:
    before = list_open()
    pool = WorkerPool(2)
    pids = {future.result(60) for future in [pool.submit(calls.meet, tmp_path, str(n), 2) for n in range(2)]}
    assert len(pids) == 2
    assert all(running(pid) for pid in pids)
    pool.shutdown()
    assert gone(pids)
    assert not list_opened_since(before)


@pytest.mark.slow
@pytest.mark.parametrize("used", [True, False])
def test_a_pool_that_was_ended_keeps_no_descriptor(used: bool) -> None:
    """Nobody waits for its end, as at the end of a server."""
    before = list_open()
    pool = WorkerPool(2)
    if used:
        assert pool.submit(calls.add, 1, 1).result(60) == 2
    pool.end()
    del pool
    deadline = time.monotonic() + 60
    while list_opened_since(before):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_shutdown_can_drop_what_has_not_begun(tmp_path: Path) -> None:
    pool = WorkerPool(1)
    begun = pool.submit(calls.wait_for, tmp_path / "go")
    while not begun.running():
        time.sleep(0.01)
    waiting = [pool.submit(calls.touch, tmp_path / "ran") for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    (tmp_path / "go").touch()
    assert begun.result(60) is True
    assert not (tmp_path / "ran").exists()


def test_a_closed_pool_takes_no_calls_and_can_be_closed_again() -> None:
    pool = WorkerPool(1)
    pool.shutdown()
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(calls.add, 1)


def test_workers_hold_the_descriptors_that_they_are_given() -> None:
    reading, writing = os.pipe()
    with WorkerPool(1, keep_open=(writing,)) as pool:
        assert pool.submit(os.write, writing, b"1").result(60) == 1
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    os.close(writing)


def test_an_interrupt_from_the_terminal_does_not_reach_the_workers() -> None:
    with WorkerPool(1) as pool:
        pid = pool.submit(os.getpid).result(60)
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, 2)
        assert pool.submit(os.getpid).result(60) == pid


PARENT = """
import os, sys, time
from pathlib import Path
from gantry import executors
from gantry.executors import NICENESS, WorkerPool
from gantry.worker_calls import WorkerTimedOut
from tests.seams import calls
pool = WorkerPool(2)
here = Path(sys.argv[1])
pids = [future.result() for future in [pool.submit(calls.meet, here, str(n), 2) for n in range(2)]]
futures = [pool.submit(time.sleep, 600) for _ in range(2)]
while not all(future.running() for future in futures):
    time.sleep(0.01)
print(*pids, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed_even_in_the_middle_of_a_call(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        assert len(pids) == 2
        assert all(running(pid) for pid in pids)
        parent.kill()
    assert gone(pids)


def test_calls_of_many_threads_reach_their_own_answers() -> None:
    def ask(start: int) -> list[int]:
        return [pool.submit(calls.add, number).result(60) for number in range(start, start + 50)]

    starts = (0, 1000, 2000, 3000)
    with WorkerPool(2) as pool, ThreadPoolExecutor(4) as callers:
        assert list(callers.map(ask, starts)) == [list(range(start, start + 50)) for start in starts]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_a_worker_keeps_the_memory_that_each_frame_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given back to the system comes again in pages, each of which costs a fault."""
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    size, rounds = 1 << 19, 50
    pages = 3 * size // resource.getpagesize()
    with WorkerPool(1) as pool:
        pool.submit(calls.count_page_faults, 1, size).result(timeout=30)
        assert pool.submit(calls.count_page_faults, rounds, size).result(timeout=30) < pages * rounds / 10


def test_an_operator_may_say_how_much_memory_workers_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    with WorkerPool(1) as pool:
        assert pool.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_").result(timeout=30) == "131072"
