"""kill -9 at random moments: nothing is lost, nothing is counted twice, no bytes are left behind."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.kill import check_disk, kill_during, transferred
from tests.faults.scene import Scene, blobs, exported
from tests.support.checked import check_clean
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow


def _check_import(server: GantryServer, store: str, operation: str, scene: Scene) -> None:
    finished = server.wait(operation)
    assert counts(finished) == (scene.success, scene.failure)
    assert "pending" not in finished["metadata"]["counter"]
    assert transferred(server, operation) == scene.bytes
    failed = [resource for resource, _ in server.failures(operation)]
    assert sorted(failed) == sorted(f"gs://source/{key}" for key in scene.failing)
    (server.buckets / "out").mkdir()
    assert counts(server.wait(server.export(store, "gs://out"))) == (len(scene.stored), 0)
    assert exported(server.buckets / "out") == scene.stored
    check_disk(server)
    assert len(blobs(server.data)) == len(scene.stored)
    assert scene.read_fingerprint() == scene.fingerprint


def _imports_as_if_undisturbed(tmp_path: Path, count: int, kills: int, pixel_bytes: int) -> int:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        scene = Scene(server.buckets / "source", count, pixel_bytes)
        store = server.create_store("d", "s")
        operation = server.import_(store, "gs://source/**.dcm")
        inside = kill_during(server, operation, kills, random.Random(count))
        _check_import(server, store, operation, scene)
        server.stop()
        check_clean(server.data)
        return inside
    finally:
        server.process.kill()


def test_an_import_killed_again_and_again_ends_as_if_undisturbed(tmp_path: Path) -> None:
    assert _imports_as_if_undisturbed(tmp_path, count=3000, kills=5, pixel_bytes=4000) >= 2


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_kills_during_one_import_of_5000_files(tmp_path: Path) -> None:
    assert _imports_as_if_undisturbed(tmp_path, count=5000, kills=20, pixel_bytes=60_000) >= 15


def test_an_export_killed_again_and_again_writes_every_instance_once(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        (server.buckets / "out").mkdir()
        operation = server.export(store, "gs://out/deep/er")
        assert kill_during(server, operation, 4, random.Random(4)) >= 1
        finished = server.wait(operation)
        assert counts(finished) == (len(scene.stored), 0)
        assert transferred(server, operation) == scene.stored_bytes
        assert exported(server.buckets / "out" / "deep" / "er") == scene.stored
        server.stop()
        check_clean(server.data)
    finally:
        server.process.kill()


def test_a_stopped_server_goes_on_at_the_next_start(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        operation = server.import_(store, "gs://source/**")
        server.restart()
        _check_import(server, store, operation, scene)
        assert "attempt 2 begins" in server.log_text()
        server.stop()
        check_clean(server.data)
    finally:
        server.process.kill()
