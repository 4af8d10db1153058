"""The parts of a server without a server around them, so that work can be abandoned between any two steps."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from gantry.config import DataDirectory, open_seams
from gantry.counters import Transfer
from gantry.names import DatasetName, DicomStoreName
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals
from gantry.resources import Dataset, DicomStore, Method, Operation
from gantry.seams import Seams
from gantry.storage.extents import object_of
from tests.faults.scene import Scene, blobs, files, placed
from tests.support.checked import check_clean
from tests.support.databases import make_settings

DATASET = DatasetName("p", "us-central1", "d")
STORE = DicomStoreName("p", "us-central1", "d", "s")


class House:
    """An index, blobs, workers and a scene, without a server around them."""

    def __init__(
        self, tmp_path: Path, storage_classes: dict[str, str] | None = None, storage_class: str = "STANDARD"
    ) -> None:
        self.data = tmp_path / "data"
        settings = make_settings(
            self.data,
            buckets=str(tmp_path / "buckets"),
            workers=2,
            storage_classes=storage_classes or {},
        )
        self.places = [Path(directory) for directory in settings.storage_classes.values()]
        self.directory = DataDirectory(settings)
        self.seams = open_seams(settings, self.directory)
        self.scene = Scene(tmp_path / "buckets" / "source", 700)
        self.seams.index.resources.create_dataset(Dataset(DATASET), "v1")
        self.seams.index.resources.create_dicom_store(DicomStore(STORE))
        request = {"uri": "gs://source/**", "storage_class": storage_class}
        self.created = self.seams.index.operations.create_operation(
            DATASET, "v1", Method.IMPORT_DICOM_DATA, request, str(STORE)
        )

    def claim(self, runner: str) -> Operation:
        operation = self.seams.index.operations.claim_operation(runner)
        assert operation is not None
        return operation

    def carry_to_the_end(self, seams: Seams | None = None) -> Operation:
        run_operation(seams or self.seams, self.claim("heir"), "heir", threading.Event(), Totals())
        return self.seams.index.operations.get_operation(self.created.name)

    def check(self, operation: Operation) -> None:
        assert operation.done
        assert (operation.counter.success, operation.counter.failure) == (self.scene.success, self.scene.failure)
        assert operation.counter.pending == 0
        assert operation.transfer == Transfer(self.scene.bytes), "each object once"
        rows = {instance.blob_key: "/".join(instance.uids) for instance in self.seams.index.instances.walk_store(1)}
        assert set(rows.values()) == set(self.scene.stored)
        self.check_disks()
        for instance in self.seams.index.instances.walk_store(1):
            with self.seams.blobs.open(instance.blob_key) as blob:
                data = blob.read_at(0, blob.size)
            assert hashlib.sha256(data).hexdigest() == self.scene.stored["/".join(instance.uids)]
        assert self.seams.index.garbage.list_blobs() == []

    def check_disks(self) -> None:
        """Every row has its bytes, and nothing else lies on the disks: no blob, and no file that holds none."""
        check_clean(self.data)
        keys = {instance.blob_key for instance in self.seams.index.instances.walk_store(1)}
        assert self.blobs() == keys
        assert files(self.data / "blobs").union(*map(files, self.places)) == set(map(object_of, keys))

    def blobs(self) -> set[str]:
        """Keys of every blob on every disk, orphans included."""
        return blobs(self.data).union(*map(placed, self.places))

    def close(self) -> None:
        self.seams.executor.shutdown()
        self.seams.index.close()
        self.directory.close()
