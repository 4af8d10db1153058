"""Who is woken by a call: the runner by a new operation, the sweeper by bytes that were given up, nobody otherwise."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gantry import server
from gantry.operations.runner import Runner
from tests.support.databases import make_settings
from tests.support.dicom import make_instance

DATASETS = "/v1/projects/p/locations/us-central1/datasets"
STORE = f"{DATASETS}/d/dicomStores/s"
WEB = f"{STORE}/dicomWeb"
DICOM = {"content-type": "application/dicom"}


class House:
    """The application without runner and socket; ``woken`` counts."""

    def __init__(self, gantry: server.Gantry, woken: Counter[str]) -> None:
        self.gantry, self.woken = gantry, woken

    def call(self, method: str, path: str, code: int = 200, **more: object) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.gantry.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(method, path, **more)  # type: ignore[arg-type]

        answer = asyncio.run(ask())
        assert answer.status_code == code, answer.text
        return answer


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    woken: Counter[str] = Counter()

    def count(name: str) -> Callable[[Runner], None]:
        return lambda _runner: woken.update([name])

    monkeypatch.setattr(Runner, "notify", count("runner"))
    monkeypatch.setattr(Runner, "sweep", count("sweeper"))
    settings = make_settings(tmp_path / "data", workers=1)
    with server.open_server(settings, server.Edge(settings)) as gantry:
        made = House(gantry, woken)
        made.call("POST", f"{DATASETS}?datasetId=d")
        made.call("POST", f"{DATASETS}/d/dicomStores?dicomStoreId=s")
        made.call("POST", f"{WEB}/studies", content=make_instance("1.2", "1.2.3", "1.2.3.4"), headers=DICOM)
        woken.clear()
        yield made


def test_storing_instances_wakes_nobody(house: House) -> None:
    for number in range(20):
        house.call("POST", f"{WEB}/studies", content=make_instance("1.2", "1.2.3", f"1.9.{number}"), headers=DICOM)
    house.call("POST", f"{WEB}/studies", 409, content=make_instance("1.2", "1.2.3", "1.9.1"), headers=DICOM)
    assert house.woken == {}


def test_reading_wakes_nobody(house: House) -> None:
    for path in ("studies", "studies/1.2", "studies/1.2/metadata", "studies/1.2/series/1.2.3/instances"):
        house.call("GET", f"{WEB}/{path}")
    house.call("GET", f"{DATASETS}/d/operations")
    assert house.woken == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{WEB}/studies/1.2"),
        ("DELETE", f"{WEB}/studies/1.2/series/1.2.3"),
        ("DELETE", f"{WEB}/studies/1.2/series/1.2.3/instances/1.2.3.4"),
        ("DELETE", STORE),
        ("DELETE", f"{DATASETS}/d"),
    ],
)
def test_a_deletion_wakes_the_sweeper_alone(house: House, method: str, path: str) -> None:
    house.call(method, path)
    assert house.woken == {"sweeper": 1}


def test_a_replacement_wakes_the_sweeper_alone(house: House) -> None:
    beta = WEB.replace("/v1/", "/v1beta1/")
    house.call("PUT", f"{beta}/studies", content=make_instance("1.2", "1.2.3", "1.2.3.4"), headers=DICOM)
    assert house.woken == {"sweeper": 1}


def test_an_operation_wakes_the_runner_alone(house: House) -> None:
    name = house.call("POST", f"{STORE}:import", json={"gcsSource": {"uri": "gs://b/**"}}).json()["name"]
    assert house.woken == {"runner": 1}
    house.call("POST", f"/v1/{name}:cancel", json={})
    operation = house.call("GET", f"/v1/{name}").json()
    assert (operation["done"], operation["error"]["code"]) == (True, 1)
    assert operation["metadata"]["cancelRequested"] is True
    assert operation["error"]["details"][0]["sampleErrors"]
    assert house.woken == {"runner": 1}
