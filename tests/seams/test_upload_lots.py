"""Lots of uploads: what they hold open, and when they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies import uploads as lots
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.index.values import DATASET, STORE
from tests.support.dicom import make_instance


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    (tmp_path / "blobs").mkdir()
    index = SqlIndex(f"sqlite:///{tmp_path / 'index.sqlite'}")
    index.resources.create_dataset(Dataset(DATASET), "v1")
    unused: Any = None
    yield Seams(index, LocalBlobs(str(tmp_path / "blobs")), unused, unused, unused, 1)
    index.close()


def make_store(seams: Seams, name: str) -> DicomStoreName:
    made = replace(STORE, store=name)
    seams.index.resources.create_dicom_store(DicomStore(made))
    return made


def upload(seams: Seams, uploads: Uploads, name: DicomStoreName, data: bytes) -> int:
    return len(store(seams, uploads, name, [Incoming("part 1", iter([data]))]).instances)


def open_blobs(seams: Seams) -> list[str]:
    """Files below the directory of blobs that this process holds open, also those without a name."""
    root = os.fsdecode(seams.blobs.root)  # type: ignore[attr-defined]
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(f"{root}/")]


def test_many_stores_need_few_descriptors(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may have thousands of stores, each of which gets an upload now and then."""
    monkeypatch.setattr(lots, "MOST_LOTS", 5, raising=False)
    uploads = Uploads(seams)
    for number in range(20):
        assert upload(seams, uploads, make_store(seams, f"s{number}"), make_instance("1.1", "1.1.1", "1.1.1.1")) == 1
        assert len(open_blobs(seams)) <= 5
    assert len(seams.index.uploads.list_uploads()) <= 5
    uploads.close()
    assert seams.index.uploads.list_uploads() == []


def test_a_lot_whose_time_is_over_ends_with_the_next_that_begins(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store may be deleted, and get no upload any more."""
    uploads, first, second = Uploads(seams), make_store(seams, "first"), make_store(seams, "second")
    upload(seams, uploads, first, make_instance("1.1", "1.1.1", "1.1.1.1"))
    seams.index.resources.delete_dicom_store(first)
    monkeypatch.setattr(lots, "LOT_SECONDS", -1)
    upload(seams, uploads, second, make_instance("1.1", "1.1.1", "1.1.1.1"))
    assert len(open_blobs(seams)) == 1
    assert [lot for lot, _ in seams.index.uploads.list_uploads()] == [2]
    uploads.close()


def test_what_is_refused_holds_no_file_that_was_deleted(seams: Seams) -> None:
    """The disk keeps the bytes of a deleted file as long as it is open, and the next flush may come tomorrow."""
    uploads, name = Uploads(seams), make_store(seams, "s")
    for _ in range(3):
        assert upload(seams, uploads, name, b"no DICOM" * 300_000) == 0
        assert open_blobs(seams) == []
    uploads.close()
