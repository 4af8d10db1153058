"""Ray as executor: the suite. What its workers, its head and their machines may do: test_ray_losses.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gantry.engines import roster
from gantry.engines.links import Away
from gantry.engines.ray_process import launch
from gantry.worker_calls import Workers
from tests.seams.executor_suite import ExecutorSuite
from tests.support.engines import close, reach
from tests.support.ray_cluster import RayCluster, ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with ray_cluster(tmp_path_factory.mktemp("ray")) as made:
        yield made


@pytest.fixture(scope="module")
def connected(cluster: RayCluster) -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(roster, "NO_WORKER_SECONDS", 240)
        executor = reach(cluster)
        assert executor.submit(int, "1").result(240) == 1
        yield executor
        close(executor)


@pytest.fixture
def executor(connected: Workers) -> Workers:
    return connected


class TestRay(ExecutorSuite):
    pass


def test_a_question_without_a_connection_starts_no_cluster_here(cluster: RayCluster) -> None:
    async def ask() -> None:
        process = await launch()
        try:
            with pytest.raises(Away):
                await process.ask("list_workers")
        finally:
            await process.close()

    asyncio.run(ask())
