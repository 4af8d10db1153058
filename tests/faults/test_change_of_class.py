"""Bytes on their way from one disk to another: a crash between any two steps, and kill -9, lose none of them."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gantry.errors import NotFound
from gantry.names import ResourcePath
from gantry.operations import set_blob_storage_settings as verb
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals, commit
from gantry.operations.export_dicom_data import export_dicom_data
from gantry.operations.import_dicom_data import import_dicom_data
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.resources import Method, Operation
from gantry.storage.extents import object_of
from tests.faults.house import DATASET, STORE, House
from tests.faults.kill import kill_during
from tests.faults.scene import Scene, blobs, exported, files, placed
from tests.support.checked import check_clean
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow


class Moving(House):
    """The scene is imported, and an operation waits that moves all of it to a disk of its own."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, {"ARCHIVE": str(tmp_path / "cheap")})
        self.carry_to_the_end()
        self.studies = sorted({key.split("/")[0] for key in self.scene.stored})
        text = "".join(f"/studies/{study}\n" for study in self.studies)
        (tmp_path / "buckets" / "source" / "filter").write_text(text)
        request = {"storage_class": "ARCHIVE", "filter_uri": "gs://source/filter"}
        self.created = self.create(Method.SET_BLOB_STORAGE_SETTINGS, request)

    def create(self, method: Method, request: dict[str, str]) -> Operation:
        return self.seams.index.operations.create_operation(DATASET, "v1", method, request, str(STORE))

    def check_moved(self, operation: Operation, place: str = "ARCHIVE") -> None:
        assert (operation.done, operation.error) == (True, None)
        assert (operation.counter.success, operation.counter.pending) == (len(self.scene.stored), 0)
        found = list(self.seams.index.instances.walk_store(1))
        assert {"/".join(instance.uids) for instance in found} == set(self.scene.stored)
        assert {instance.storage_class for instance in found} == {"ARCHIVE"}
        assert {instance.blob_key.split("/")[0] for instance in found} == {place}
        sweep_garbage(self.seams)
        self.check_disks()
        for instance in found:
            with self.seams.blobs.open(instance.blob_key) as blob:
                assert blob.size == instance.size
                digest = hashlib.sha256(blob.read_at(0, blob.size)).hexdigest()
            assert digest == self.scene.stored["/".join(instance.uids)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Moving]:
    made = Moving(tmp_path)
    yield made
    made.close()


def test_undisturbed(house: Moving) -> None:
    house.check_moved(house.carry_to_the_end())
    assert blobs(house.data) == set()


@pytest.mark.parametrize("committed", [1, 2, 4])
def test_crash_with_copies_written_but_not_committed(house: Moving, committed: int) -> None:
    operation = house.claim("first")
    with closing(verb.set_blob_storage_settings(house.seams, operation)) as batches:
        for _, batch in zip(range(committed), batches, strict=False):
            commit(house.seams, operation, "first", batch, Totals())
        next(batches)
    assert len(house.blobs()) > house.seams.index.instances.count_in_store(1)
    house.check_moved(house.carry_to_the_end())


def test_crash_after_a_commit_before_the_old_bytes_are_swept(house: Moving) -> None:
    operation = house.claim("first")
    with closing(verb.set_blob_storage_settings(house.seams, operation)) as batches:
        for batch in batches:
            house.seams.index.operations.commit_batch(operation, "first", batch)
    garbage = house.seams.index.garbage.list_blobs()
    assert set(map(object_of, garbage)) <= files(house.data / "blobs")
    assert {key for key in garbage if object_of(key) != key} <= blobs(house.data), "no bytes went before their row"
    house.check_moved(house.carry_to_the_end())


def test_a_runner_that_lost_its_operation_leaves_no_copies(house: Moving) -> None:
    late = house.claim("first")
    with closing(verb.set_blob_storage_settings(house.seams, late)) as batches:
        commit(house.seams, late, "first", next(batches), Totals())
        batch = next(batches)
        finished = house.carry_to_the_end()
        with pytest.raises(Exception, match="not this runner's any more"):
            house.seams.index.operations.commit_batch(late, "first", batch)
    carry_again(house, late)
    house.check_moved(finished)


def test_an_import_writes_to_the_disk_of_its_class_and_leaves_no_orphans_there(tmp_path: Path) -> None:
    house = House(tmp_path, {"ARCHIVE": str(tmp_path / "cheap")}, "ARCHIVE")
    try:
        operation = house.claim("first")
        with closing(import_dicom_data(house.seams, operation)) as batches:
            commit(house.seams, operation, "first", next(batches), Totals())
            next(batches)
        house.check(house.carry_to_the_end())
        assert blobs(house.data) == set()
        assert len(placed(tmp_path / "cheap")) == len(house.scene.stored)
    finally:
        house.close()


