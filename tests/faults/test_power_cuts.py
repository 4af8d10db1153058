"""A power cut at any durable step: nothing is lost that was answered, nothing comes back that was deleted, and the next
start works and leaves nothing behind. What the disks hold after a cut says ``power/disk.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.older import put_back
from tests.faults.power.cuts import Result, cut
from tests.faults.power.recording import Recording, kill
from tests.faults.power.scenes import (
    fill_buckets,
    fill_segment,
    make,
    run_all,
    run_operations,
    run_requests,
    store_each,
)
from tests.support.web import multipart

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


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_cut_at_any_step_of_operations(directory: Path, layout: str) -> None:
    recording = Recording(directory, layout)
    fill_buckets(recording, 60)
    with recording.run() as client:
        run_operations(client, 60)
    require_all_kept(cut(recording), 200)


@pytest.mark.slow
def test_a_cut_at_any_step_of_a_start_after_a_kill(directory: Path) -> None:
    """Sweeps, and what is left of a segment is moved to another one."""
    recording = Recording(directory)
    with recording.run() as client:
        for _ in range(3):
            store = fill_segment(client)
            other = client.create_store("other")
            store_each(client, other, "1.2.3", range(3))
            kill(client)
            client.delete_store(store)
            client.delete_store(other)
    require_all_kept(cut(recording), 100)


def fill_older(recording: Recording) -> dict[str, dict[str, bytes]]:
    """A store with instances, as an older Gantry has left it: nothing said yet which index the blobs belong to."""
    instances = dict(make("1.6", number % 2, number) for number in range(12))
    server = recording.start()
    store = server.create_store("d", "older")
    content_type, body = multipart(instances.values())
    headers = {"content-type": content_type, "accept": "application/dicom+json"}
    assert server.request("POST", f"v1/{store}/dicomWeb/studies", content=body, headers=headers).status_code == 200
    server.stop()
    data = recording.home / "data"
    put_back(data)
    for path in (*recording.home.rglob("*.generation"), *recording.home.rglob("*.stores")):
        path.unlink()
    return {store: instances}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_cut_at_any_step_of_an_upgrade(directory: Path, layout: str) -> None:
    recording = Recording(directory, layout)
    held = fill_older(recording)
    with recording.run(held) as client:
        for store, instances in held.items():
            store_each(client, store, "1.7", range(6))
            client.delete(store, "1.6/1.6.0")
    require_all_kept(cut(recording, variants=3), 100)
