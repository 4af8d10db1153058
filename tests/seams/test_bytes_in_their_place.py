"""Bytes lie in the place of the storage class that their row says, whatever is written over what, and when."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Aborted, Interrupted, NotFound
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.operations.batch_writers import with_segments
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Batch, Change, Dataset, DicomStore, StoredInstance
from gantry.seams import Blobs, Seams
from gantry.storage import segments
from gantry.storage.extents import object_of
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.local_writer import LocalWriter
from gantry.storage.places import PlacedBlobStore
from gantry.storage.segments import Segments
from gantry.studies.store import Incoming, Stored, store
from gantry.studies.update import update_instance
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.dicomweb.instances import instance
from tests.index.values import DATASET, RUNNER, STORE, begin
from tests.support.blobs import find_blobs
from tests.support.databases import index_url

PLACES = ("main", "ARCHIVE", "COLDLINE")
CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
ONE = ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.0")
PATCH = [{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["new"]}}]


def open_parts(tmp_path: Path) -> Seams:
    blobs: dict[str, Blobs] = {}
    for place in PLACES:
        (tmp_path / place).mkdir(exist_ok=True)
        blobs[place] = LocalBlobs(str(tmp_path / place))
    unused: Any = None
    index = SqlIndex(index_url(tmp_path / "data"))
    return Seams(index, PlacedBlobStore(blobs), unused, unused, unused, 1, places=PLACES)


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    made = open_parts(tmp_path)
    made.index.resources.create_dataset(Dataset(DATASET), "v1")
    made.index.resources.create_dicom_store(DicomStore(STORE))
    yield made
    made.index.close()


def put(seams: Seams, text: str, count: int = 2, size: int = 0) -> Stored:
    """Store instances over those with the same UIDs; ``text`` tells their bytes from those of before."""
    uploads = Uploads(seams)
    items = [_incoming(number, text, size) for number in range(count)]
    try:
        return store(seams, uploads, STORE, items, replace=True)
    finally:
        uploads.close()


def _incoming(number: int, text: str, size: int) -> Incoming:
    more: dict[str, Any] = {"PatientComments": text, "PixelData": bytes(size)} if size else {"PatientComments": text}
    return Incoming(f"part {number}", iter([instance(("1.2.1", "1.2.1.1", f"1.2.1.1.{number}"), **more)]))


def move(seams: Seams, storage_class: str, number: int = 0) -> None:
    """What a change of storage class commits for one instance."""
    before = rows(seams)[f"1.2.1.1.{number}"]
    key = before.blob_key
    if key.partition("/")[0] != seams.place_of(storage_class):
        writer = seams.blobs.writer(f"{seams.place_of(storage_class)}/1/7/")
        with seams.blobs.open(before.blob_key) as source:
            key = writer.copy_from(source, before.uids)
        writer.flush()
        writer.close()
    index: Any = seams.index
    operation = begin(index)
    batch = with_segments(Batch("a", changes=(Change(before, storage_class, key),)))
    index.operations.commit_batch(operation, RUNNER, batch)
    index.operations.finish_operation(operation, RUNNER, None)


def rows(seams: Seams) -> dict[str, StoredInstance]:
    return {row.sop_instance_uid: row for row in seams.index.instances.walk_store(1)}


def check(seams: Seams, tmp_path: Path, classes: Sequence[str], text: str = "") -> None:
    """Every row has its class, and bytes in the place of it; no other bytes, and no other file, are left anywhere."""
    sweep_garbage(seams)
    found = rows(seams)
    assert [found[f"1.2.1.1.{number}"].storage_class for number in range(len(classes))] == list(classes)
    for row in found.values():
        assert row.blob_key.partition("/")[0] == seams.place_of(row.storage_class)
        with seams.blobs.open(row.blob_key) as blob:
            assert blob.size == row.size and text.encode() in blob.read_at(0, blob.size)
    keys = {row.blob_key for row in found.values()}
    assert {key for place in PLACES for key in find_blobs(tmp_path / place)} == keys
    assert {item.key for item in seams.blobs.list()} == set(map(object_of, keys))


@pytest.mark.parametrize("size", [0, 3 << 20])
@pytest.mark.parametrize("storage_class", CLASSES)
def test_what_is_stored_instead_goes_to_the_place_of_the_class(
    seams: Seams, tmp_path: Path, storage_class: str, size: int
) -> None:
    put(seams, "old")
    move(seams, storage_class)
    done = put(seams, "new", size=size)
    assert len(done.instances) == 2 and done.refused == []
    check(seams, tmp_path, [storage_class, "STANDARD"], "new")


class Meanwhile:
    """Does one thing of a list before each call of a function."""

    def __init__(self, function: Callable[..., Any], actions: Sequence[Callable[[], None]]) -> None:
        self.function, self.actions = function, list(actions)

    def __call__(self, *args: Any, **kw: Any) -> Any:
        if self.actions:
            self.actions.pop(0)()
        return self.function(*args, **kw)


@pytest.mark.parametrize(
    "classes",
    [
        ("ARCHIVE",),
        ("STANDARD",),
        ("ARCHIVE", "COLDLINE"),
        ("ARCHIVE", "STANDARD"),
        ("ARCHIVE", "COLDLINE", "ARCHIVE", "NEARLINE", "COLDLINE"),
    ],
)
def test_classes_that_change_between_two_looks(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...]
) -> None:
    put(seams, "old")
    move(seams, "NEARLINE", 1)
    actions = [lambda name=name: move(seams, name) for name in classes]
    changing = Meanwhile(seams.index.uploads.store_instances, actions)
    monkeypatch.setattr(seams.index.uploads, "store_instances", changing)
    done = put(seams, "new")
    assert len(done.instances) == 2 and done.refused == [] and changing.actions == []
    check(seams, tmp_path, [classes[-1], "NEARLINE"], "new")


def test_classes_that_never_stop_changing_are_an_error_and_leave_nothing(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(seams, "old")
    actions = [lambda number=number: move(seams, ("ARCHIVE", "COLDLINE")[number % 2]) for number in range(50)]
    changing = Meanwhile(seams.index.uploads.store_instances, actions)
    monkeypatch.setattr(seams.index.uploads, "store_instances", changing)
    with pytest.raises(Aborted, match="again and again"):
        put(seams, "new")
    monkeypatch.undo()
    check(seams, tmp_path, [rows(seams)[ONE.instance].storage_class, "STANDARD"], "old")


def test_an_instance_that_is_deleted_meanwhile_is_stored_as_a_new_one(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(seams, "old")
    move(seams, "ARCHIVE")
    changing = Meanwhile(
        seams.index.uploads.store_instances,
        [lambda: None, lambda: seams.index.deletion.delete_instance(STORE, ONE)],
    )
    monkeypatch.setattr(seams.index.uploads, "store_instances", changing)
    assert len(put(seams, "new").instances) == 2
    check(seams, tmp_path, [rows(seams)[ONE.instance].storage_class, "STANDARD"], "new")


@pytest.mark.parametrize("written", [False, True])
def test_an_error_of_the_index_after_the_copy(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """Before the rows are written, or after."""
    put(seams, "old")
    move(seams, "ARCHIVE")
    whole = seams.index.uploads.store_instances

    def fail(store_id: int, instances: Any, replace: bool = False) -> Any:
        if written:
            whole(store_id, instances, replace)  # raises Aborted the first time
        elif all(item.storage_class == "STANDARD" for item in instances):
            raise Aborted("another class")
        raise Interrupted("the index cannot be used right now")

    monkeypatch.setattr(seams.index.uploads, "store_instances", fail)
    if written:
        assert len(put(seams, "new").instances) == 2
    else:
        with pytest.raises(Interrupted):
            put(seams, "new")
    check(seams, tmp_path, ["ARCHIVE", "STANDARD"], "new" if written else "old")


STEPS = 22


@pytest.mark.parametrize("step", range(STEPS))
def test_a_kill_at_any_step_leaves_no_bytes_behind(tmp_path: Path, step: int) -> None:
    """A process stores over what another one has moved, and is gone before its step of that number."""
    seams = open_parts(tmp_path)
    seams.index.resources.create_dataset(Dataset(DATASET), "v1")
    seams.index.resources.create_dicom_store(DicomStore(STORE))
    put(seams, "old")
    move(seams, "ARCHIVE")
    seams.index.close()
    child = os.fork()
    if not child:
        _run_and_die(tmp_path, step)
    _, status = os.waitpid(child, 0)
    seams = open_parts(tmp_path)
    sweep_uploads(seams, seams.index.uploads.list_uploads(), threading.Event())
    assert seams.index.uploads.list_uploads() == []
    texts = {_read_text(seams, row) for row in rows(seams).values()}
    assert len(texts) == 1, "both are replaced, or none"
    assert os.waitstatus_to_exitcode(status) == (7 if step < STEPS - 1 else 0)
    check(seams, tmp_path, ["ARCHIVE", "STANDARD"], texts.pop())
    seams.index.close()


def _run_and_die(tmp_path: Path, step: int) -> None:
    left = iter(range(step))
    try:
        seams = open_parts(tmp_path)
        for part, name in (
            (seams.index.uploads, "store_instances"),
            (seams.index.uploads, "end_upload"),
            (seams.index.instances, "find_stored"),
            (LocalWriter, "put"),
            (LocalWriter, "copy_from"),
            (LocalWriter, "flush"),
            (LocalWriter, "close"),
            (Segments, "sync"),
            (LocalBlobs, "delete"),
        ):
            setattr(part, name, _die_before(getattr(part, name), left))
        segments.write_at = _die_half_way(segments.write_at, left)
        put(seams, "new")
    finally:
        os._exit(0)


def _die_before(function: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*args: Any, **kw: Any) -> Any:
        if next(left, None) is None:
            os._exit(7)
        return function(*args, **kw)

    return call


def _die_half_way(write: Callable[[int, bytes, int], None], left: Iterator[int]) -> Callable[[int, bytes, int], None]:
    def call(fd: int, data: bytes, offset: int) -> None:
        if next(left, None) is None:
            write(fd, data[: len(data) // 2], offset)
            os._exit(7)
        write(fd, data, offset)

    return call


def _read_text(seams: Seams, row: StoredInstance) -> str:
    with seams.blobs.open(row.blob_key) as blob:
        data = blob.read_at(0, blob.size)
    return next(text for text in ("old", "new") if text.encode() in data)


@pytest.mark.parametrize("storage_class", CLASSES)
def test_a_patch_of_an_instance_that_was_moved_just_now(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage_class: str
) -> None:
    """It was read before its class changed, and its bytes were moved and swept since."""
    put(seams, "old")
    stale = rows(seams)[ONE.instance]
    move(seams, "COLDLINE")
    move(seams, storage_class)
    sweep_garbage(seams)
    with pytest.raises(NotFound):
        seams.blobs.open(stale.blob_key)
    monkeypatch.setattr(seams.index.instances, "walk_below", lambda *_: iter([stale]))
    uploads = Uploads(seams)
    update_instance(seams, uploads, STORE, ONE, PATCH, "http://h")
    uploads.close()
    assert rows(seams)[ONE.instance].blob_key.partition("/")[2].startswith("1/stow/")
    check(seams, tmp_path, [storage_class, "STANDARD"], "old")
