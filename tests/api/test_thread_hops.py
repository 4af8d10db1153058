"""Each change of threads costs about as much as a short answer: how many a request has, with and without access."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

from gantry import server
from gantry.api import intake, streaming
from gantry.api.audit import Audit
from gantry.api.lanes import Lane
from tests.support.databases import make_settings
from tests.support.dicom import make_instance

DATASETS = "/v1/projects/p/locations/us-central1/datasets"
STORE = f"{DATASETS}/d/dicomStores/s"
STUDIES = f"{STORE}/dicomWeb/studies"
TOKENS = {"ada": "the-token-of-ada-0", "bob": "the-token-of-bob-0"}


class House:
    """The application without a socket; ``hops`` are the functions that were given to threads."""

    def __init__(self, gantry: server.Gantry, log: Path) -> None:
        self.gantry, self.log = gantry, log
        self.hops: list[Any] = []

    async def run_sync(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.hops.append(function)
        return await anyio.to_thread.run_sync(function, *args, **more)

    def run_in_lane(self, run: Callable[..., Any]) -> Callable[..., Any]:
        async def run_and_count(lane: Lane, work: Callable[..., Any], *arguments: Any) -> Any:
            self.hops.append(work)
            return await run(lane, work, *arguments)

        return run_and_count

    def call(self, verb: str, path: str, who: str = "ada", **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKENS[who]}"} if who in TOKENS else {}
        headers |= more.pop("headers", {})

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.gantry.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(verb, path, headers=headers, **more)

        self.hops.clear()
        return asyncio.run(ask())

    def last_line(self) -> tuple[str, int]:
        """Who and which code in the newest line of the audit log."""
        payload = json.loads(self.log.read_text().splitlines()[-1])["protoPayload"]
        return payload["authenticationInfo"].get("principalEmail", ""), payload["status"].get("code", 0)


@pytest.fixture(params=["none", "required"])
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[House]:
    settings: dict[str, Any] = {"auth": request.param, "audit_log": str(tmp_path / "audit"), "workers": 1}
    if request.param == "required":
        tokens = tmp_path / "tokens"
        tokens.write_text("".join(f"{token} user:{name}@example.org\n" for name, token in TOKENS.items()))
        tokens.chmod(0o600)
        settings |= {"tokens_file": str(tokens), "admins": ("user:ada@example.org",)}
    made = make_settings(tmp_path / "data", **settings)
    with server.open_server(made, server.Edge(made)) as gantry:
        found = House(gantry, tmp_path / "audit")
        for module in (intake, streaming):
            monkeypatch.setattr(module, "run_sync", found.run_sync)
        monkeypatch.setattr(gantry.app._lanes, "run", found.run_in_lane(gantry.app._lanes.run))
        found.call("POST", f"{DATASETS}?datasetId=d")
        found.call("POST", f"{DATASETS}/d/dicomStores?dicomStoreId=s")
        data = make_instance("1.2", "1.2.3", "1.2.3.4")
        found.call("POST", STUDIES, content=data, headers={"content-type": "application/dicom"})
        yield found


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", STORE),
        ("GET", f"{DATASETS}/d"),
        ("GET", f"{DATASETS}/d/dicomStores"),
        ("GET", STUDIES),
        ("GET", f"{STORE}/dicomWeb/instances?limit=1"),
        ("GET", f"{STUDIES}/1.2/metadata"),
        ("GET", f"{STUDIES}/1.2/series/1.2.3/instances/1.2.3.4"),
        ("HEAD", STUDIES),
        ("DELETE", f"{STUDIES}/1.2/series/1.2.3/instances/1.2.3.4"),
    ],
)
def test_a_request_without_a_body_is_answered_in_one_thread(house: House, verb: str, path: str) -> None:
    answer = house.call(verb, path)
    assert answer.status_code == 200, answer.text
    assert len(house.hops) == 1, house.hops
    assert house.last_line()[1] == 0


def test_health_waits_for_no_thread(house: House) -> None:
    for verb in ("GET", "HEAD"):
        assert house.call(verb, "/healthz").status_code == 200
        assert not house.hops


def test_a_request_with_a_body_is_admitted_before_it_is_read(house: House) -> None:
    answer = house.call("PATCH", f"{STORE}?updateMask=labels", json={"labels": {"a": "b"}})
    assert answer.status_code == 200
    assert len(house.hops) == (2 if house.gantry.app._context.access else 1), house.hops


@pytest.mark.parametrize("path", [STORE, STUDIES, f"{STUDIES}/1.2/metadata"])
@pytest.mark.parametrize("house", ["required"], indirect=True)
def test_whoever_may_not_is_named_in_the_audit_log(house: House, path: str) -> None:
    assert house.call("GET", path, "bob").status_code == 403
    assert house.last_line() == ("bob@example.org", 7)
    assert len(house.hops) == 1
    assert house.call("GET", path, "nobody").status_code == 401
    assert house.last_line() == ("", 16)
    assert house.call("GET", f"{path}?pageToken=x&limit=x&unknown=1", "bob").status_code == 403
    assert house.call("GET", path).status_code == 200
    assert house.last_line() == ("ada@example.org", 0)
    assert house.call("GET", f"{STORE}-none").status_code == 404
    assert house.last_line() == ("ada@example.org", 5)


def test_the_event_loop_writes_no_line_of_the_audit_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep all others waiting for the file."""
    threads, record = [], Audit.record

    def record_and_note(*arguments: Any) -> None:
        threads.append(threading.current_thread())
        record(*arguments)

    monkeypatch.setattr(Audit, "record", record_and_note)
    for verb, path, more in (
        ("GET", STORE, {}),
        ("GET", f"{STORE}-none", {}),
        ("GET", f"{STUDIES}/1.2/series/1.2.3/instances/1.2.3.4", {}),
        ("GET", STUDIES, {"who": "nobody"}),
        ("PATCH", f"{STORE}?updateMask=labels", {"json": {"labels": {"a": "b"}}}),
        ("PATCH", f"{STORE}?updateMask=labels", {"content": b"{"}),
        ("PATCH", f"{STORE}?updateMask=labels", {"content": b"{", "who": "nobody"}),
        ("POST", STUDIES, {"content": b"no DICOM", "headers": {"content-type": "application/dicom"}}),
        ("DELETE", f"{STUDIES}/9.9", {}),
        ("PATCH", f"{STORE}?updateMask=labels", {"content": b"{}", "headers": {"content-length": str(1 << 40)}}),
        ("PATCH", f"{STORE}?updateMask=labels", {"content": b"x", "headers": {"content-encoding": "gzip"}}),
        ("PATCH", f"{STORE}?updateMask=%ff", {"content": b"{}"}),
    ):
        house.call(verb, path, **more)
    assert len(threads) == 12
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("house", ["required"], indirect=True)
def test_nothing_is_read_of_the_body_of_somebody_who_may_not(house: House) -> None:
    drawn = []

    async def body() -> Any:
        drawn.append(1)
        yield b"{}"

    assert house.call("PATCH", f"{STORE}?updateMask=labels", "bob", content=body()).status_code == 403
    overridden = {"x-http-method-override": "GET", "content-type": "application/x-www-form-urlencoded"}
    assert house.call("POST", STUDIES, "bob", content=body(), headers=overridden).status_code == 403
    assert not drawn


