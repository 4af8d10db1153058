"""A source that is written to while it is read is never stored half old and half new, whatever its times say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.errors import Aborted
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from tests.seams.blob_store_suite import read
from tests.seams.blob_writer_suite import PREFIX, instance, uids

SIZES = (3000, 700_000, 9 << 20)


@pytest.fixture
def source(tmp_path: Path) -> LocalBlobStore:
    (tmp_path / "source").mkdir()
    return LocalBlobStore(str(tmp_path / "source"))


@pytest.fixture
def path(source: LocalBlobStore) -> Path:
    """Written a while ago: the clock of files has steps of some milliseconds."""
    return Path(os.fsdecode(source.root)) / "a"


def rewrite(path: Path) -> None:
    """In place, and with its times set back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        file.write(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("b")
    other.write_bytes(b"other")
    other.replace(path)


def link(path: Path) -> None:
    os.link(path, path.with_name("b"))


def copy_into_bucket(source: LocalBlobStore, tmp_path: Path, act: Callable[[Path], None], path: Path) -> bytes:
    (tmp_path / "target").mkdir()
    target = LocalBlobStore(str(tmp_path / "target"))
    with source.open("a") as opened:
        act(path)
        target.copy_from(opened, "b")
    return read(target, "b")


def copy_into_blobs(source: LocalBlobStore, tmp_path: Path, act: Callable[[Path], None], path: Path) -> bytes:
    (tmp_path / "blobs").mkdir()
    blobs = LocalBlobs(str(tmp_path / "blobs"))
    writer = blobs.writer(PREFIX)
    with source.open("a") as opened:
        act(path)
        key = writer.copy_from(opened, uids(1))
    writer.flush()
    writer.close()
    return read(blobs, key)


def read_chunks(source: LocalBlobStore, tmp_path: Path, act: Callable[[Path], None], path: Path) -> bytes:
    with source.open("a") as opened:
        act(path)
        return b"".join(opened.chunks())


READERS = pytest.mark.parametrize("reader", [copy_into_bucket, copy_into_blobs, read_chunks])


def prepare(path: Path, size: int) -> None:
    path.write_bytes(instance(size))
    time.sleep(0.05)  # a change in the same step of the file system's clock cannot be seen


@READERS
@pytest.mark.parametrize("size", SIZES)
def test_one_that_is_rewritten_with_its_times_set_back_is_refused(
    source: LocalBlobStore, tmp_path: Path, path: Path, size: int, reader: Callable[..., bytes]
) -> None:
    prepare(path, size)
    with pytest.raises(Aborted, match="changed by another program"):
        reader(source, tmp_path, rewrite, path)


@READERS
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("act", [remove, replace, link])
def test_one_that_loses_its_name_or_gets_another_is_read_as_it_was(
    source: LocalBlobStore,
    tmp_path: Path,
    path: Path,
    size: int,
    act: Callable[[Path], None],
    reader: Callable[..., bytes],
) -> None:
    prepare(path, size)
    assert reader(source, tmp_path, act, path) == instance(size)
