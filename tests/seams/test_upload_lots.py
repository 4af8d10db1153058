"""Lots of uploads: what they hold open, and when they end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Unavailable
from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.storage.extents import Entry
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies import uploads as lots
from gantry.studies.store import Incoming, store
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.index.values import DATASET, STORE
from tests.support.databases import index_url
from tests.support.descriptors import list_open
from tests.support.dicom import make_instance


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    (tmp_path / "blobs").mkdir()
    index = SqlIndex(index_url(tmp_path / "data"))
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
    return [path for _, path in list_open(f"{root}/")]


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


def test_a_lot_that_cannot_be_read_holds_up_no_other(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [make_store(seams, f"s{number}") for number in range(3)]
    for name in names:
        upload(seams, Uploads(seams), name, make_instance("1.1", "1.1.1", "1.1.1.1"))
    left = seams.index.uploads.list_uploads()
    assert len(left) == 3
    entries = LocalBlobs.entries

    def refuse(blobs: LocalBlobs, segment: str) -> Iterator[Entry]:
        if segment.startswith("main/1/"):
            raise Unavailable("cannot be read (Input/output error)")
        return entries(blobs, segment)

    with monkeypatch.context() as broken:
        broken.setattr(LocalBlobs, "entries", refuse)
        with pytest.raises(Unavailable):
            sweep_uploads(seams, left, threading.Event())
    assert left == seams.index.uploads.list_uploads() == [(1, 1)]
    sweep_uploads(seams, left, threading.Event())
    assert left == seams.index.uploads.list_uploads() == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=["memory", "threads"])
def test_a_lot_that_cannot_be_closed_is_swept_and_no_error_of_an_upload(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    uploads, first, second = Uploads(seams), make_store(seams, "first"), make_store(seams, "second")
    upload(seams, uploads, first, make_instance("1.1", "1.1.1", "1.1.1.1"))
    monkeypatch.setattr(lots, "LOT_SECONDS", -1)

    def fail(_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(lots, "close_all", fail)
        assert upload(seams, uploads, second, make_instance("1.1", "1.1.1", "1.1.1.1")) == 1
    assert [lot for lot, _ in seams.left_lots] == [1]
    monkeypatch.setattr(lots, "LOT_SECONDS", 600)
    assert upload(seams, uploads, second, make_instance("1.2", "1.2.1", "1.2.1.1")) == 1
    uploads.close()


def test_objects_without_a_row_are_gone_from_the_disk_before_their_lot(
    seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    lot = seams.index.uploads.begin_upload(seams.index.resources.get_dicom_store(make_store(seams, "s")).id)
    writer = seams.blobs.writer(f"main/1/stow/{lot}/")
    writer.put([make_instance("1.1", "1.1.1", "1.1.1.1")])
    writer.flush()
    writer.close()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    end = seams.index.uploads.end_upload

    def end_upload(number: int, segments: Sequence[str]) -> None:
        assert synced
        end(number, segments)

    monkeypatch.setattr(seams.index.uploads, "end_upload", end_upload)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), threading.Event())
    assert list(seams.blobs.list()) == [] and seams.index.uploads.list_uploads() == []


def test_what_is_refused_holds_no_file_that_was_deleted(seams: Seams) -> None:
    """The disk keeps the bytes of a deleted file as long as it is open, and the next flush may come tomorrow."""
    uploads, name = Uploads(seams), make_store(seams, "s")
    for _ in range(3):
        assert upload(seams, uploads, name, b"no DICOM" * 300_000) == 0
        assert open_blobs(seams) == []
    uploads.close()
