"""Losses on Dask: the suite. And where its workers listen, and who may speak with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.engines import roster
from gantry.errors import NoWorker
from gantry.worker_calls import Workers
from tests.access.test_tls import make_certificate
from tests.seams import calls
from tests.seams.losses_suite import LossesSuite
from tests.support.engines import DaskCluster, close, dask_cluster, free_port, reach

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path, workers=0) as made:
        yield made


class TestDask(LossesSuite):
    def test_a_worker_is_reached_under_a_name_at_a_port_of_the_settings(
        self, cluster: DaskCluster, executor: Workers
    ) -> None:
        reached = {"GANTRY_WORKER_HOST": "127.0.0.1", "GANTRY_WORKER_CONTACT": "localhost"}
        cluster.start_worker(1, env=reached | {"GANTRY_WORKER_PORT": str(free_port())})
        assert executor.submit(calls.add, 1).result(120) == 1


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
