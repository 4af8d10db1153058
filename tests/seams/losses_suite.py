"""What the workers of an engine, its scheduler and their machines may do: it costs time, and no call its outcome. A
test class inherits the suite, and brings its ``cluster``, which has a scheduler and no worker."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gantry.engines import roster, workers
from gantry.errors import NoWorker
from gantry.worker_calls import Call, WorkerDied, Workers
from tests.seams import calls
from tests.support.engines import EngineCluster, close, reach

_WAIT_SECONDS = 240  # a scheduler that starts again may take a minute on a busy machine


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begin(executor: Workers, here: Path, go: Path, count: int = 1) -> list[Call[int]]:
    """Calls that run, each in a worker."""
    begun = [executor.submit(calls.meet_and_wait, here, go) for _ in range(count)]
    wait_until(lambda: list(here.iterdir()))
    assert all(isinstance(each, Call) for each in begun)
    return [each for each in begun if isinstance(each, Call)]


def holder(cluster: EngineCluster, here: Path) -> subprocess.Popen[bytes]:
    """The worker that has the call."""
    pids = {int(each.name) for each in here.iterdir()}
    return next(each for each in cluster.workers if each.pid in pids)


class LossesSuite:
    @pytest.fixture
    def executor(self, cluster: EngineCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", _WAIT_SECONDS)
        made = reach(cluster)
        yield made
        close(made)

    @pytest.fixture
    def here(self, tmp_path: Path) -> Path:
        (tmp_path / "here").mkdir()
        return tmp_path / "here"

    @pytest.mark.parametrize("end", ["killed", "frozen"])
    def test_the_calls_of_a_worker_that_is_lost_are_run_by_another(
        self,
        cluster: EngineCluster,
        executor: Workers,
        here: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        end: str,
    ) -> None:
        monkeypatch.setattr(workers, "SILENT_SECONDS", 5)
        cluster.start_worker()
        (call,) = begin(executor, here, tmp_path / "go")
        lost = holder(cluster, here)
        other = cluster.start_worker()
        if end == "killed":
            cluster.kill_worker(lost)
        else:
            lost.send_signal(signal.SIGSTOP)
        wait_until(lambda: call.attempts == 2)
        (tmp_path / "go").touch()
        assert call.result(_WAIT_SECONDS) == other.pid

    def test_a_call_that_several_workers_are_lost_with_is_taken_for_the_cause(
        self, cluster: EngineCluster, executor: Workers, tmp_path: Path
    ) -> None:
        for _ in range(4):
            cluster.start_worker(1)
        culprit = executor.submit(calls.kill_worker)
        assert isinstance(culprit.exception(_WAIT_SECONDS), WorkerDied)
        assert culprit.attempts == workers.LOSSES  # type: ignore[attr-defined]
        assert executor.submit(calls.add, 1, 2).result(_WAIT_SECONDS) == 3

    def test_a_worker_that_is_stopped_ends_what_it_has_and_takes_no_more(
        self, cluster: EngineCluster, executor: Workers, here: Path, tmp_path: Path
    ) -> None:
        leaving = cluster.start_worker(1)
        (call,) = begin(executor, here, tmp_path / "go")
        leaving.terminate()
        other = cluster.start_worker(1)
        later = executor.submit(calls.meet_and_wait, here, tmp_path / "go")
        wait_until(later.running)
        (tmp_path / "go").touch()
        assert (call.result(_WAIT_SECONDS), later.result(_WAIT_SECONDS)) == (leaving.pid, other.pid)
        assert call.attempts == 1 and leaving.wait(60) == 0

    def test_a_worker_that_is_stopped_gives_back_what_takes_too_long(
        self, cluster: EngineCluster, executor: Workers, here: Path, tmp_path: Path
    ) -> None:
        leaving = cluster.start_worker(1)
        (call,) = begin(executor, here, tmp_path / "go")
        leaving.terminate()
        other = cluster.start_worker(1)
        assert leaving.wait(60) == 0
        wait_until(lambda: call.attempts == 2)
        (tmp_path / "go").touch()
        assert call.result(_WAIT_SECONDS) == other.pid

    def test_calls_go_on_when_the_scheduler_is_back(
        self, cluster: EngineCluster, executor: Workers, here: Path, tmp_path: Path
    ) -> None:
        worker = cluster.start_worker()
        (call,) = begin(executor, here, tmp_path / "go")
        for number in range(4):  # more often than workers may be lost: it is not the call's fault
            cluster.kill_scheduler()
            cluster.start_scheduler()
            wait_until(lambda number=number: call.attempts >= number + 2)
        (tmp_path / "go").touch()
        assert call.result(_WAIT_SECONDS) == worker.pid
        assert [executor.submit(calls.add, each).result(_WAIT_SECONDS) for each in range(3)] == [0, 1, 2]

    def test_workers_join_and_leave(self, cluster: EngineCluster, executor: Workers) -> None:
        first = cluster.start_worker(1)
        assert executor.submit(calls.add, 1).result(_WAIT_SECONDS) == 1
        assert executor.size == 1
        cluster.start_worker(3)
        wait_until(lambda: executor.size == 4)
        cluster.kill_worker(first)
        wait_until(lambda: executor.size == 3)

    def test_without_a_worker_calls_say_so(
        self, cluster: EngineCluster, executor: Workers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 1)
        wait_until(lambda: "no worker of Gantry" in str(executor.submit(calls.add, 1).exception(60)))
        cluster.kill_scheduler()
        wait_until(lambda: "could not be reached" in str(executor.submit(calls.add, 1).exception(60)))
        assert isinstance(executor.submit(calls.add, 1).exception(60), NoWorker)
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", _WAIT_SECONDS)
        cluster.start_scheduler()
        cluster.start_worker()
        assert executor.submit(calls.add, 1).result(_WAIT_SECONDS) == 1

    def test_a_worker_of_another_version_is_refused_and_both_are_named(
        self, cluster: EngineCluster, executor: Workers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 3)
        cluster.start_worker(1, env={"GANTRY_TEST_VERSION": "0.0.9"})
        both = "1 are refused: they are Gantry 0.0.9, and this server is Gantry"
        wait_until(lambda: both in str(executor.submit(calls.add, 1).exception(60)))
        wait_until(lambda: "this worker is Gantry 0.0.9; install the same version" in cluster.log.read_text())

    def test_a_worker_of_the_engine_itself_gets_no_calls(self, cluster: EngineCluster, executor: Workers) -> None:
        cluster.start_foreign_worker()
        own = cluster.start_worker(1)
        assert {executor.submit(calls.find_worker).result(_WAIT_SECONDS) for _ in range(20)} == {own.pid}
        assert executor.size == 1