def carry_again(house: Moving, operation: Operation) -> None:
    """What a runner does that does not know that its operation is another's now."""
    with pytest.raises(Exception, match="not this runner's any more"):
        run_operation(house.seams, operation, "first", threading.Event(), Totals())


def test_the_class_can_be_set_where_it_has_no_disk_of_its_own(house: Moving) -> None:
    house.check_moved(house.carry_to_the_end())
    house.created = house.create(
        Method.SET_BLOB_STORAGE_SETTINGS, {"storage_class": "NEARLINE", "filter_uri": "gs://source/filter"}
    )
    house.carry_to_the_end()
    sweep_garbage(house.seams)
    house.check_disks()
    assert blobs(house.data) == house.blobs()
    assert {item.storage_class for item in house.seams.index.instances.walk_store(1)} == {"NEARLINE"}


def test_instances_that_are_deleted_meanwhile_are_told_and_leave_no_copy(house: Moving) -> None:
    operation = house.claim("first")
    with closing(verb.set_blob_storage_settings(house.seams, operation)) as batches:
        for batch in batches:
            if batch.changes and house.studies:
                gone = ResourcePath(batch.changes[0].instance.study_instance_uid)
                deleted = house.seams.index.instances.count_below(1, gone)
                house.seams.index.deletion.delete_below(STORE, gone, "v1", Method.DELETE_STUDY)
                house.studies = []
            commit(house.seams, operation, "first", batch, Totals())
    counter = house.seams.index.operations.get_operation(operation.name).counter
    assert counter.failure == deleted
    assert counter.success == len(house.scene.stored) - deleted
    sweep_garbage(house.seams)
    house.check_disks()


def test_a_store_that_is_deleted_meanwhile_leaves_nothing_anywhere(house: Moving) -> None:
    operation = house.claim("first")
    with closing(verb.set_blob_storage_settings(house.seams, operation)) as batches:
        for batch in batches:
            if not house.seams.index.garbage.list_deleted_stores():
                commit(house.seams, operation, "first", batch, Totals())
            if batch.changes:
                break
        house.seams.index.resources.delete_dicom_store(STORE)
    ended = house.carry_to_the_end()
    assert ended.error is not None and ended.error.code == NotFound.code
    sweep_garbage(house.seams)
    sweep_stores(house.seams, threading.Event(), busy=set())
    assert house.blobs() == set()
    house.check_disks()
    assert house.seams.index.garbage.list_deleted_stores() == []


def test_an_export_finds_bytes_that_are_moved_while_it_runs(house: Moving, tmp_path: Path) -> None:
    house.carry_to_the_end()
    back = {"storage_class": "STANDARD", "filter_uri": "gs://source/filter"}
    house.created = house.create(Method.SET_BLOB_STORAGE_SETTINGS, back)
    mover = house.claim("first")
    (tmp_path / "buckets" / "out").mkdir()
    house.create(Method.EXPORT_DICOM_DATA, {"uri_prefix": "gs://out", "mime_type": ""})
    exporter = house.claim("first")
    with closing(export_dicom_data(house.seams, exporter)) as batches:
        commit(house.seams, exporter, "first", next(batches), Totals())
        run_operation(house.seams, mover, "first", threading.Event(), Totals())
        for batch in batches:
            commit(house.seams, exporter, "first", batch, Totals())
    assert house.seams.index.logs.list_failures(exporter.name, 10) == []
    assert exported(tmp_path / "buckets" / "out") == house.scene.stored


@pytest.mark.parametrize("kills", [4])
def test_a_change_killed_again_and_again_ends_as_if_undisturbed(tmp_path: Path, kills: int) -> None:
    cheap = tmp_path / "cheap"
    env = {"GANTRY_STORAGE_CLASSES": f"ARCHIVE={cheap}"}
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    try:
        scene = Scene(server.buckets / "source", 3000)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        studies = sorted({key.split("/")[0] for key in scene.stored})
        (server.buckets / "source" / "filter").write_text("".join(f"/studies/{study}\n" for study in studies))
        body = {
            "blobStorageSettings": {"blobStorageClass": "ARCHIVE"},
            "filterConfig": {"resourcePathsGcsUri": "gs://source/filter"},
        }
        operation = server.call("POST", f"v1/{store}:setBlobStorageSettings", json=body)["name"]
        assert kill_during(server, operation, kills, random.Random(9)) >= 1
        assert counts(server.wait(operation)) == (len(scene.stored), 0)
        (server.buckets / "out").mkdir()
        assert counts(server.wait(server.export(store, "gs://out"))) == (len(scene.stored), 0)
        assert exported(server.buckets / "out") == scene.stored
        server.restart()
        server.wait_until(lambda: blobs(server.data) == set())
        assert len(placed(cheap)) == len(scene.stored)
        server.stop()
        check_clean(server.data)
    finally:
        server.process.kill()
