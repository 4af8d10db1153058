"""Segments and files in a directory: the suites, and what only a file system can do to us."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.seams import Blobs
from gantry.storage import holes, range_locks
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.places import PlacedBlobStore
from tests.seams.blob_writer_suite import BlobWriterSuite


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "blobs"
    path.mkdir()
    return path


@pytest.fixture
def blobs(root: Path) -> Blobs:
    return LocalBlobs(str(root))


class TestSegments(BlobWriterSuite):
    pass


class TestFiles(BlobWriterSuite):
    @pytest.fixture
    def blobs(self, root: Path) -> Blobs:
        return LocalBlobs(str(root), shared=False)


class TestOnePlaceOfSeveral(BlobWriterSuite):
    @pytest.fixture
    def blobs(self, root: Path, tmp_path: Path) -> Blobs:
        (tmp_path / "other").mkdir()
        return PlacedBlobStore({"main": LocalBlobs(str(root)), "ARCHIVE": LocalBlobs(str(tmp_path / "other"))})


class TestSegmentsThatAreSoonFull(BlobWriterSuite):
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gantry.storage.segments.SEGMENT_BYTES", 16_384)


class TestWithoutHoles(BlobWriterSuite):
    """vfat, and network file systems."""

    @pytest.fixture(autouse=True)
    def no_holes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(holes, "fallocate", lambda *_: errno.EOPNOTSUPP)


class TestWithoutLocks(BlobWriterSuite):
    """macOS."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(range_locks, "_SET", None)


MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no file system in memory")
class TestInMemory(BlobWriterSuite):
    @pytest.fixture
    def root(self) -> Iterator[Path]:
        path = Path(tempfile.mkdtemp(dir=MEMORY))
        yield path
        shutil.rmtree(path)
