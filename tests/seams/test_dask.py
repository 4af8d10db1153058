"""Dask as executor: the suite. What its workers, its scheduler and their machines may do: test_dask_losses.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.engines import roster
from gantry.worker_calls import Workers
from tests.seams.executor_suite import ExecutorSuite
from tests.support.engines import DaskCluster, close, dask_cluster, reach


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made


@pytest.fixture(scope="module")
def connected(cluster: DaskCluster) -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(roster, "NO_WORKER_SECONDS", 120)
        executor = reach(cluster)
        assert executor.submit(int, "1").result(120) == 1
        yield executor
        close(executor)


@pytest.fixture
def executor(connected: Workers) -> Workers:
    return connected


class TestDask(ExecutorSuite):
    pass
