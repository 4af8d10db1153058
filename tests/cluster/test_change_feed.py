"""The change feed of servers that share an index: each tells what others do; all agree on whether there is one."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.cluster import RUNNER, WEB, Cluster, clusters
from tests.support.dicom import make_instance
from tests.support.feed import Follower, list_stored
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    with clusters(tmp_path) as make:
        yield make()  # type: ignore[misc]


def at(gantry: Gantry, server: GantryServer) -> Gantry:
    """The same store, asked of another server."""
    other = object.__new__(Gantry)
    other.__dict__ |= gantry.__dict__ | {"server": server}
    return other


def test_another_server_tells_what_was_committed(cluster: Cluster) -> None:
    one, two = cluster.start("one", WEB), cluster.start("two", WEB)
    gantry = Gantry(one)
    follower = Follower(at(gantry, two))
    follower.read()
    with ThreadPoolExecutor() as threads:
        for number in range(3):
            waiting = threads.submit(follower.read, wait=60)
            time.sleep(0.5)
            Web(gantry).stored(make_instance("1.2", "1.2.1", f"1.2.1.{number}"))
            (change,) = waiting.result(30)
            assert change["sopInstanceUID"] == f"1.2.1.{number}"
    follower.gantry = gantry
    assert follower.read() == [], "a token is good at every server"


def test_servers_are_killed_while_a_store_is_filled_and_followed(cluster: Cluster) -> None:
    chance = random.Random(7)
    web, _ = cluster.start("web", WEB), [cluster.start(f"runner-{number}", RUNNER) for number in range(2)]
    gantry = Gantry(web)
    objects = {
        f"{study}/{number}.dcm": make_instance(f"1.{study}", f"1.{study}.1", f"1.{study}.1.{number}")
        for study in range(4)
        for number in range(500)
    }
    bucket, follower = cluster.fill(objects), Follower(gantry)
    names = [web.import_(gantry.store, f"{bucket}/{study}/**") for study in range(4)]
    for _ in range(6):
        time.sleep(chance.uniform(0, 1))
        victim = cluster.servers[f"runner-{chance.randrange(2)}"]
        victim.kill9()
        web.request("DELETE", f"v1/{gantry.store}/dicomWeb/studies/1.{chance.randrange(4)}")
        follower.read(chance.randrange(1, 300))
        victim.start()
    for name in names:
        web.wait(name)
    follower.catch_up()
    assert set(follower.known) == list_stored(gantry)


def test_servers_must_agree_on_whether_there_is_one(cluster: Cluster) -> None:
    one = cluster.start("one", WEB)
    cluster.env["GANTRY_CHANGES_DAYS"] = "0"
    with pytest.raises(AssertionError, match="changes_days: there is a change feed in the index, which other servers"):
        cluster.start("two", WEB)
    one.stop()
    two = cluster.start("two", WEB)
    del cluster.env["GANTRY_CHANGES_DAYS"]
    with pytest.raises(AssertionError, match="changes_days: there is no change feed"):
        cluster.start("three", WEB)
    two.stop()
    cluster.start("three", WEB)
