"""What the workers of Dask, its scheduler and their machines may do: it costs time, and no call its outcome."""

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
from tests.access.test_tls import make_certificate
from tests.seams import calls
from tests.support.engines import DaskCluster, close, dask_cluster, free_port, reach

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path, workers=0) as made:
        yield made


@pytest.fixture
def executor(cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 120)
    made = reach(cluster)
    yield made
    close(made)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begin(executor: Workers, here: Path, go: Path, count: int = 1) -> list[Call[int]]:
    """Calls that run, each in a worker."""
    begun = [executor.submit(calls.meet_and_wait, here, go) for _ in range(count)]
    wait_until(lambda: list(here.iterdir()))
    assert all(isinstance(each, Call) for each in begun)
    return [each for each in begun if isinstance(each, Call)]


def holder(cluster: DaskCluster, here: Path) -> subprocess.Popen[bytes]:
    """The worker that has the call."""
    pids = {int(each.name) for each in here.iterdir()}
    return next(each for each in cluster.workers if each.pid in pids)


@pytest.mark.parametrize("end", ["killed", "frozen"])
def test_the_calls_of_a_worker_that_is_lost_are_run_by_another(
    cluster: DaskCluster, executor: Workers, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
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
    assert call.result(120) == other.pid


def test_a_call_that_several_workers_are_lost_with_is_taken_for_the_cause(
    cluster: DaskCluster, executor: Workers, tmp_path: Path
) -> None:
    for _ in range(4):
        cluster.start_worker(1)
    culprit = executor.submit(calls.kill_worker)
    assert isinstance(culprit.exception(120), WorkerDied)
    assert culprit.attempts == workers.LOSSES  # type: ignore[attr-defined]
    assert executor.submit(calls.add, 1, 2).result(120) == 3


def test_a_worker_that_is_stopped_ends_what_it_has_and_takes_no_more(
    cluster: DaskCluster, executor: Workers, here: Path, tmp_path: Path
) -> None:
    leaving = cluster.start_worker(1)
    (call,) = begin(executor, here, tmp_path / "go")
    leaving.terminate()
    other = cluster.start_worker(1)
    later = executor.submit(calls.meet_and_wait, here, tmp_path / "go")
    wait_until(later.running)
    (tmp_path / "go").touch()
    assert (call.result(120), later.result(120)) == (leaving.pid, other.pid)
    assert call.attempts == 1 and leaving.wait(60) == 0


def test_a_worker_that_is_stopped_gives_back_what_takes_too_long(
    cluster: DaskCluster, executor: Workers, here: Path, tmp_path: Path
) -> None:
    leaving = cluster.start_worker(1)
    (call,) = begin(executor, here, tmp_path / "go")
    leaving.terminate()
    other = cluster.start_worker(1)
    assert leaving.wait(60) == 0
    wait_until(lambda: call.attempts == 2)
    (tmp_path / "go").touch()
    assert call.result(120) == other.pid


def test_calls_go_on_when_the_scheduler_is_back(
    cluster: DaskCluster, executor: Workers, here: Path, tmp_path: Path
) -> None:
    worker = cluster.start_worker()
    (call,) = begin(executor, here, tmp_path / "go")
    for number in range(4):  # more often than workers may be lost: it is not the call's fault
        cluster.kill_scheduler()
        cluster.start_scheduler()
        wait_until(lambda number=number: call.attempts >= number + 2)
    (tmp_path / "go").touch()
    assert call.result(120) == worker.pid
    assert [executor.submit(calls.add, each).result(120) for each in range(3)] == [0, 1, 2]


def test_workers_join_and_leave(cluster: DaskCluster, executor: Workers) -> None:
    """The first is reached under a name, at a port of the settings."""
    reached = {"GANTRY_WORKER_HOST": "127.0.0.1", "GANTRY_WORKER_CONTACT": "localhost"}
    first = cluster.start_worker(1, env=reached | {"GANTRY_WORKER_PORT": str(free_port())})
    assert executor.submit(calls.add, 1).result(120) == 1
    assert executor.size == 1
    cluster.start_worker(3)
    wait_until(lambda: executor.size == 4)
    cluster.kill_worker(first)
    wait_until(lambda: executor.size == 3)


def test_without_a_worker_calls_say_so(
    cluster: DaskCluster, executor: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 1)
    wait_until(lambda: "no worker of Gantry" in str(executor.submit(calls.add, 1).exception(60)))
    cluster.kill_scheduler()
    wait_until(lambda: "could not be reached" in str(executor.submit(calls.add, 1).exception(60)))
    assert isinstance(executor.submit(calls.add, 1).exception(60), NoWorker)
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 120)
    cluster.start_scheduler()
    cluster.start_worker()
    assert executor.submit(calls.add, 1).result(120) == 1


def test_a_worker_of_another_version_is_refused_and_both_are_named(
    cluster: DaskCluster, executor: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 3)
    cluster.start_worker(1, env={"GANTRY_TEST_VERSION": "0.0.9"})
    both = "1 are refused: they are Gantry 0.0.9, and this server is Gantry"
    wait_until(lambda: both in str(executor.submit(calls.add, 1).exception(60)))
    wait_until(lambda: "this worker is Gantry 0.0.9; install the same version" in cluster.log.read_text())


def test_a_worker_of_dask_itself_gets_no_calls(cluster: DaskCluster, executor: Workers) -> None:
    cluster.start_foreign_worker()
    own = cluster.start_worker(1)
    assert {executor.submit(calls.find_worker).result(120) for _ in range(20)} == {own.pid}
    assert executor.size == 1


def test_connections_are_encrypted_and_both_ends_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate signs itself, so it is its own authority; another one is a stranger's."""
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 120)
    (tmp_path / "stranger").mkdir()
    cert, key = make_certificate(tmp_path)
    settings = {"executor_ca": str(cert), "executor_cert": str(cert), "executor_key": str(key)}
    tls = ("--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key))
    env = {f"GANTRY_{name.upper()}": value for name, value in settings.items()}
    with dask_cluster(tmp_path, settings=env, tls=tls) as made:
        executor = reach(made, **settings)
        assert executor.submit(calls.add, 1, 2).result(120) == 3
        close(executor)
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 2)
        cert, key = make_certificate(tmp_path / "stranger")
        stranger = reach(made, executor_ca=settings["executor_ca"], executor_cert=str(cert), executor_key=str(key))
        assert isinstance(stranger.submit(calls.add, 1, 2).exception(60), NoWorker)
        close(stranger)
