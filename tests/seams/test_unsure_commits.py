"""A commit that ends in an error may have written its rows: no byte that a row may name is deleted."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Aborted, Interrupted, NotFound, ResourceExhausted, Unavailable
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.storage.contents import MAGIC
from gantry.storage.extents import object_of
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.store import Incoming, Stored, store
from gantry.studies.store_json import read_json_parts
from gantry.studies.update import update_instance
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.dicomweb.instances import instance
from tests.index.values import DATASET, STORE
from tests.seams.blob_store_suite import read
from tests.support.blobs import find_blobs
from tests.support.databases import index_url

NAME = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "New^Name"}}]
ONE = ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.0")


class Index(SqlIndex):
    """``fails`` before or after the rows are written; ``blind``: it cannot be read afterwards either."""

    fails, blind = "", False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        for part, name, wrap in (
            (self.uploads, "store_instances", self._write),
            (self.uploads, "replace_instance", self._write),
            (self.instances, "find_stored", self._look),
        ):
            setattr(part, name, partial(wrap, getattr(part, name)))

    def _write(self, write: Any, *args: Any, **kw: Any) -> Any:
        if self.fails == "before":
            raise Interrupted("the index cannot be used right now")
        found = write(*args, **kw)
        if self.fails == "after":
            raise Interrupted("the index cannot be used right now")
        return found

    def _look(self, find: Any, *args: Any, **kw: Any) -> Any:
        if self.blind:
            raise Interrupted("the index cannot be used right now")
        return find(*args, **kw)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(index_url(tmp_path / "data"))
    made.resources.create_dataset(Dataset(DATASET), "v1")
    made.resources.create_dicom_store(DicomStore(STORE))
    yield made
    made.close()


@pytest.fixture
def seams(tmp_path: Path, index: Index) -> Seams:
    (tmp_path / "blobs").mkdir()
    unused: Any = None
    return Seams(index, LocalBlobs(str(tmp_path / "blobs")), unused, unused, unused, 1)


def incoming(count: int) -> list[Incoming]:
    return [Incoming(f"part {n}", iter([instance(("1.2.1", "1.2.1.1", f"1.2.1.1.{n}"))])) for n in range(count)]


def stored(seams: Seams, uploads: Uploads, count: int = 3, replace: bool = False) -> Stored:
    return store(seams, uploads, STORE, incoming(count), replace=replace)


def blobs(seams: Seams) -> set[str]:
    """What lies on the disk, whether anybody knows of it or not."""
    assert isinstance(seams.blobs, LocalBlobs)
    return set(find_blobs(Path(os.fsdecode(seams.blobs.root))))


def named(index: Index) -> set[str]:
    return {item.blob_key for item in index.instances.walk_store(1)}


@pytest.mark.parametrize("replace", [False, True])
def test_rows_that_were_written_keep_their_bytes_and_count_as_stored(seams: Seams, index: Index, replace: bool) -> None:
    index.fails = "after"
    found = stored(seams, Uploads(seams), replace=replace)
    assert (len(found.instances), found.refused) == (3, [])
    assert blobs(seams) == named(index) and len(named(index)) == 3


def test_rows_that_were_not_written_leave_no_bytes(seams: Seams, index: Index) -> None:
    index.fails = "before"
    uploads = Uploads(seams)
    with pytest.raises(Interrupted):
        stored(seams, uploads)
    assert blobs(seams) == set()
    uploads.close()
    assert index.uploads.list_uploads() == []
    sweep_garbage(seams)
    assert list(seams.blobs.list()) == [], "nor the files that the bytes have shared"


@pytest.mark.parametrize("fails, left", [("before", 0), ("after", 3)])
def test_what_cannot_be_known_is_settled_at_the_next_start(seams: Seams, index: Index, fails: str, left: int) -> None:
    index.fails, index.blind = fails, True
    uploads = Uploads(seams)
    with pytest.raises(Interrupted):
        stored(seams, uploads)
    uploads.close()
    assert len(blobs(seams)) == 3, "no row may lose its bytes"
    index.fails, index.blind = "", False
    lots = index.uploads.list_uploads()
    assert len(lots) == 1
    sweep_uploads(seams, lots, threading.Event())
    assert blobs(seams) == named(index) and len(named(index)) == left
    assert index.uploads.list_uploads() == []


def test_rows_keep_their_bytes_where_a_table_of_contents_is_damaged(seams: Seams, index: Index) -> None:
    """After a crash the tables say what lies in a segment, but the rows say what stays."""
    stored(seams, Uploads(seams), 2)
    before = {item.blob_key: read(seams.blobs, item.blob_key) for item in index.instances.walk_store(1)}
    (segment,) = {object_of(key) for key in before}
    path = Path(os.fsdecode(seams.blobs.root), segment)  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes().replace(MAGIC, bytes(len(MAGIC))))
    sweep_uploads(seams, index.uploads.list_uploads(), threading.Event())
    sweep_garbage(seams)
    assert {key: read(seams.blobs, key) for key in named(index)} == before


@pytest.mark.parametrize("fails, blind, files", [("before", False, 1), ("after", False, 2), ("after", True, 2)])
def test_a_patch(seams: Seams, index: Index, fails: str, blind: bool, files: int) -> None:
    """Two files: the new one, and the old one that waits in the garbage."""
    uploads = Uploads(seams)
    stored(seams, uploads, 1)
    index.fails, index.blind = fails, blind
    if fails == "after" and not blind:
        update_instance(seams, uploads, STORE, ONE, NAME, "http://h")
    else:
        with pytest.raises(Interrupted):
            update_instance(seams, uploads, STORE, ONE, NAME, "http://h")
    assert named(index) <= blobs(seams) and len(blobs(seams)) == files
    uploads.close()
    assert bool(index.uploads.list_uploads()) is blind


def test_a_patch_that_comes_too_late_says_what_to_do(
    seams: Seams, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, whole = Uploads(seams), index.uploads.replace_instance
    stored(seams, uploads, 1)

    def come_late(*args: Any) -> Any:
        monkeypatch.setattr(index.uploads, "replace_instance", whole)
        other = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "Other^Name"}}]
        update_instance(seams, uploads, STORE, ONE, other, "http://h")
        return whole(*args)

    monkeypatch.setattr(index.uploads, "replace_instance", come_late)
    with pytest.raises(Aborted) as refused:
        update_instance(seams, uploads, STORE, ONE, NAME, "http://h")
    assert str(refused.value) == "this instance was changed or moved meanwhile. Try again"
    (key,) = named(index)
    assert b"Other^Name" in read(seams.blobs, key)
    sweep_garbage(seams)
    assert blobs(seams) == {key}


def test_a_store_that_is_deleted_meanwhile_is_left_without_bytes(
    seams: Seams, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = index.uploads.store_instances

    def deleted(*args: Any) -> Any:
        index.resources.delete_dicom_store(STORE)
        return whole(*args)

    monkeypatch.setattr(index.uploads, "store_instances", deleted)
    with pytest.raises(NotFound):
        stored(seams, Uploads(seams))
    assert blobs(seams) == set()


# The temporary directory ----------------------------------------------------------------------------------------------


class Part:
    def __init__(self, content_type: str, data: bytes, location: str = "") -> None:
        self.content_type, self.data = content_type, data
        self.headers = {"content-type": content_type, "content-location": location}

    def chunks(self) -> Iterator[bytes]:
        yield self.data


def parts() -> Iterator[Part]:
    """Two instances with bulk data."""
    texts = []
    for number in range(2):
        uids = {"00080016": "1.2.840.10008.5.1.4.1.1.7", "00080018": f"1.2.1.1.{number}", "0020000D": "1.2.1"}
        uids |= {"0020000E": "1.2.1.1", "00020010": "1.2.840.10008.1.2.1"}
        members = [f'"{tag}":{{"vr":"UI","Value":["{uid}"]}}' for tag, uid in uids.items()]
        members.append('"00080005":{"vr":"CS","Value":["ISO_IR 192"]}')
        members.append(f'"7FE00010":{{"vr":"OW","BulkDataURI":"bulk/{number}"}}')
        texts.append("{" + ",".join(members) + "}")
    yield Part("application/dicom+json", f"[{','.join(texts)}]".encode())
    for number in range(2):
        yield Part("application/octet-stream", bytes(100), f"bulk/{number}")


class Full(io.BytesIO):
    """A file on a disk without room."""

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device: /tmp/xyz")


def full(**_: Any) -> io.BytesIO:
    return Full()


def missing(**_: Any) -> io.BytesIO:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp/xyz']")


@pytest.mark.parametrize("file, error", [(full, ResourceExhausted), (missing, Unavailable)])
def test_a_temporary_directory_without_room(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, file: Any, error: type[Exception]
) -> None:
    """Each instance with bulk data is refused in words that say what to do; nothing breaks off."""
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", file)
        problems = [item.problem for item in read_json_parts(parts())]
        assert [type(problem) for problem in problems] == [error, error]
        for problem in problems:
            assert problem is not None and "temporary directory" in problem.message and "TMPDIR" in problem.message
            assert "xyz" not in problem.message
        with pytest.raises(error, match="temporary directory"):
            store(seams, Uploads(seams), STORE, read_json_parts(parts()))
    assert blobs(seams) == set()
    found = store(seams, Uploads(seams), STORE, read_json_parts(parts()))
    assert (len(found.instances), found.refused) == (2, [])
