"""Servers on a cluster of Dask or Ray: whatever dies of both, counters are exact and every object is there once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cluster.cluster import KILLS, ROLES, Cluster, clusters
from tests.cluster.test_kills import make_objects, require_all
from tests.support.engines import EngineCluster, dask_cluster
from tests.support.ray_cluster import ray_cluster

_WORKERS = 3
Start = Callable[..., AbstractContextManager[EngineCluster]]


@pytest.mark.parametrize("start", [dask_cluster, ray_cluster], ids=["dask", "ray"])
@pytest.mark.parametrize(("count", "kills"), KILLS)
def test_every_object_is_counted_once(tmp_path: Path, count: int, kills: int, start: Start) -> None:
    """The workers have the settings file of the buckets, and neither the database nor a data directory."""
    with clusters(tmp_path) as make:
        cluster = make()
        settings = {"GANTRY_CONFIG": str(cluster.blobs.config)}
        with start(tmp_path, workers=_WORKERS, processes=1, settings=settings) as engine:
            cluster.env["GANTRY_EXECUTOR"] = engine.executor
            for name, command in ROLES.items():
                cluster.start(name, command)
            objects = make_objects(count)
            web = cluster.servers["web-1"]
            store = web.create_store("d", "s")
            operation = web.import_(store, f"{cluster.fill(objects)}/**")
            _kill_all(cluster, engine, random.Random(count), kills)
            done = cluster.servers["web-2"].wait(operation, seconds=900)
            require_all(cluster, store, done, objects)


def _kill_all(cluster: Cluster, engine: EngineCluster, chance: random.Random, kills: int) -> None:
    """Workers, runners and the scheduler in turn; each comes back."""
    for number in range(kills):
        time.sleep(chance.uniform(0.5, 2.5))
        match number % 3:
            case 0:
                engine.kill_worker(chance.choice(engine.workers))
                engine.start_worker(1)
            case 1:
                name = chance.choice(("runner-1", "runner-2"))
                cluster.servers[name].kill9()
                cluster.servers[name].start()
            case 2:
                engine.kill_scheduler()
                time.sleep(chance.uniform(0, 2))
                engine.start_scheduler()
