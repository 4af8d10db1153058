"""The disk of the data directory is full: what makes room works, what reads works, and a start works."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry.index.reserve import RESERVE
from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, Json
from tests.support.small_disks import Kind, fill, small_disk

pytestmark = pytest.mark.slow

DICOM = {"content-type": "application/dicom"}


class Server(GantryServer):
    """Starts are waited for until the process answers: it may be not ready."""

    def _ready(self) -> bool:
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return True
            except httpx.TransportError:
                time.sleep(0.05)
        return False


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    kind: Kind = request.param
    with small_disk(tmp_path / "disk", 80, kind) as path:
        yield path


@pytest.fixture
def server(disk: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(disk / "data", tmp_path / "buckets")
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()


def scene(server: GantryServer) -> tuple[str, str]:
    """Three stores of a dataset, the first of them with four studies of two instances; its name, and its web."""
    store = server.create_store("d", "s")
    for name in ("t", "u"):
        server.create_store("d", name)
    server.create_store("other", "s")
    web = f"v1/{store}/dicomWeb"
    for study in range(4):
        for number in range(2):
            uids = f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}"
            assert stow(server, web, uids).status_code == 200
    return store, web


def stow(server: GantryServer, web: str, uids: tuple[str, str, str]) -> httpx.Response:
    return server.request("POST", f"{web}/studies", content=instance(uids), headers=DICOM)


def parts(server: GantryServer) -> dict[str, str]:
    answer = server.request("GET", "readyz")
    if answer.status_code == 200:
        return {}
    assert answer.status_code == 503
    found: list[Json] = answer.json()["parts"]
    return {each["part"]: each["message"] for each in found}


def deletions(store: str, web: str) -> list[str]:
    dataset = store.rpartition("/dicomStores/")[0]
    return [
        f"{web}/studies/1.2.0/series/1.2.0.1/instances/1.2.0.1.0",
        f"{web}/studies/1.2.1/series/1.2.1.1",
        f"{web}/studies/1.2.2",
        f"v1/{dataset}/dicomStores/t",
        f"v1/{dataset.rpartition('/')[0]}/other",
        f"{web}/studies/1.2.0",
    ]


def check_full(server: Server, store: str, web: str) -> None:
    """Reads work, then all deletions; nothing can be stored."""
    assert "disk/main" in parts(server)
    assert len(server.call("GET", f"{web}/studies")) == 4
    read = f"{web}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.0"
    assert server.request("GET", read, headers={"accept": "application/dicom"}).status_code == 200
    assert server.request("GET", "console/").status_code == 200
    assert stow(server, web, ("1.9", "1.9.1", "1.9.1.1")).status_code in (429, 503)
    for path in deletions(store, web):
        answer = server.request("DELETE", path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    assert [each["0020000D"]["Value"] for each in server.call("GET", f"{web}/studies")] == [["1.2.3"]]


def check_room(server: Server, web: str) -> None:
    """All goes on by itself."""
    server.wait_until(lambda: not parts(server))
    assert stow(server, web, ("1.9", "1.9.1", "1.9.1.1")).status_code == 200
    reserve = server.data / "index.sqlite-reserve"
    server.wait_until(lambda: reserve.exists() and reserve.stat().st_blocks * 512 >= RESERVE)


def test_a_running_server(server: Server, disk: Path) -> None:
    store, web = scene(server)
    server.wait_until(lambda: (server.data / "index.sqlite-reserve").exists())
    ballast = fill(disk)
    check_full(server, store, web)
    ballast.unlink()
    check_room(server, web)


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_start(server: Server, disk: Path, killed: bool) -> None:
    store, web = scene(server)
    server.wait_until(lambda: (server.data / "index.sqlite-reserve").exists())
    server.kill9() if killed else server.stop()
    ballast = fill(disk)
    before = len(server.log_text())
    server.start()
    check_full(server, store, web)
    written = server.log_text()[before:]
    assert "Traceback" not in written and written.count("its reserve is given up") == 1
    ballast.unlink()
    check_room(server, web)


def test_an_operation_can_be_cancelled(server: Server, disk: Path) -> None:
    store, _ = scene(server)
    bucket = server.buckets / "b"
    bucket.mkdir()
    for number in range(3000):
        (bucket / f"{number}.dcm").write_bytes(make_instance("1.5", "1.5.1", f"1.5.1.{number}", pixel_bytes=20_000))
    operation = server.import_(store, "gs://b/**")
    fill(disk)
    assert server.request("POST", f"v1/{operation}:cancel").status_code == 200
    assert server.wait(operation)["error"]["code"] in (1, 8)


def test_uploads_leave_room_for_deletions(server: Server, disk: Path) -> None:
    _, web = scene(server)
    for number in range(400):
        data = make_instance("1.7", "1.7.1", f"1.7.1.{number}", pixel_bytes=400_000)
        answer = server.request("POST", f"{web}/studies", content=data, headers=DICOM)
        if answer.status_code != 200:
            break
    assert answer.status_code in (429, 503)
    assert server.request("DELETE", f"{web}/studies/1.7").status_code == 200
    check_room(server, web)


def test_a_start_without_reserve_nor_room_says_so_in_one_sentence(server: Server, disk: Path) -> None:
    server.stop()
    (server.data / "index.sqlite-reserve").unlink(missing_ok=True)
    fill(disk)
    server._spawn()
    assert server.process.wait(60) != 0
    last = server.log_text().strip().splitlines()[-1]
    assert "the disk is full" in last or "disk reports" in last
    assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_that_is_used_up(tmp_path: Path, error: int) -> None:
    """The disk seems to have room. The reserve makes the difference."""
    with Faults(tmp_path) as faults:
        server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=faults.env)
        store, web = scene(server)
        server.wait_until(lambda: (server.data / "index.sqlite-reserve").exists())
        for path in deletions(store, web):
            with faults.failing("write", path="index.sqlite-wal", error=error, times=1) as rule:
                answer = server.request("DELETE", path)
                assert rule.failed and answer.status_code == 200, answer.text
        faults.end()
        server.stop()
