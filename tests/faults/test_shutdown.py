"""SIGTERM ends the server within 20 seconds, whatever it is doing; the next start goes on and counts exactly."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.storage.extents import object_of
from gantry.worker_calls import GRACE_SECONDS
from tests.faults.scene import blobs, files
from tests.pixels.instances import SOP_INSTANCE, image
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

STOP_SECONDS = 20

SLOW = """
import os, sys, time


def is_copy(fd):
    return not os.readlink(f"/proc/self/fd/{fd}").endswith(".generation")


def slow(call):
    def hang(*arguments):
        if os.path.exists(os.environ["SLOW"]) and is_copy(arguments[0]):
            open(os.environ["SLOW"] + ".began", "w").close()
            time.sleep(600)
        return call(*arguments)
    return hang

os.copy_file_range, os.pwrite = slow(os.copy_file_range), slow(os.pwrite)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    """Copies never end while the file ``slow`` is there, as on a disk that hangs. The disk of the index does not."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SLOW)
    path = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH", ""))))
    found = GantryServer(
        tmp_path / "data", tmp_path / "buckets", env={"PYTHONPATH": path, "SLOW": str(tmp_path / "slow")}
    )
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def ends(server: GantryServer) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=STOP_SECONDS)
    assert server.process.returncode == 0
    for word in ("Traceback", "a thread does not stop"):
        assert word not in server.log_text(), server.log_text()[-4000:]


def fill(server: GantryServer, count: int = 40) -> str:
    (server.buckets / "source").mkdir()
    (server.buckets / "out").mkdir()
    for number in range(count):
        (server.buckets / "source" / f"{number:03d}").write_bytes(make_instance("1.2", "1.2.3", f"1.2.3.{number + 1}"))
    return server.create_store("d", "s")


def hang(server: GantryServer, slow: Path, start: str) -> None:
    """Wait until a worker is in a copy that does not end."""
    server.wait_until(lambda: slow.with_name("slow.began").exists())
    slow.with_name("slow.began").unlink()
    assert not server.operation(start).get("done")


def test_an_import_whose_copy_does_not_end(server: GantryServer, tmp_path: Path) -> None:
    store, slow = fill(server), tmp_path / "slow"
    slow.touch()
    name = server.import_(store, "gs://source/**")
    hang(server, slow, name)
    ends(server)
    slow.unlink()
    server.start()
    assert counts(server.wait(name)) == (40, 0)
    assert len(blobs(server.data)) == 40
    server.stop()


def test_an_export_whose_copy_does_not_end(server: GantryServer, tmp_path: Path) -> None:
    store, slow = fill(server), tmp_path / "slow"
    server.wait(server.import_(store, "gs://source/**"))
    slow.touch()
    name = server.export(store, "gs://out")
    hang(server, slow, name)
    ends(server)
    slow.unlink()
    server.start()
    assert counts(server.wait(name)) == (40, 0)
    assert len([path for path in (server.buckets / "out").rglob("*") if path.is_file()]) == 40
    server.stop()


@pytest.mark.parametrize("verb", ["import", "export"])
def test_a_cancel_is_heard_meanwhile_and_leaves_nothing_half_written(
    server: GantryServer, tmp_path: Path, verb: str
) -> None:
    store, slow = fill(server), tmp_path / "slow"
    if verb == "export":
        server.wait(server.import_(store, "gs://source/**"))
    before = blobs(server.data)
    slow.touch()
    name = server.export(store, "gs://out") if verb == "export" else server.import_(store, "gs://source/**")
    hang(server, slow, name)
    server.call("POST", f"v1/{name}:cancel", json={})
    done = server.wait(name, seconds=10 + 2 * GRACE_SECONDS)
    assert done["error"]["code"] == 1
    assert [path for path in (server.buckets / "out").rglob("*") if path.is_file()] == []
    server.wait_until(lambda: blobs(server.data) == before)
    assert files(server.data / "blobs") == set(map(object_of, before)), "nor a file that holds nothing"
    slow.unlink()
    server.stop()


def _send(server: GantryServer, head: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(f"{head}\r\nHost: localhost\r\n".encode() + b"\r\n")
    return connection


def test_clips_that_nobody_waits_for_any_more_are_not_made(server: GantryServer) -> None:
    """120 of them would take minutes; whoever comes afterwards does not wait behind them."""
    store = fill(server, 1)
    clip = image(bytes(range(256)) * 256 * 60, 256, 256, frames=60)
    headers = {"content-type": "application/dicom"}
    assert server.request("POST", f"v1/{store}/dicomWeb/studies", content=clip, headers=headers).status_code == 200
    path = f"/v1/{store}/dicomWeb/studies/1.2.826.1/series/1.2.826.1.1/instances/{SOP_INSTANCE}"
    frames = ",".join(str(number) for number in range(1, 61))
    head = f"GET {path}/frames/{frames}/rendered HTTP/1.1\r\nAccept: image/png"
    for connection in [_send(server, head) for _ in range(120)]:
        connection.close()
    began = time.monotonic()
    assert server.request("GET", f"{path}/frames/1/rendered", headers={"accept": "image/png"}).status_code == 200
    waited = time.monotonic() - began
    assert waited < 30
    for connection in [_send(server, head) for _ in range(120)]:
        connection.close()
    ends(server)


def test_clients_that_wait_for_clips_are_told_that_the_server_stops(server: GantryServer) -> None:
    store = fill(server, 1)
    clip = image(bytes(range(256)) * 1024 * 250, 512, 512, frames=250)
    headers = {"content-type": "application/dicom"}
    assert server.request("POST", f"v1/{store}/dicomWeb/studies", content=clip, headers=headers).status_code == 200
    path = f"/v1/{store}/dicomWeb/studies/1.2.826.1/series/1.2.826.1.1/instances/{SOP_INSTANCE}"
    frames = ",".join(str(number) for number in range(1, 251))
    connections = [
        _send(server, f"GET {path}/frames/{frames}/rendered HTTP/1.1\r\nAccept: image/png") for _ in range(30)
    ]
    time.sleep(1)
    ends(server)
    for connection in connections:
        connection.close()


def test_uploads_that_come_byte_by_byte(server: GantryServer) -> None:
    store = fill(server, 1)
    stop = threading.Event()
    head = f"POST /v1/{store}/dicomWeb/studies HTTP/1.1\r\nContent-Type: application/dicom\r\nContent-Length: 1000000"
    connections = [_send(server, head) for _ in range(64)]

    def dribble() -> None:
        while not stop.wait(0.2):
            for connection in connections:
                try:
                    connection.sendall(b"\0")
                except OSError:
                    return

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        time.sleep(1)
        ends(server)
    finally:
        stop.set()
        thread.join()
        for connection in connections:
            connection.close()
    server.start()
    server.wait_until(lambda: files(server.data / "blobs") == set())
    server.stop()
