"""Operations wait for what is away for a while, say so, go on by themselves, and can be cancelled at any time."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gantry.storage.extents import OWN_BYTES
from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.faults.mounts import away, mounted, remount
from tests.faults.scene import Scene
from tests.support.processes import children
from tests.support.server import GantryServer, Json, counts

pytestmark = pytest.mark.slow

STOW = {"content-type": "application/dicom"}


@contextmanager
def serving(tmp_path: Path, **env: str) -> Iterator[GantryServer]:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            workers = children(server.process.pid)
            server.process.kill()
            server.process.wait()
            for worker in workers:  # those that hang, or were stopped, do not end with their server
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)


def waiting(server: GantryServer, name: str) -> Json:
    found: Json = server.operation(name)["metadata"].get("waiting", {})
    return found


def until_it_waits(server: GantryServer, name: str, cause: str) -> Json:
    server.wait_until(lambda: waiting(server, name).get("for") == cause)
    return waiting(server, name)


def stow(server: GantryServer, store: str, number: int, pixel_bytes: int = 4) -> httpx.Response:
    data = instance(("1.2.9", "1.2.9.1", f"1.2.9.1.{number}"), PixelData=bytes(pixel_bytes))
    return server.request("POST", f"v1/{store}/dicomWeb/studies", content=data, headers=STOW)


def cancelled(server: GantryServer, name: str, seconds: float = 15) -> None:
    server.call("POST", f"v1/{name}:cancel", json={})
    assert server.wait(name, seconds=seconds)["error"]["code"] == 1


def test_an_import_waits_for_room_and_goes_on(tmp_path: Path) -> None:
    with mounted(tmp_path / "data" / "blobs", "size=3m"), serving(tmp_path) as server:
        scene = Scene(server.buckets / "source", 700, pixel_bytes=20_000)
        store = server.create_store("d", "s")
        name = server.import_(store, "gs://source/**")
        said = until_it_waits(server, name, "ROOM")
        assert "the data directory" in said["message"] and "disk is full" in said["message"]
        assert "bytes" in said["message"] and "inodes" in said["message"] and said["since"] <= said["nextAttemptTime"]
        metrics = server.request("GET", "metrics").text
        assert 'gantry_operations_waiting{for="ROOM"} 1.0' in metrics
        refused = stow(server, store, 1, 3_000_000)
        assert refused.status_code == 429 and "disk is full" in refused.text and "main/" not in refused.text
        remount(tmp_path / "data" / "blobs", "size=200m")
        operation = server.wait(name)
        assert counts(operation) == (scene.success, scene.failure)
        assert "waiting" not in operation["metadata"]
        assert 'gantry_operations_waiting{for="ROOM"} 0.0' in server.request("GET", "metrics").text


def test_no_inodes_are_named_as_the_reason(tmp_path: Path) -> None:
    with mounted(tmp_path / "buckets" / "out", "nr_inodes=20,size=64m"), serving(tmp_path) as server:
        scene = Scene(server.buckets / "source", 60)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        name = server.export(store, "gs://out")
        said = until_it_waits(server, name, "ROOM")
        assert "bucket gs://out" in said["message"] and "no free inodes" in said["message"]
        remount(tmp_path / "buckets" / "out", "nr_inodes=0,size=64m")
        assert counts(server.wait(name)) == (len(scene.stored), 0)


@pytest.mark.parametrize("act", ["go on", "cancel"])
def test_a_resumed_import_waits_for_its_bucket(tmp_path: Path, act: str) -> None:
    with ExitStack() as stack:
        bucket = stack.enter_context(mounted(tmp_path / "buckets" / "source", "size=100m"))
        scene = Scene(bucket, 2500)
        server = stack.enter_context(serving(tmp_path))
        store = server.create_store("d", "s")
        name = server.import_(store, "gs://source/**")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        server.kill9()
        before = counts
        with away(bucket):
            server.restart()
            said = until_it_waits(server, name, "BUCKET")
            assert "gs://source" in said["message"] and "cancel" in said["message"]
            assert sum(before(server.operation(name))) < scene.count
            if act == "cancel":
                cancelled(server, name)
                return
        assert counts(server.wait(name)) == (scene.success, scene.failure)


def test_an_import_whose_bucket_goes_away_waits_and_loses_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        bucket = stack.enter_context(mounted(tmp_path / "buckets" / "source", "size=200m"))
        scene = Scene(bucket, 4000)
        server = stack.enter_context(serving(tmp_path))
        store = server.create_store("d", "s")
        name = server.import_(store, "gs://source/**")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        with away(bucket):
            until_it_waits(server, name, "BUCKET")
            assert counts(server.operation(name))[1] <= scene.failure
        assert counts(server.wait(name)) == (scene.success, scene.failure)


def test_an_export_writes_nothing_below_the_mount_point_of_its_bucket(tmp_path: Path) -> None:
    with ExitStack() as stack:
        bucket = stack.enter_context(mounted(tmp_path / "buckets" / "out", "size=200m"))
        server = stack.enter_context(serving(tmp_path))
        scene = Scene(server.buckets / "source", 2500)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        name = server.export(store, "gs://out/x")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        with away(bucket):
            until_it_waits(server, name, "BUCKET")
            assert list(bucket.rglob("*")) == []
        assert counts(server.wait(name)) == (len(scene.stored), 0)
        assert len(list(bucket.rglob("*.dcm"))) == len(scene.stored)


def test_a_disk_of_the_server_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    with ExitStack() as stack:
        blobs = stack.enter_context(mounted(tmp_path / "data" / "blobs", "size=200m"))
        server = stack.enter_context(serving(tmp_path))
        scene = Scene(server.buckets / "source", 2500)
        store = server.create_store("d", "s")
        assert stow(server, store, 1, OWN_BYTES).status_code == 200
        name = server.import_(store, "gs://source/**")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        with away(blobs):
            said = until_it_waits(server, name, "DISK")
            assert "the data directory" in said["message"]
            answer = stow(server, store, 2)
            assert answer.status_code == 503 and "main/" not in answer.text
            read = server.request("GET", f"v1/{store}/dicomWeb/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1")
            assert read.status_code == 503
            server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.9")
            time.sleep(6)  # longer than the pause between two sweeps
            assert list(blobs.rglob("*")) == []
        assert counts(server.wait(name)) == (scene.success, scene.failure)
        # What was deleted while the disk was away goes when it is back.
        server.wait_until(lambda: not list(blobs.rglob("main/*/stow/*/*.dcm")))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO])
def test_our_own_disk_that_cannot_be_written_is_no_fault_of_the_client(tmp_path: Path, number: int) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 100)
        store = server.create_store("d", "s")
        assert stow(server, store, 1).status_code == 200
        rules = [faults.begin(call, path="/blobs/main/", error=number) for call in ("write", "mkdir")]
        if number != errno.EIO:
            rules.append(faults.begin("rename", "unlink", path="/blobs/main/", error=number))
        answer = stow(server, store, 2)
        assert answer.status_code == 503, answer.text
        assert "main/" not in answer.text and "the data directory cannot be written" in answer.text
        patch = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "New"}}]
        path = f"v1/{store}/dicomWeb/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1/metadata"
        changed = server.request(
            "PATCH",
            path.replace("v1/", "v1beta1/", 1),
            json=patch,
            headers={"content-type": "application/json-patch+json"},
        )
        assert changed.status_code == 503, changed.text
        name = server.import_(store, "gs://source/**")
        said = until_it_waits(server, name, "DISK")
        assert "the data directory cannot be written" in said["message"] and "main/" not in said["message"]
        for rule in rules:
            rule.end()
        assert counts(server.wait(name)) == (scene.success, scene.failure)


def test_a_bucket_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "buckets" / "out") as out, serving(tmp_path) as server:
        Scene(server.buckets / "source", 20)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        remount(out, "ro")
        operation = server.wait(server.export(store, "gs://out"))
        assert operation["error"]["code"] == 7 and "gs://out" in operation["error"]["message"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOENT])
@pytest.mark.parametrize("call", ["open", "readdir"])
def test_a_directory_that_cannot_be_listed_is_a_failure_with_its_name(tmp_path: Path, call: str, number: int) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 1200)
        store = server.create_store("d", "s")
        target = "source/001" if call == "open" else str(server.buckets / "source" / "001")
        with faults.failing(call, path=target, error=number) as rule:
            operation = server.wait(server.import_(store, "gs://source/**"))
            if not rule.failed:
                pytest.skip("the shim cannot make this call fail")
        assert "error" in operation, "it ended as a success"
        failed = [resource for resource, _ in server.failures(operation["name"])]
        if call == "readdir":
            assert "gs://source/001/" in failed
        success, failure = counts(operation)
        assert success < scene.success and failure > 0


@pytest.mark.parametrize("kind", ["silent", "cancel", "stop"])
def test_a_worker_that_hangs_is_told_and_holds_nobody(tmp_path: Path, kind: str) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 40)
        store = server.create_store("d", "s")
        with faults.failing("read", path="source/000/000030", mode="hang") as rule:
            name = server.import_(store, "gs://source/**")
            if kind == "silent":
                said = until_it_waits(server, name, "WORKER")
                assert "no sign of life" in said["message"]
            else:
                server.wait_until(lambda: rule.seen > 0)
                if kind == "cancel":
                    cancelled(server, name)
                else:
                    begun = time.monotonic()
                    server.stop()
                    assert time.monotonic() - begun < 25
                    return
        if kind == "silent":
            assert counts(server.wait(name)) == (scene.success, scene.failure)
            assert "waiting" not in server.operation(name)["metadata"]


def test_a_stopped_worker_does_not_hold_a_cancel(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        name = server.import_(store, "gs://source/**")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGSTOP)
        cancelled(server, name)
        server.stop()


def test_a_bucket_whose_listing_hangs_does_not_hold_a_cancel(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        Scene(server.buckets / "source", 40)
        store = server.create_store("d", "s")
        with faults.failing("readdir", "open", path="buckets/source", mode="hang") as rule:
            name = server.import_(store, "gs://source/**")
            server.wait_until(lambda: rule.seen > 0)
            cancelled(server, name, 30)


def test_one_file_that_cannot_be_removed_holds_nothing(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 700)
        stores = [server.create_store("d", f"s{number}") for number in range(3)]
        for store in stores[:2]:
            server.wait(server.import_(store, "gs://source/**"))
        main = server.data / "blobs" / "main"
        first = min(path for path in (main / "1").rglob("*.seg"))
        with faults.failing("unlink", path=first.name, error=errno.EPERM) as rule:
            for store in stores[:2]:
                server.call("DELETE", f"v1/{store}")
            server.wait_until(lambda: list(main.rglob("*.seg")) == [first])
            assert rule.failed
            gauge = re.search(r"^gantry_undeletable (.+)$", server.request("GET", "metrics").text, re.MULTILINE)
            assert gauge is not None and float(gauge[1]) > 0
            name = server.import_(stores[2], "gs://source/**")
            assert counts(server.wait(name)) == (scene.success, scene.failure)
        server.restart()
        server.wait_until(lambda: not first.exists())


def test_an_import_goes_on_and_is_cancelled_beside_a_file_that_cannot_be_removed(tmp_path: Path) -> None:
    """What an attempt has left is in the way of neither the next one nor a cancel, and goes later."""
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        with faults.failing("unlink", path="/blobs/main/", error=errno.EPERM):
            for act in ("go on", "cancel"):
                name = server.import_(store, "gs://source/**")
                server.wait_until(lambda name=name: sum(counts(server.operation(name))) > 0)  # type: ignore[misc]
                server.kill9()
                server.start()
                if act == "cancel":
                    cancelled(server, name)
                else:
                    assert counts(server.wait(name)) == (scene.success, scene.failure)


def test_attempts_do_not_rise_with_every_moment(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, serving(tmp_path, **faults.env) as server:
        Scene(server.buckets / "source", 40)
        store = server.create_store("d", "s")
        with faults.failing("write", path="/blobs/main/", error=errno.EIO):
            name = server.import_(store, "gs://source/**")
            until_it_waits(server, name, "DISK")
            time.sleep(15)
            assert server.log_text().count("begins") <= 6
            cancelled(server, name)
