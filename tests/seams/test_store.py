"""Storing over DICOMweb, below HTTP: what happens in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gantry.errors import ResourceExhausted
from gantry.index.sql import SqlIndex
from gantry.resources import Dataset, DicomStore, Instance
from gantry.seams import BlobWriter, Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.index.values import DATASET, STORE
from tests.support.blobs import find_blobs
from tests.support.databases import index_url
from tests.support.dicom import make_instance
from tests.support.writers import WrappedWriter

EVENTS: list[str] = []


class Writer(WrappedWriter):
    """Tells of syncs."""

    def put(self, chunks: Any, uids: Any = None) -> tuple[str, int]:
        Blobs.room -= 1
        if Blobs.room < 0:
            raise ResourceExhausted("cannot be written, the disk is full")
        return super().put(chunks, uids)

    def flush(self) -> None:
        super().flush()
        EVENTS.append("bytes are durable")


class Blobs(LocalBlobs):
    """``room`` is for so many instances."""

    room = 10_000

    def writer(self, prefix: str) -> Any:
        writer: BlobWriter = super().writer(prefix)
        return Writer(writer)


class Index(SqlIndex):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        store = self.uploads.store_instances

        def store_instances(store_id: int, instances: Any, replace: bool = False) -> Any:
            EVENTS.append("rows are written")
            return store(store_id, instances, replace)

        vars(self.uploads)["store_instances"] = store_instances


@pytest.fixture
def seams(tmp_path: Path) -> Seams:
    EVENTS.clear()
    Blobs.room = 10_000
    (tmp_path / "blobs").mkdir()
    index: Any = Index(index_url(tmp_path / "data"))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    unused: Any = None
    return Seams(index, Blobs(str(tmp_path / "blobs")), unused, unused, unused, 1)


def incoming(count: int) -> list[Incoming]:
    return [Incoming(f"part {n}", iter([make_instance("1.1", "1.1.1", f"1.1.1.{n}")])) for n in range(count)]


def test_bytes_are_durable_before_rows_name_them(seams: Seams) -> None:
    """Invariant 1, batch by batch."""
    found = store(seams, Uploads(seams), STORE, incoming(600))
    assert len(found.instances) == 600
    assert EVENTS == ["bytes are durable", "rows are written"] * 3


def test_a_full_disk_after_some_are_stored_is_told_of_the_rest(seams: Seams, tmp_path: Path) -> None:
    """The answer names what is there and what is not; no row without bytes, no bytes without row."""
    Blobs.room = 300
    found = store(seams, Uploads(seams), STORE, incoming(310))
    assert len(found.instances) == 300 and len(found.refused) == 10
    assert all("disk is full" in item.status.message for item in found.refused)
    assert all(isinstance(item, Instance) for item in found.instances)
    lying = find_blobs(tmp_path / "blobs")
    assert len(lying) == 300
    assert lying.keys() == {item.blob_key for item in seams.index.instances.walk_store(1)}


def test_a_disk_that_is_full_from_the_start_is_an_error_of_the_server(seams: Seams, tmp_path: Path) -> None:
    Blobs.room = 0
    with pytest.raises(ResourceExhausted):
        store(seams, Uploads(seams), STORE, incoming(3))
    assert find_blobs(tmp_path / "blobs") == {}
