"""Losses on Ray: the suite. And what becomes of the actor of a worker, and who may speak with a cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.engines import roster
from gantry.errors import NoWorker
from gantry.worker_calls import Workers
from tests.seams import calls
from tests.seams.losses_suite import LossesSuite, begin, wait_until
from tests.support.engines import close, reach
from tests.support.ray_cluster import RayCluster, ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayCluster]:
    with ray_cluster(tmp_path, workers=0) as made:
        yield made


class TestRay(LossesSuite):
    def test_a_worker_whose_actor_is_killed_gets_another_one(
        self, cluster: RayCluster, executor: Workers, here: Path, tmp_path: Path
    ) -> None:
        worker = cluster.start_worker()
        (call,) = begin(executor, here, tmp_path / "go")
        (actor,) = cluster.find_actors()
        os.kill(actor, signal.SIGKILL)
        wait_until(lambda: call.attempts == 2)
        (tmp_path / "go").touch()
        assert call.result(120) == worker.pid

    def test_an_actor_ends_with_its_worker(self, cluster: RayCluster, executor: Workers) -> None:
        killed, stopped = cluster.start_worker(), cluster.start_worker()
        wait_until(lambda: executor.size == 4)
        assert len(cluster.find_actors()) == 2
        cluster.kill_worker(killed)
        wait_until(lambda: len(cluster.find_actors()) == 1)
        cluster.stop_worker(stopped)
        wait_until(lambda: not cluster.find_actors())


def test_who_has_no_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 120)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token-of-the-tests-" * 2)
    with ray_cluster(tmp_path) as made:
        executor = reach(made)
        assert executor.submit(calls.add, 1, 2).result(120) == 3
        close(executor)
        monkeypatch.setattr(roster, "NO_WORKER_SECONDS", 15)
        for token in ("another-token-of-the-tests-" * 2, ""):
            monkeypatch.setenv("RAY_AUTH_TOKEN", token)
            stranger = reach(made)
            assert isinstance(stranger.submit(calls.add, 1, 2).exception(60), NoWorker)
            close(stranger)
