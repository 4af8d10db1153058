"""``/readyz`` says what cannot be served, by part."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.support.server import GantryServer

pytestmark = pytest.mark.slow


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    with Faults(tmp_path) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, faults: Faults) -> Iterator[GantryServer]:
    (tmp_path / "audit").mkdir()
    env = {
        "GANTRY_AUDIT_LOG": str(tmp_path / "audit" / "log"),
        "GANTRY_AUDIT_REQUIRED": "true",
        "GANTRY_STORAGE_CLASSES": f"COLDLINE={tmp_path}/cold",
    }
    running = GantryServer(tmp_path / "data", tmp_path / "buckets", env=faults.env | env)
    yield running
    faults.end()
    running.kill9()


def parts(server: GantryServer) -> dict[str, str]:
    answer = server.request("GET", "readyz")
    if answer.status_code == 200:
        assert answer.text == "ok\n"
        return {}
    found = answer.json()
    assert (answer.status_code, found["error"]["code"], found["error"]["status"]) == (503, 503, "UNAVAILABLE")
    assert all(each["part"] in found["error"]["message"] for each in found["parts"])
    return {each["part"]: each["message"] for each in found["parts"]}


def test_all_is_well(server: GantryServer) -> None:
    assert parts(server) == {}


def damage(server: GantryServer, table: str) -> None:
    """The pages of a table that a start does not read: zeros, and only in the file."""
    store = server.create_store("d", "s")
    for number in range(60):
        data = instance((f"1.{number}", f"1.{number}.1", f"1.{number}.1.1"), PatientName=f"N{number}" * 20)
        address, headers = f"v1/{store}/dicomWeb/studies", {"content-type": "application/dicom"}
        assert server.request("POST", address, content=data, headers=headers).status_code == 200
    server.stop()
    path = server.data / "index.sqlite"
    with sqlite3.connect(path) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    assert data[(root - 1) * size] == 0x05, "an inner page, whose last child is damaged"
    last = int.from_bytes(data[(root - 1) * size + 8 : (root - 1) * size + 12], "big")
    data[(last - 1) * size : last * size] = b"\xff" * size
    path.write_bytes(data)


def test_damaged_pages_of_the_index(server: GantryServer) -> None:
    damage(server, "study")
    server._spawn()
    server.wait_until(lambda: "damaged" in str(_try(server)), 60)
    found = _try(server)
    assert list(found) == ["index"] and "study" in found["index"] and "backup" in found["index"]


def _try(server: GantryServer) -> dict[str, str]:
    try:
        server.client = httpx.Client(base_url=server.url, timeout=60)
        return parts(server)
    except httpx.TransportError:
        return {}


def test_an_index_that_cannot_be_read_for_a_moment(server: GantryServer, faults: Faults) -> None:
    with faults.failing("open", "read", path="index.sqlite", error=errno.EIO):
        server.wait_until(lambda: "index" in parts(server), 60)
    server.wait_until(lambda: not parts(server), 60)


@pytest.mark.parametrize("part, directory", [("blobs/main", "data/blobs"), ("blobs/COLDLINE", "cold")])
def test_a_directory_of_blobs_that_is_away(server: GantryServer, tmp_path: Path, part: str, directory: str) -> None:
    (tmp_path / directory).rename(tmp_path / "elsewhere")
    assert part in parts(server)
    (tmp_path / "elsewhere").rename(tmp_path / directory)
    assert parts(server) == {}


def test_a_disk_that_hangs_is_named_and_holds_up_nobody(server: GantryServer, faults: Faults) -> None:
    store = server.create_store("d", "s")
    with faults.failing("open", path="/cold", mode="hang") as rule, ThreadPoolExecutor(30) as threads:
        probes = [threads.submit(httpx.get, f"{server.url}/readyz", timeout=60) for _ in range(30)]
        assert httpx.get(f"{server.url}/v1/{store}", timeout=60).status_code == 200
        answers = [probe.result().json() for probe in probes]
        assert rule.seen <= 2, "one thread looks, however many ask, and one writes the mark"
    for answer in answers:
        (part,) = answer["parts"]
        assert part["part"] == "blobs/COLDLINE" and "gives no answer for" in part["message"]
    server.wait_until(lambda: not parts(server))


def test_an_audit_log_that_cannot_be_written(server: GantryServer, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "audit")
    assert list(parts(server)) == ["audit"]
    (tmp_path / "audit").mkdir()
    assert parts(server) == {}