@pytest.mark.parametrize("begun", [b"--x\r\n", b"--x\r\nContent-Type: application/dicom\r\n\r\n" + bytes(200)])
@pytest.mark.parametrize("house", ["none"], indirect=True)
def test_a_client_given_up_after_a_part_was_stored_has_no_connection_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Within the headers of the second part, and within the second part."""
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.3)
    first = make_instance("1.2", "1.2.3", "1.2.3.5", 2 << 20)

    async def body() -> Any:
        yield b"--x\r\nContent-Type: application/dicom\r\n\r\n" + first + b"\r\n" + begun
        await asyncio.sleep(60)

    headers = {"content-type": 'multipart/related; type="application/dicom"; boundary=x', "accept": "application/json"}
    answer = house.call("POST", STUDIES, content=body(), headers=headers)
    assert answer.status_code == 409 and answer.headers["connection"] == "close"
    assert len(answer.json()["00081199"]["Value"]) == len(answer.json()["00081198"]["Value"]) == 1
    assert "00080018" in house.call("GET", f"{STORE}/dicomWeb/instances?SOPInstanceUID=1.2.3.5").text


@pytest.mark.slow
@pytest.mark.parametrize("house", ["none"], indirect=True)
def test_a_client_given_up_before_anything_was_stored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.3)

    async def body() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    for verb, path in (("PATCH", f"{STORE}?updateMask=labels"), ("POST", f"{STORE}:import"), ("POST", STUDIES)):
        headers = {"content-type": "application/dicom"}
        answer = house.call(verb, path, content=body(), headers=headers)
        assert answer.status_code == 408 and answer.headers["connection"] == "close"
    assert "connection" not in house.call("GET", STORE).headers
