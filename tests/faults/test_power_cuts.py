"""A power cut at any durable step: nothing is lost that was answered, nothing comes back that was deleted, and the next
start works and leaves nothing behind. What the disks hold after a cut says ``power/disk.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest

from tests.faults.older import put_back
from tests.faults.power.cuts import SHARED, Result, count_cuts, cut, find_unrecorded, go_on
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
    assert all(path.endswith(SHARED) for path in found.mapped), "written through memory: not recorded"


@pytest.mark.slow
def test_cuts_while_everything_is_done(directory: Path) -> None:
    """From the first start to the last answer, at every 30th durable step; the slow tests cut at each."""
    recording = Recording(directory)
    fill_buckets(recording, 12)
    with recording.run() as client:
        run_all(client)
    assert find_unrecorded(recording) == set()
    require_all_kept(cut(recording, every=30), 12)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_cut_at_any_step_of_requests(directory: Path, layout: str) -> None:
    recording = Recording(directory, layout)
    with recording.run() as client:
        run_requests(client, times=6)
    require_all_kept(cut(recording), 400)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["segments", "files"])
def test_a_cut_at_any_step_of_operations(directory: Path, layout: str) -> None:
    recording = Recording(directory, layout)
    fill_buckets(recording, 60)
    with recording.run() as client:
        run_operations(client, 60)
    require_all_kept(cut(recording), 150)


def list_segments(data: Path) -> set[int]:
    """The numbers of those in which there are bytes of instances."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        return {number for (number,) in index.execute("SELECT segment_id FROM instance")}


@pytest.mark.slow
def test_a_cut_at_any_step_of_a_start_that_moves_what_is_left_of_segments(directory: Path) -> None:
    recording = Recording(directory)
    data = recording.home / "data"
    with recording.run() as client:
        fill_segment(client, 20)
        before = list_segments(data)
        client.server.restart()
        client.server.wait_until(lambda: not before & list_segments(data))
        client.server.wait_until(partial(is_all_done, data))
    require_all_kept(cut(recording), 60)


@pytest.mark.slow
def test_a_cut_at_any_step_of_a_start_after_a_kill(directory: Path) -> None:
    """Sweeps of what uploads and deletions have left."""
    recording = Recording(directory)
    with recording.run() as client:
        for _ in range(2):
            store = fill_segment(client, 10)
            other = client.create_store("other")
            store_each(client, other, "1.2.3", range(3))
            kill(client)
            client.delete_store(store)
            client.delete_store(other)
    require_all_kept(cut(recording), 80)


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
def test_a_cut_at_any_step_of_an_upgrade(directory: Path) -> None:
    """From a schema that knew no segments."""
    recording = Recording(directory, "files")
    held = fill_older(recording)
    with recording.run(held) as client:
        for store in held:
            store_each(client, store, "1.7", range(6))
            client.delete(store, "1.6/1.6.0")
    require_all_kept(cut(recording, variants=3), 80)


def is_all_done(data: Path) -> bool:
    """No operation, lot, garbage or deleted store is left."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        counts = ("operation WHERE end_time IS NULL", "upload", "garbage", "dicom_store WHERE deleted")
        return not any(index.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in counts)


@pytest.mark.slow
def test_a_second_cut_while_a_start_does_what_the_first_has_left(directory: Path) -> None:
    """At some moments of requests and operations, and then at each step of the start that follows."""
    (directory / "first").mkdir()
    first = Recording(directory / "first")
    fill_buckets(first, 24)
    with first.run() as client:
        run_operations(client, 24)
        run_requests(client, 1)
    count, disks = count_cuts(first), 0
    for number in range(count // 6, count, count // 5):
        second = go_on(first, number, Path(mkdtemp(dir=directory)))
        with second.run() as client:
            client.server.wait_until(partial(is_all_done, second.home / "data"))
        found = cut(second)
        require_all_kept(found, 3)
        disks += len(found.disks)
    assert disks >= 40
