"""A copy of the index, made a moment before the server was killed, and put back: it is an older one all the same."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from gantry.names import DicomStoreName
from gantry.operations.sweeper import sweep_garbage, sweep_stores
from gantry.seams import Seams
from gantry.studies.upload_sweeps import sweep_uploads
from tests.faults.bare import Bare, claim_and_run, create_store, made, upload
from tests.faults.killed_at_once import WORKS
from tests.faults.lost import put_index_back
from tests.support import prepared
from tests.support.databases import query

NEXT = DicomStoreName("p", "us-central1", "d", "next")


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """Two instances are stored, and three others lie in a bucket."""
    built = Bare(tmp_path, near=True)
    source = tmp_path / "buckets" / "source"
    with built.opened() as seams:
        upload(seams, made(1, 1), made(1, 2))
        source.mkdir()
        for number in range(3):
            (source / f"{number}.dcm").write_bytes(made(2, number))
    return built


def kill_after(bare: Bare, work: str) -> None:
    command = [sys.executable, "-m", "tests.faults.killed_at_once", str(bare.base), work]
    ended = prepared.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def sweep_all(bare: Bare, seams: Seams) -> None:
    """What a start does in the background, and a store that comes and goes."""
    stopping = threading.Event()
    sweep_uploads(seams, seams.index.uploads.list_uploads(), stopping)
    if query(bare.data, "SELECT 1 FROM operation WHERE end_time IS NULL"):
        claim_and_run(seams, "next")
    create_store(seams, NEXT)
    upload(seams, made(7, 1), name=NEXT)
    seams.index.resources.delete_dicom_store(NEXT)
    sweep_stores(seams, stopping, set())
    sweep_garbage(seams)


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
def test_nothing_that_was_answered_is_deleted(bare: Bare, work: str, caplog: pytest.LogCaptureFixture) -> None:
    kill_after(bare, work)
    before = bare.bytes_on_disk()
    put_index_back(bare.data, bare.base / "copy")
    for path in (bare.base / "buckets" / "source").glob("*.dcm"):
        path.unlink()
    for _ in range(2):  # the second start is over an index that goes on
        with bare.opened() as seams:
            sweep_all(bare, seams)
    after = bare.bytes_on_disk()
    assert {key for key, content in before.items() if after.get(key) != content} == set()
    assert caplog.text.count("the index is older than the blobs") == 1


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
def test_the_index_that_was_there_is_no_older_one(bare: Bare, work: str, caplog: pytest.LogCaptureFixture) -> None:
    kill_after(bare, work)
    with bare.opened() as seams:
        sweep_all(bare, seams)
    assert "the index is older" not in caplog.text
