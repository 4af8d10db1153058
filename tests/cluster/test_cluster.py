"""Two replicas and two runners: nothing that a client sees depends on which of them answers, works or dies."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import ROLES, Cluster, clusters
from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

COUNT = 400


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters(tmp_path_factory.mktemp("cluster")) as make:
        made = make()
        for name, command in ROLES.items():
            made.start(name, command)
        yield made


@pytest.fixture
def web(cluster: Cluster) -> tuple[GantryServer, GantryServer]:
    return cluster.servers["web-1"], cluster.servers["web-2"]


def make_objects(count: int = COUNT, study: str = "1.2") -> dict[str, bytes]:
    numbers = range(count)
    return {f"{each:05}.dcm": make_instance(study, f"{study}.{each % 7}", f"{study}.3.{each}") for each in numbers}


def test_who_is_alive(cluster: Cluster) -> None:
    assert sorted(runs for _, runs in cluster.live()) == [False, False, True, True]


def test_a_runner_takes_no_requests(cluster: Cluster) -> None:
    runner = cluster.servers["runner-1"]
    refused = runner.request("GET", "v1/projects/p/locations/us-central1/datasets")
    assert (refused.status_code, refused.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert runner.request("GET", "healthz").status_code == 200
    assert "gantry_operations_running" in runner.request("GET", "metrics").text


@pytest.mark.slow
def test_an_operation_of_one_replica_is_seen_at_the_other(
    cluster: Cluster, web: tuple[GantryServer, GantryServer]
) -> None:
    store = web[0].create_store("d", "seen")
    name = web[0].import_(store, f"{cluster.fill(make_objects())}/**")
    assert counts(web[1].wait(name)) == (COUNT, 0)
    assert counts(web[0].operation(name)) == (COUNT, 0)
    found = web[1].call("GET", f"v1/{store}/dicomWeb/instances", params={"limit": 1000})
    assert len(found) == COUNT


def test_what_one_replica_stores_the_other_gives_and_deletes(web: tuple[GantryServer, GantryServer]) -> None:
    store = web[0].create_store("d", "stored")
    data = make_instance("1.5", "1.5.1", "1.5.1.1")
    headers = {"Content-Type": "application/dicom"}
    assert web[1].request("POST", f"v1/{store}/dicomWeb/studies", content=data, headers=headers).status_code == 200
    instance = f"v1/{store}/dicomWeb/studies/1.5/series/1.5.1/instances/1.5.1.1"
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    assert web[0].request("GET", instance, headers=accept).content == data
    web[0].call("DELETE", f"v1/{store}/dicomWeb/studies/1.5")
    assert web[1].request("GET", instance, headers=accept).status_code == 404


@pytest.mark.slow
def test_a_cancel_at_one_replica_ends_what_came_to_the_other(
    cluster: Cluster, web: tuple[GantryServer, GantryServer]
) -> None:
    store = web[0].create_store("d", "cancelled")
    with cluster.s3.fail("503 SlowDown", methods=["ListObjectsV2"]):
        name = web[0].import_(store, f"{cluster.fill(make_objects())}/**")
        cluster.await_runner(name, web[1])
        web[1].call("POST", f"v1/{name}:cancel")
        done = web[0].wait(name)
    assert done["error"]["code"] == 1


@pytest.mark.slow
def test_what_an_operation_waits_for_is_told_by_every_replica(
    cluster: Cluster, web: tuple[GantryServer, GantryServer]
) -> None:
    store = web[0].create_store("d", "waits")
    with cluster.s3.fail("503 SlowDown", methods=["ListObjectsV2"]):
        name = web[0].import_(store, f"{cluster.fill(make_objects())}/**")
        for each in web:
            each.wait_until(lambda: "waiting" in web[1].operation(name)["metadata"])
    assert counts(web[1].wait(name)) == (COUNT, 0)
    assert "waiting" not in web[0].operation(name)["metadata"]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM"])
def test_the_other_runner_goes_on(cluster: Cluster, web: tuple[GantryServer, GantryServer], end: str) -> None:
    store = web[0].create_store("d", f"goes-on-{end.lower()}")
    objects = make_objects(2000, f"1.6.{len(end)}.{int(signal.Signals[end])}")
    name = web[0].import_(store, f"{cluster.fill(objects)}/**")
    web[1].wait_until(lambda: counts(web[1].operation(name))[0] > 0)
    first = cluster.await_runner(name, web[1])
    first.kill9() if end == "SIGKILL" else first.stop()
    assert counts(web[1].wait(name)) == (2000, 0)
    first.start()
    assert web[0].call("GET", f"v1/{store}/dicomWeb/studies")[0]["00201208"]["Value"] == [2000]


@pytest.mark.slow
def test_a_runner_that_was_frozen_changes_nothing(cluster: Cluster, web: tuple[GantryServer, GantryServer]) -> None:
    """It is stopped beyond its time, and woken when another one has ended its operation."""
    store = web[0].create_store("d", "frozen")
    objects = make_objects(3000, "1.7")
    name = web[0].import_(store, f"{cluster.fill(objects)}/**")
    web[1].wait_until(lambda: counts(web[1].operation(name))[0] > 0)
    frozen = cluster.await_runner(name, web[1])
    frozen.process.send_signal(signal.SIGSTOP)
    done = web[1].wait(name)
    assert counts(done) == (3000, 0)
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.process.wait(30) == 1
    assert "it has to start again" in frozen.log_text()
    after = web[1].operation(name)
    assert after == done
    frozen.start()
    assert web[0].call("GET", f"v1/{store}/dicomWeb/studies")[0]["00201208"]["Value"] == [3000]


@pytest.mark.slow
def test_nothing_is_left_over(cluster: Cluster) -> None:
    """The last one: once all is swept, every object of the bucket has its rows."""
    cluster.stop()
    web = cluster.servers["web-1"]
    settings = cluster.load("web-1")
    assert findings(web.data, settings=settings) == []
