"""Whatever dies of a cluster, in any order: exact counters, every object once, nothing left over."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.cluster.cluster import KILLS, ROLES, Cluster, clusters
from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.server import Json, counts

_MISSING = 50
"""One object of so many is no DICOM."""


@pytest.mark.parametrize(("count", "kills"), KILLS)
def test_every_object_is_counted_once(tmp_path: Path, count: int, kills: int) -> None:
    with clusters(tmp_path) as make:
        cluster = make()
        for name, command in ROLES.items():
            cluster.start(name, command)
        objects = make_objects(count)
        web = cluster.servers["web-1"]
        store = web.create_store("d", "s")
        operation = web.import_(store, f"{cluster.fill(objects)}/**")
        _kill_all(cluster, random.Random(count), kills)
        done = cluster.servers["web-2"].wait(operation, seconds=900)
        require_all(cluster, store, done, objects)


def make_objects(count: int) -> dict[str, bytes]:
    """Some of them are no DICOM."""
    uids = {each: (f"1.2.{each % 5}", f"1.2.{each % 5}.1", f"1.3.{each}") for each in range(count)}
    made = {f"{each:05}.dcm": make_instance(*three) for each, three in uids.items()}
    return made | {f"{each:05}.dcm": b"no DICOM" for each in range(0, count, _MISSING)}


def require_all(cluster: Cluster, store: str, done: Json, objects: dict[str, bytes]) -> None:
    """Exact counters, every object once, nothing beside them. Stops the cluster."""
    stored = {key: data for key, data in objects.items() if data != b"no DICOM"}
    assert counts(done) == (len(stored), len(objects) - len(stored))
    _compare(cluster, store, stored)


def _kill_all(cluster: Cluster, chance: random.Random, kills: int) -> None:
    """Each server in turn, in an order of chance, and once in the middle PostgreSQL itself."""
    for number in range(kills):
        time.sleep(chance.uniform(0.2, 1.5))
        if number == kills // 2:
            cluster.postgres.kill()
            time.sleep(1)
            cluster.postgres.start()
        name = chance.choice([*ROLES, "runner-1", "runner-2"])
        cluster.servers[name].kill9()
        cluster.servers[name].start()


def _compare(cluster: Cluster, store: str, stored: dict[str, bytes]) -> None:
    """The rows, by both replicas; then the bytes, with nothing beside them."""
    webs = [cluster.servers[name] for name in ("web-1", "web-2")]
    for each in webs:
        studies = each.call("GET", f"v1/{store}/dicomWeb/studies", params={"limit": 100})
        assert sum(study["00201208"]["Value"][0] for study in studies) == len(stored)
    webs[0].wait_until(lambda: not _list_rests(cluster))
    cluster.stop()
    assert findings(webs[0].data, settings=cluster.load("web-1")) == []


def _list_rests(cluster: Cluster) -> list[object]:
    """What waits for a sweep, but for late writes, which are looked for after an hour."""
    garbage = cluster.query("SELECT blob_key FROM garbage WHERE blob_key NOT LIKE 'late/%%'")
    return [*garbage, *cluster.query("SELECT id FROM upload")]
