"""A data directory without a server, opened and closed again, so that a test decides what happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry.config import DataDirectory, open_seams, read_store_names
from gantry.names import DatasetName, DicomStoreName
from gantry.operations import rebuild as service
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals
from gantry.resources import Dataset, DicomStore, Method, Operation, StoredInstance
from gantry.seams import Seams
from gantry.studies.store import Incoming, Stored, store
from gantry.studies.uploads import Uploads
from tests.support.blobs import read_blobs
from tests.support.databases import has_index, make_settings
from tests.support.dicom import make_instance

DATASET = DatasetName("p", "us-central1", "d")
STORE = DicomStoreName("p", "us-central1", "d", "s")


def made(study: int, number: int, pixel_bytes: int = 2000) -> bytes:
    return make_instance(f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}", pixel_bytes=pixel_bytes)


class Bare:
    """``near``: with a directory for the storage class NEARLINE. The first ``opened`` makes the store STORE."""

    def __init__(self, base: Path, near: bool = False, layout: str = "segments") -> None:
        self.base, self.data, self.layout = base, base / "data", layout
        self.classes = {"NEARLINE": str(base / "near")} if near else {}
        self.roots = [self.data / "blobs", *map(Path, self.classes.values())]

    @contextmanager
    def opened(self, rebuilding: bool = False) -> Iterator[Seams]:
        settings = make_settings(
            self.data,
            buckets=str(self.base / "buckets"),
            workers=1,
            storage_classes=self.classes,
            layout=self.layout,
        )
        is_new = not has_index(self.data) and not rebuilding
        self.directory = DataDirectory(settings, rebuilding=rebuilding)
        try:
            seams = open_seams(settings, self.directory)
            try:
                if is_new:
                    seams.index.resources.create_dataset(Dataset(DATASET), "v1")
                    create_store(seams)
                yield seams
            finally:
                seams.executor.end()
                seams.pixels.end()
                seams.index.close()
        finally:
            self.directory.close()

    def rebuild(self, names: dict[int, DicomStoreName | None] | None = None) -> service.Summary:
        """``gantry storage rebuild``."""
        with self.opened(rebuilding=True) as seams:
            summary = service.rebuild(seams, read_store_names(self.directory) if names is None else names)
            seams.index.restoration.end()
        return summary

    def bytes_on_disk(self) -> dict[str, bytes]:
        """Every blob, by its key."""
        return {key: data for root in self.roots for key, data in read_blobs(root).items()}


def create_store(seams: Seams, name: DicomStoreName = STORE) -> int:
    """The number of a new store."""
    seams.index.resources.create_dicom_store(DicomStore(name))
    return seams.index.resources.get_dicom_store(name).id


def upload(seams: Seams, *instances: bytes, name: DicomStoreName = STORE) -> Stored:
    """Store instances in one request, in a lot of their own."""
    uploads = Uploads(seams)
    try:
        return store(seams, uploads, name, [Incoming(str(at), iter([data])) for at, data in enumerate(instances)])
    finally:
        uploads.close()


def list_rows(seams: Seams, store_id: int = 1) -> list[StoredInstance]:
    return list(seams.index.instances.walk_store(store_id))


def begin_import(seams: Seams, uri: str) -> None:
    begin(seams, Method.IMPORT_DICOM_DATA, {"uri": uri, "storage_class": "STANDARD"})


def begin(seams: Seams, method: Method, request: dict[str, Any]) -> None:
    seams.index.operations.create_operation(DATASET, "v1", method, request, str(STORE))


def claim_and_run(seams: Seams, runner: str) -> Operation:
    """The next operation, after it has run."""
    operation = seams.index.operations.claim_operation(runner)
    assert operation is not None
    run_operation(seams, operation, runner, threading.Event(), Totals())
    return seams.index.operations.get_operation(operation.name)
