"""Dead workers: the objects they held are tried again, one by one, and every count stays exact."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gantry.operations.batches import ATTEMPTS_ALONE
from tests.faults.kill import check_disk, transferred
from tests.faults.scene import Scene, blobs
from tests.support.processes import children
from tests.support.server import GantryServer, counts

_REPLACED = "a new one takes its place"


def _workers(server: GantryServer) -> list[int]:
    return children(server.process.pid)


def _kill_one_after_the_other(server: GantryServer, operation: str, most: int) -> int:
    """How many workers were killed; the next one only once it was noticed that the last one died."""
    killed = 0
    while killed < most and not server.operation(operation).get("done"):
        os.kill(_workers(server)[0], signal.SIGKILL)
        killed += 1
        while server.log_text().count(_REPLACED) < killed and not server.operation(operation).get("done"):
            time.sleep(0.02)
    return killed


@pytest.mark.slow
def test_an_import_whose_workers_are_killed_ends_as_if_undisturbed(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        operation = server.import_(store, "gs://source/**")
        # The first death costs a batch, and fewer than ATTEMPTS_ALONE are left: whatever they hit, no object fails.
        killed = _kill_one_after_the_other(server, operation, ATTEMPTS_ALONE)
        finished = server.wait(operation)
        assert counts(finished) == (scene.success, scene.failure)
        assert transferred(server, operation) == scene.bytes
        check_disk(server)
        assert len(blobs(server.data)) == len(scene.stored)
        assert killed >= 1
        assert 1 <= server.log_text().count(_REPLACED) <= killed
        server.stop()
    finally:
        server.process.kill()


@pytest.mark.slow
def test_no_worker_outlives_a_killed_server(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    workers = _workers(server)
    assert len(workers) == 2
    server.kill9()
    deadline = time.monotonic() + 10
    while alive := [pid for pid in workers if os.path.exists(f"/proc/{pid}")]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)


def test_a_worker_whose_server_was_killed_during_a_call_ends_in_silence() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", f"from gantry.executors import work; work({theirs.fileno()}, {read})"],
        pass_fds=(theirs.fileno(), read),
        stderr=subprocess.PIPE,
    )
    theirs.close()
    connection = Connection(ours.detach())
    connection.send_bytes(pickle.dumps((time.sleep, (0.2,), {})))
    connection.recv_bytes()  # the call has begun
    connection.close()
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0
    os.close(read)
    os.close(write)
