"""Starts that must not be refused, and work that must go on: nothing is wrong with what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gantry.storage.hold import MOST_SECONDS, Hold
from gantry.studies.upload_sweeps import sweep_uploads
from tests.faults.house import House
from tests.faults.mounts import mounted, remount
from tests.faults.scene import Scene
from tests.faults.test_lost_index import made
from tests.faults.test_waits import serving
from tests.support.gantry import Gantry
from tests.support.server import counts
from tests.support.web import Web, uid_path

pytestmark = pytest.mark.slow


def test_a_class_that_was_given_up_gets_another_directory(tmp_path: Path) -> None:
    with serving(tmp_path, GANTRY_STORAGE_CLASSES=f"NEARLINE={tmp_path / 'near'}") as server:
        server.stop()
        server.env = {}
        server.start()
        server.stop()
        server.env = {"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / 'other'}"}
        server.start()
        gantry = Gantry(server)
        gantry.put(gantry.bucket, "1.dcm", made(2, 1))
        assert counts(gantry.import_("**", blobStorageSettings={"blob_storage_class": "NEARLINE"})) == (1, 0)
        server.restart()
        assert len(gantry.stored()) == 1 and any((tmp_path / "other").rglob("*.seg"))


@pytest.mark.parametrize("place", ["data/blobs", "near"])
def test_what_is_stored_can_be_read_where_its_disk_is_read_only(tmp_path: Path, place: str) -> None:
    env = {"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / 'near'}"}
    with mounted(tmp_path / place), serving(tmp_path, **env) as server:
        web = Web(Gantry(server))
        web.stored(made(1, 1))
        server.stop()
        remount(tmp_path / place, "ro")
        server.start()
        path = uid_path("1.2.1", "1.2.1.1", "1.2.1.1.1")
        assert web.get(path).status_code == 200
        remount(tmp_path / place, "rw")
        web.stored(made(1, 2))
        server.restart()
        assert "older than the blobs" not in server.log_text()


def test_a_copy_of_a_data_directory_goes_on_with_its_operations(tmp_path: Path) -> None:
    """The buckets lie in it, so they are other directories in the copy."""
    with serving(tmp_path) as server:
        server.stop()
        server.buckets = server.data / "buckets"
        server.start()
        scene = Scene(server.buckets / "source", 2500)
        store = server.create_store("d", "s")
        name = server.import_(store, "gs://source/**")
        server.wait_until(lambda: sum(counts(server.operation(name))) > 0)
        server.kill9()
        time.sleep(1)  # its workers end
        subprocess.run(("cp", "-a", server.data, tmp_path / "copy"), check=True)
        shutil.rmtree(server.data)
        os.rename(tmp_path / "copy", server.data)
        server.start()
        assert counts(server.wait(name, seconds=60)) == (scene.success, scene.failure)


def test_a_hold_of_a_clock_that_was_wrong_counts_no_more(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold")
    (tmp_path / "hold").touch()
    assert hold.is_held()
    for seconds in (-2 * MOST_SECONDS, 2 * MOST_SECONDS):
        os.utime(tmp_path / "hold", (time.time() + seconds,) * 2)
        assert not hold.is_held()


def test_what_uploads_have_left_stays_while_a_backup_is_made(tmp_path: Path) -> None:
    house = House(tmp_path)
    lot = house.seams.index.uploads.begin_upload(1)
    writer = house.seams.blobs.writer(f"main/1/stow/{lot}/")
    key, _ = writer.put((made(1, 1),), ("1.2.1", "1.2.1.1", "1.2.1.1.1"))
    writer.flush()
    writer.close()
    left = [(lot, 1)]
    (house.data / "hold").touch()
    sweep_uploads(house.seams, left, threading.Event())
    assert house.seams.index.uploads.list_uploads() == left and key in house.blobs()
    (house.data / "hold").unlink()
    sweep_uploads(house.seams, left, threading.Event())
    assert house.seams.index.uploads.list_uploads() == [] and not house.blobs()
    house.close()
