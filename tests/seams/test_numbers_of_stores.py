"""The numbers of stores are read from the directories of places alone: what else lies on a disk is none of ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gantry.errors import Unavailable
from gantry.seams import Blobs
from gantry.storage import local_listing
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.places import PlacedBlobStore


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of an ext4 disk, on which others keep things, too; the server's user may not read all of them."""
    for path in ("NEARLINE/3", "NEARLINE/12", "NEARLINE/x", "main/4", "lost+found/5", "photos/2024", "COLDLINE2/6"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "NEARLINE" / "7").touch()
    real = local_listing.open_directory

    def open_directory(root: bytes | int, name: bytes) -> int:
        if b"lost+found" in name or b"photos" in name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(root, name)

    monkeypatch.setattr(local_listing, "open_directory", open_directory)
    return tmp_path


def test_of_one_directory(root: Path) -> None:
    assert LocalBlobs(str(root)).list_store_ids() == [3, 4, 12]


def test_of_places(root: Path, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "main" / "8").mkdir(parents=True)
    (tmp_path / "blobs" / "NEARLINE" / "9").mkdir(parents=True)
    places: dict[str, Blobs] = {"main": LocalBlobs(str(tmp_path / "blobs")), "NEARLINE": LocalBlobs(str(root))}
    assert PlacedBlobStore(places).list_store_ids() == [3, 8, 12]


def test_a_place_that_cannot_be_read_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(local_listing, "open_directory", refuse)
    with pytest.raises(Unavailable):
        LocalBlobs(str(root)).list_store_ids()
