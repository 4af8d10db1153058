"""Metadata of a study on its way to new files: crashes, kill -9 and races lose nothing and apply nothing twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from itertools import chain
from pathlib import Path

import pydicom
import pytest

from gantry.errors import Code
from gantry.names import ResourcePath
from gantry.operations.commits import Totals, commit
from gantry.operations.sweeper import sweep_garbage
from gantry.operations.update_metadata import update_metadata
from gantry.resources import Method, Operation, Replacement
from gantry.storage.extents import object_of
from gantry.studies.update import update_batch
from tests.faults.house import DATASET, STORE, House
from tests.faults.kill import kill_during
from tests.faults.scene import blobs, files
from tests.support.checked import check_clean
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

STUDY = "1.2.3.0"
ONE_MORE = [
    {"op": "test", "path": "/00100020", "value": {"vr": "LO", "Value": ["a"]}},
    {"op": "add", "path": "/00100020/Value/-", "value": "b"},
]
"""Cannot be applied twice: the test fails where it has been applied before."""


class Updating(House):
    """The scene is imported and has Patient IDs; an operation waits that adds a value to those of a study."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.carry_to_the_end()
        first = [{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["a"]}}]
        self.created = self.create(first)
        self.carry_to_the_end()
        self.expected = {uids for uids in self.scene.stored if uids.startswith(f"{STUDY}/")}
        self.created = self.create(ONE_MORE)

    def create(self, patch: list[dict[str, object]]) -> Operation:
        request = {"path": [STUDY, "", ""], "patch": patch, "web_url": "http://h"}
        return self.seams.index.operations.create_operation(
            DATASET, "v1beta1", Method.UPDATE_STUDY_METADATA, request, str(STORE)
        )

    def check_updated(self, operation: Operation, missing: int = 0) -> None:
        assert operation.done
        done = len(self.expected) - missing
        assert (operation.counter.success, operation.counter.failure, operation.counter.pending) == (done, missing, 0)
        found = list(self.seams.index.instances.walk_below(1, ResourcePath(STUDY)))
        assert {"/".join(instance.uids) for instance in found} <= self.expected
        for instance in found:
            with self.seams.blobs.open(instance.blob_key) as blob:
                assert blob.size == instance.size
                assert pydicom.dcmread(BytesIO(blob.read_at(0, blob.size))).PatientID == ["a", "b"]
        sweep_garbage(self.seams)
        self.check_disks()
        metrics = self.seams.index.metrics.get_metrics(STORE, ResourcePath(STUDY))
        assert (metrics.instances, metrics.blob_bytes) == (len(found), sum(instance.size for instance in found))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Updating]:
    made = Updating(tmp_path)
    yield made
    made.close()


def test_undisturbed(house: Updating) -> None:
    house.check_updated(house.carry_to_the_end())


@pytest.mark.parametrize("committed", [0, 1, 2])
def test_crash_with_files_written_but_not_committed(house: Updating, committed: int) -> None:
    operation = house.claim("first")
    with closing(update_metadata(house.seams, operation)) as batches:
        for _, batch in zip(range(committed), batches, strict=False):
            commit(house.seams, operation, "first", batch, Totals())
        next(batches)
    assert len(house.blobs()) > house.seams.index.instances.count_in_store(1)
    house.check_updated(house.carry_to_the_end())


def test_crash_after_a_commit_before_the_old_bytes_are_swept(house: Updating) -> None:
    operation = house.claim("first")
    with closing(update_metadata(house.seams, operation)) as batches:
        for batch in batches:
            house.seams.index.operations.commit_batch(operation, "first", batch)
    garbage = house.seams.index.garbage.list_blobs()
    assert set(map(object_of, garbage)) <= files(house.data / "blobs")
    assert {key for key in garbage if object_of(key) != key} <= blobs(house.data), "no bytes went before their row"
    house.check_updated(house.carry_to_the_end())


def test_an_instance_that_is_deleted_meanwhile_is_told_and_leaves_no_file(house: Updating) -> None:
    operation = house.claim("first")
    with closing(update_metadata(house.seams, operation)) as batches:
        for number, batch in enumerate(batches):
            if not number:
                house.seams.index.deletion.delete_instance(STORE, ResourcePath(*batch.replacements[3].before.uids))
            commit(house.seams, operation, "first", batch, Totals())
    (entry,) = house.seams.index.logs.list_failures(operation.name, 10)
    assert entry.failure.status.code is Code.NOT_FOUND
    house.check_updated(house.carry_to_the_end(), missing=1)


def test_an_instance_that_is_changed_meanwhile_is_told_and_keeps_that_change(house: Updating) -> None:
    """A patch of one instance, committed after the operation has read it, is not overwritten."""
    other = [{"op": "add", "path": "/00100020/Value/-", "value": "other"}]
    operation = house.claim("first")
    with closing(update_metadata(house.seams, operation)) as batches:
        batch = next(batches)
        before = batch.replacements[0].before
        prefix = f"{operation.store_id}/other-"
        (made,) = update_batch([before], ["main"], prefix, patch=other, web_url="http://h", blobs=house.seams.blobs)
        assert isinstance(made, Replacement)
        key = made.after.blob_key
        assert key.startswith(f"main/{prefix}")
        assert house.seams.index.uploads.replace_instance(operation.store_id, made) is None
        for each in chain([batch], batches):
            commit(house.seams, operation, "first", each, Totals())
    (entry,) = house.seams.index.logs.list_failures(operation.name, 10)
    assert (entry.failure.status.code, entry.failure.resource) == (Code.ABORTED, before.path)
    sweep_garbage(house.seams)
    house.check_disks()
    with house.seams.blobs.open(key) as blob:
        assert pydicom.dcmread(BytesIO(blob.read_at(0, blob.size))).PatientID == ["a", "other"]


@pytest.mark.parametrize("kills", [4])
def test_an_update_killed_again_and_again_is_applied_once(tmp_path: Path, kills: int) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        (server.buckets / "source").mkdir(parents=True)
        total = 1500
        for number in range(total):
            data = make_instance(STUDY, f"1.2.{number // 300}", f"1.2.3.{number}")
            (server.buckets / "source" / f"{number}.dcm").write_bytes(data)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        address = f"v1beta1/{store}/dicomWeb/studies/{STUDY}/metadata"
        first = {"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["a"]}}
        server.wait(server.call("PATCH", address, json=[first])["name"])
        operation = server.call("PATCH", address, json=ONE_MORE)["name"]
        assert kill_during(server, operation, kills, random.Random(5)) >= 1
        assert counts(server.wait(operation)) == (total, 0)
        found = server.call("GET", address.replace("v1beta1", "v1"))
        assert len(found) == total
        assert {tuple(each["00100020"]["Value"]) for each in found} == {("a", "b")}
        server.restart()
        server.wait_until(lambda: len(blobs(server.data)) == total)
        server.stop()
        check_clean(server.data)
    finally:
        server.process.kill()
