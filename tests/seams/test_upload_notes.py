"""Notes of uploads: spoilt by a fault of the disk, and gone while they are listed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gantry.storage.remote.notes import UploadNotes


@pytest.mark.parametrize("data", [b"", b"[", b"5", b'["a"]', b"\xff", b'["a", "b", "c"]'])
def test_a_note_that_is_spoilt_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    notes = UploadNotes(tmp_path / "uploads" / "1")
    notes.add("key", "upload")
    for name in ("0", "z"):
        (notes.directory / name).write_bytes(data)
    with caplog.at_level(logging.ERROR):
        assert list(notes.list()) == [("key", "upload")]
    assert caplog.text.count("cannot be read and is removed") == 2
    notes.remove("key", "upload")
    notes.clear()
    assert not notes.directory.exists()


def test_a_note_that_goes_while_it_is_listed_hides_no_other(tmp_path: Path) -> None:
    notes = UploadNotes(tmp_path / "uploads" / "1")
    uploads = [("key", str(number)) for number in range(4)]
    for each in uploads:
        notes.add(*each)
    listed = notes.list()
    found = [next(listed)]
    _, gone, *_ = sorted(notes.directory.iterdir())
    gone.unlink()
    found += listed
    assert len(set(found)) == len(found) == len(uploads) - 1
    assert set(found) < set(uploads)
