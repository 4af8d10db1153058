"""``gantry storage`` on the directory of a server that has stopped, or that writes files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.cli import run as run_here
from gantry.client import storage
from tests.cli.harness import run
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts

MANY = 600


def write_files(home: Path, number: int) -> dict[str, bytes]:
    """A directory of data in which each instance has a file of its own; what it holds."""
    server = GantryServer(home / "data", home / "buckets", env={"GANTRY_LAYOUT": "files"})
    try:
        gantry = Gantry(server)
        for each in range(number):
            gantry.put(gantry.bucket, f"{each}.dcm", make_instance("1.2", "1.3", f"1.4.{each + 1}"))
        assert counts(gantry.import_("**")) == (number, 0)
        held = gantry.stored()
    finally:
        server.stop()
    assert kinds(home) == {".dcm": number}
    assert len(held) == number
    return held


def kinds(home: Path) -> dict[str, int]:
    """How many instances lie in files of their own, and in segments."""
    suffixes = [blob.path.suffix for blob in find_blobs(home / "data" / "blobs").values()]
    return {suffix: suffixes.count(suffix) for suffix in set(suffixes)}


@pytest.mark.slow
def test_compaction_leaves_small_files_where_the_layout_is_files(tmp_path: Path) -> None:
    """Copying each file to another file would free nothing."""
    write_files(tmp_path, 3)
    before = set(find_blobs(tmp_path / "data" / "blobs"))
    done = run("storage", "compact", "--data", str(tmp_path / "data"), env={"GANTRY_LAYOUT": "files"})
    assert done.returncode == 0, done.stderr
    assert "layout = files" in done.stderr
    assert set(find_blobs(tmp_path / "data" / "blobs")) == before


@pytest.mark.slow
def test_compaction_deletes_the_files_of_each_batch_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk need not hold the whole store twice."""
    held = write_files(tmp_path, MANY)
    left = []
    monkeypatch.setattr(storage, "note", lambda _: left.append(kinds(tmp_path).get(".dcm", 0)))
    assert run_here(["storage", "compact", "--data", str(tmp_path / "data")]) == 0
    assert 0 < left[0] < MANY
    assert left[-1] == 0
    assert sorted(each.read() for each in find_blobs(tmp_path / "data" / "blobs").values()) == sorted(held.values())
