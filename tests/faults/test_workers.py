"""Dead workers: the objects they held are tried again, one by one, and every count stays exact."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.faults.scene import Scene, blobs
from tests.support.processes import children
from tests.support.server import GantryServer, counts


def _workers(server: GantryServer) -> list[int]:
    return children(server.process.pid)


def test_an_import_whose_workers_are_killed_ends_as_if_undisturbed(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        operation = server.import_(store, "gs://source/**")
        killed = 0
        while not server.operation(operation).get("done") and killed < 6:
            for pid in _workers(server)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            time.sleep(0.3)  # longer than a batch takes alone: an object that is killed alone, too, counts as failed
        assert counts(server.wait(operation)) == (scene.success, scene.failure)
        assert len(blobs(server.data)) == len(scene.stored)
        assert killed >= 1
        assert server.log_text().count("a new one takes its place") >= 1
        server.stop()
    finally:
        server.process.kill()


def test_no_worker_outlives_a_killed_server(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    workers = _workers(server)
    assert len(workers) == 2
    server.kill9()
    deadline = time.monotonic() + 10
    while alive := [pid for pid in workers if os.path.exists(f"/proc/{pid}")]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)
