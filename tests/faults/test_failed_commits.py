"""The disk fails while the index commits, then the process ends: what was answered is there, every row has its bytes.

A commit whose sync fails stays in the write-ahead log: after a crash it may be there all the same.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.support.dicom import make_instance
from tests.support.server import GantryServer

pytestmark = pytest.mark.slow

WAL = "index.sqlite-wal"
DICOM = {"content-type": "application/dicom"}
NAME = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "New^Name"}}]


class World:
    """A server whose disk may fail, with a store of three instances."""

    def __init__(self, tmp_path: Path) -> None:
        self.faults = Faults(tmp_path)
        (tmp_path / "cold").mkdir()
        env = self.faults.env | {"GANTRY_STORAGE_CLASSES": f"COLDLINE={tmp_path / 'cold'}"}
        self.server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
        self.store = self.server.create_store("d", "s")
        self.web = f"v1/{self.store}/dicomWeb"
        self.answered: set[int] = set()
        for number in range(3):
            assert self.put(number, "POST") == 200

    def put(self, number: int, method: str) -> int:
        data = instance(("1.2.1", "1.2.1.1", f"1.2.1.1.{number}"))
        path = f"{self.web}/studies".replace("v1/", "v1/" if method == "POST" else "v1beta1/", 1)
        self.answer = self.server.request(method, path, content=data, headers=DICOM)
        if self.answer.status_code == 200:
            self.answered.add(number)
        return self.answer.status_code

    def address(self, number: int) -> str:
        return f"{self.web}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.{number}"

    def crash(self) -> None:
        """The process ends without a further write; the disk works again."""
        self.server.kill9()
        self.faults.end()
        self.server.start()

    def check(self) -> set[int]:
        """Every row has its bytes; the numbers of the rows."""
        found = self.server.request("GET", f"{self.web}/instances").json()
        numbers = {int(each["00080018"]["Value"][0].rpartition(".")[2]) for each in found}
        for number in numbers:
            got = self.server.request("GET", self.address(number), headers={"accept": "application/dicom"})
            assert got.status_code == 200, f"instance {number} has a row, but no bytes: {got.text}"
        return numbers

    def close(self) -> None:
        self.faults.end()
        self.server.stop()
        assert "Traceback" not in self.server.log_text(), "what was to be expected is logged as if it were not"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


ERRORS = pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
TIMES = pytest.mark.parametrize("times", [1, None], ids=["once", "from then on"])


@ERRORS
@TIMES
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_storing(world: World, method: str, error: int, times: int | None) -> None:
    with world.faults.failing("fdatasync", "fsync", path=WAL, error=error, times=times) as rule:
        statuses = {world.put(number, method) for number in (3, *([0] if method == "PUT" else []))}
        assert rule.failed and 503 in statuses
        if times is None:
            assert "is not known" in world.answer.text, "it can be neither undone nor looked up"
    world.crash()
    assert world.check() >= world.answered
    assert world.put(9, "POST") == 200 and 9 in world.check(), "it goes on by itself"


@ERRORS
@TIMES
def test_patching(world: World, error: int, times: int | None) -> None:
    headers = {"content-type": "application/json-patch+json"}
    with world.faults.failing("fdatasync", "fsync", path=WAL, error=error, times=times) as rule:
        address = f"{world.address(0)}/metadata".replace("v1/", "v1beta1/", 1)
        status = world.server.request("PATCH", address, json=NAME, headers=headers).status_code
        assert rule.failed and status == 503
    world.crash()
    assert world.check() == {0, 1, 2}


@TIMES
def test_deleting(world: World, times: int | None) -> None:
    with world.faults.failing("fdatasync", "fsync", path=WAL, times=times) as rule:
        assert world.server.request("DELETE", world.address(0)).status_code == 503
        assert rule.failed
    world.crash()
    assert world.check() >= {1, 2}
    assert world.server.request("DELETE", world.address(0)).status_code in (200, 404)
    assert world.check() == {1, 2}


@TIMES
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_an_import(world: World, after: int, times: int | None) -> None:
    bucket = world.server.buckets / "b"
    bucket.mkdir()
    for number in range(300):
        (bucket / f"{number}.dcm").write_bytes(make_instance("1.2.1", "1.2.1.1", f"1.2.1.1.{number + 100}"))
    with world.faults.failing("fdatasync", "fsync", path=WAL, after=after, times=times) as rule:
        operation = world.server.import_(world.store, "gs://b/**")
        world.server.wait_until(lambda: rule.failed > 0)
        world.server.wait_until(lambda: rule.failed > 1 or times == 1)
    world.crash()
    done = world.server.wait(operation)
    assert "error" not in done, done
    assert len(world.check()) == 303


@TIMES
def test_a_change_of_class(world: World, times: int | None) -> None:
    with world.faults.failing("fdatasync", "fsync", path=WAL, after=2, times=times) as rule:
        body = {"blobStorageSettings": {"blobStorageClass": "COLDLINE"}}
        address = f"v1/{world.store}/dicomWeb/studies/1.2.1:setBlobStorageSettings"
        answer = world.server.request("POST", address, json=body)
        assert answer.status_code == 200, answer.text
        world.server.wait_until(lambda: rule.failed > 0)
    world.crash()
    done = world.server.wait(answer.json()["name"])
    assert "error" not in done, done
    assert world.check() == {0, 1, 2}
