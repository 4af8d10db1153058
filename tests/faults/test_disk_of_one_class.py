"""The disk of one storage class is read-only, full, away or hangs: what is written to others goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import DiskAway, StatusError
from gantry.names import DicomStoreName
from gantry.operations.sweeper import sweep_stores
from gantry.resources import Method, Operation
from gantry.seams import Seams
from gantry.storage import store_records
from gantry.storage.store_records import read_records
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, begin, claim_and_run, create_store, list_rows, made, upload

NEW = DicomStoreName("p", "us-central1", "d", "new")


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path, near=True)


@pytest.fixture
def seams(bare: Bare) -> Iterator[Seams]:
    with bare.opened() as opened:
        yield opened


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names cannot be written in NEARLINE; set, the disk hangs instead."""
    real, hangs, release = store_records._append, threading.Event(), threading.Event()

    def append(root: str, place: str, records: list[dict[str, object]]) -> None:
        if place == "NEARLINE" and records:
            if hangs.is_set():
                release.wait(60)
            raise DiskAway("the directory of NEARLINE blobs cannot be written: the file system is read-only")
        real(root, place, records)

    monkeypatch.setattr(store_records, "_append", append)
    yield hangs
    release.set()


def run(seams: Seams, method: Method, request: dict[str, Any]) -> Operation:
    begin(seams, method, request)
    return claim_and_run(seams, method.name)


def test_uploads_and_imports_into_a_new_store_go_on(bare: Bare, seams: Seams, broken: threading.Event) -> None:
    upload(seams, made(1, 1))
    (bare.base / "buckets" / "source").mkdir()
    (bare.base / "buckets" / "source" / "1.dcm").write_bytes(made(2, 1))
    done = run(seams, Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"})
    assert (done.counter.success, done.error) == (1, None)
    assert len(list_rows(seams)) == 2
    assert read_records(str(bare.roots[0]), "main") == {1: STORE}


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        (Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "NEARLINE"}),
        (
            Method.SET_BLOB_STORAGE_SETTINGS,
            {"storage_class": "NEARLINE", "resource": f"{STORE}/dicomWeb/studies/1.2.1", "uri": ""},
        ),
    ],
)
def test_what_is_to_be_written_there_waits(
    bare: Bare, seams: Seams, broken: threading.Event, method: Method, request_: dict[str, Any]
) -> None:
    """No blob is written beside which its store has no name."""
    upload(seams, made(1, 1))
    (bare.base / "buckets" / "source").mkdir()
    (bare.base / "buckets" / "source" / "1.dcm").write_bytes(made(2, 1))
    with pytest.raises(DiskAway):
        run(seams, method, request_)
    assert not (bare.roots[1] / "NEARLINE" / "1").exists()


def test_the_name_is_kept_before_the_first_blob_in_a_place(bare: Bare, seams: Seams) -> None:
    upload(seams, made(1, 1))
    assert read_records(str(bare.roots[1]), "NEARLINE") == {}
    run(
        seams,
        Method.SET_BLOB_STORAGE_SETTINGS,
        {"storage_class": "NEARLINE", "resource": f"{STORE}/dicomWeb/studies/1.2.1", "uri": ""},
    )
    assert read_records(str(bare.roots[1]), "NEARLINE") == {1: STORE}


def test_an_upload_that_hangs_holds_up_no_other(seams: Seams, broken: threading.Event) -> None:
    """Also one into the same store, whose bytes go to another disk."""
    create_store(seams, NEW)
    broken.set()
    uploads = Uploads(seams)
    reached = threading.Event()

    def hang() -> None:
        with uploads.request(1) as request:
            reached.set()
            with pytest.raises(StatusError):
                request.writer("NEARLINE")

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    assert reached.wait(60)
    for name in (STORE, NEW):
        assert store(seams, uploads, name, [Incoming("", iter([made(3, 1)]))]).refused == []
    assert thread.is_alive(), "it hangs all the while"


def test_a_store_that_is_deleted_is_forgotten_everywhere_else(
    bare: Bare, seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("main", "NEARLINE"):
        seams.records.keep([1], place)
    seams.index.resources.delete_dicom_store(STORE)
    real = store_records._append

    def append(root: str, place: str, records: list[dict[str, object]]) -> None:
        if place == "main":
            raise DiskAway("the directory of main blobs cannot be written")
        real(root, place, records)

    with monkeypatch.context() as patch:
        patch.setattr(store_records, "_append", append)
        sweep_stores(seams, threading.Event(), set())
    assert read_records(str(bare.roots[1]), "NEARLINE") == {1: None}
