"""A power cut at any durable step: nothing is lost that was answered, nothing comes back that was deleted, and the next
start works and leaves nothing behind. What the disks hold after a cut says ``power/disk.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.power.cuts import Result, cut
from tests.faults.power.recording import Recording
from tests.faults.power.scenes import fill_buckets, run_all, run_requests

MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """In memory, where there is such a file system: a sync costs nothing there."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path, prefix="power-") as made:
        yield Path(made)


def require_all_kept(found: Result, disks: int) -> None:
    """``disks``: how many different ones there were at least."""
    assert found.wrong == [], "\n".join(found.wrong[:20])
    assert len(found.disks) >= disks
    assert all(path.endswith("index.sqlite-shm") for path in found.mapped), "written through memory: not recorded"


def test_cuts_while_everything_is_done(directory: Path) -> None:
    """From the first start to the last answer, at every 12th durable step; the slow tests cut at each."""
    recording = Recording(directory)
    fill_buckets(recording, 12)
    with recording.run() as client:
        run_all(client)
    require_all_kept(cut(recording, every=12), 30)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_cut_at_any_step_of_requests(directory: Path, layout: str) -> None:
    recording = Recording(directory, layout)
    with recording.run() as client:
        run_requests(client, times=6)
    require_all_kept(cut(recording), 300)
