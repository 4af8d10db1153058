"""kill -9 while instances are stored over DICOMweb: what was answered is there, what was not leaves nothing behind."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gantry.storage.contents import MAGIC
from gantry.storage.extents import ALIGNMENT, align, object_of
from gantry.storage.local_blobs import LocalBlobs
from tests.faults.kill import check_disk
from tests.faults.scene import files
from tests.support.blobs import BlobOnDisk, find_blobs, used_bytes
from tests.support.checked import check_clean
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import AS_STORED, Web, multipart, parts_of, value, values

PER_REQUEST = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    made = GantryServer(tmp_path / "data", tmp_path / "buckets")
    yield made
    made.stop()
    check_clean(made.data)


def blobs(server: GantryServer) -> dict[str, BlobOnDisk]:
    return find_blobs(server.data / "blobs")


def kill(server: GantryServer) -> None:
    server.process.kill()
    server.process.wait()
    server.start()


def rows(server: GantryServer, text: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(server.data / "index.sqlite") as index:
        return index.execute(text).fetchall()


def settled(server: GantryServer) -> None:
    """Wait until no lot of an earlier process is left."""
    for _ in range(200):
        if not rows(server, "SELECT * FROM upload"):
            return
        time.sleep(0.05)
    raise AssertionError(rows(server, "SELECT * FROM upload"))


@pytest.mark.parametrize("requests", [1, 2, 5, 12])
def test_a_kill_at_any_time(server: GantryServer, requests: int) -> None:
    """While two clients store, once so many of their requests have been answered."""
    web = Web(Gantry(server))
    answered: list[str] = []

    def store(worker: int) -> None:
        """Until the server is gone; any other answer than that all are stored is an error of this test."""
        for number in range(1000):
            uids = [(f"1.{worker}", f"1.{worker}.1", f"1.{worker}.1.{number}.{n}") for n in range(PER_REQUEST)]
            data = [make_instance(*each) for each in uids]
            try:
                response = web.store(*data)
            except httpx.HTTPError:
                return
            assert response.status_code == 200, response.text
            stored = [value(item, "00081155") for item in values(response.json(), "00081199")]
            assert sorted(stored) == sorted(sop for _, _, sop in uids)
            answered.extend(stored)
        raise AssertionError("the server was not killed")

    with ThreadPoolExecutor(2) as clients:
        storing = [clients.submit(store, worker) for worker in (1, 2)]
        try:
            server.wait_until(lambda: len(answered) >= requests * PER_REQUEST or any(each.done() for each in storing))
        finally:
            server.process.kill()
        for each in storing:
            each.result()
    assert len(answered) >= requests * PER_REQUEST
    server.process.wait()
    server.start()
    settled(server)
    found = {value(item, "00080018") for item in web.search("instances", limit=50000)}
    assert found >= set(answered), "what was answered is there"
    assert len(found) % PER_REQUEST == 0, "a request that fits one batch is there as a whole or not at all"
    check_disk(server)
    assert len(blobs(server)) == len(found)
    for study in {uid.split(".")[1] for uid in found}:
        parts = parts_of(web.get(f"studies/1.{study}", AS_STORED))
        assert {part.data for part in parts} == {
            make_instance(f"1.{study}", f"1.{study}.1", uid) for uid in found if uid.split(".")[1] == study
        }


def test_what_a_killed_process_has_written_is_removed_and_what_it_committed_is_not(server: GantryServer) -> None:
    web = Web(Gantry(server))
    data = make_instance("1.1", "1.1.1", "1.1.1.1")
    web.stored(data)
    ((key, blob),) = blobs(server).items()
    lot = blob.path.parent
    assert str(lot.relative_to(server.data / "blobs")) == "main/1/stow/1"
    leave_in_segment(blob.path)
    leave_in_other_files(server, lot.relative_to(server.data / "blobs"))
    assert len(blobs(server)) == 1 + 2 + 3 + 3
    kill(server)
    settled(server)
    server.wait_until(lambda: files(server.data / "blobs") == {object_of(key)})
    assert blobs(server).keys() == {key} and blob.read() == data
    tables = [at for at in range(0, blob.path.stat().st_size, ALIGNMENT) if is_table(blob.path, at)]
    assert used_bytes(lot) <= ALIGNMENT * (2 + 2 * len(tables)), "what was freed takes no room"
    assert len(web.search("instances")) == 1


UNKNOWN = ("1.1", "1.1.1", "1.1.1.2")


def leave_in_segment(path: Path) -> None:
    """What a process writes to a segment and is killed: an instance that no table lists, half of another, garbage."""
    with path.open("r+b") as file:
        for data in (make_instance(*UNKNOWN), make_instance(*UNKNOWN)[:-100], b"half" * 2000):
            file.seek(align(file.seek(0, os.SEEK_END)))
            file.write(data)


def leave_in_other_files(server: GantryServer, lot: Path) -> None:
    """Segments and objects of their own without a row: whole, with a table or without, and broken off."""
    store = LocalBlobs(str(server.data / "blobs"))
    writer = store.writer(f"{lot}/")
    for number in range(3):
        writer.put([make_instance("1.1", "1.1.1", f"1.1.1.{number}")], ("1.1", "1.1.1", f"1.1.1.{number}"))
    writer.flush()
    for number in range(2):
        writer.put([make_instance("1.1", "1.1.1", f"1.1.1.{number}")])
    writer.flush()
    writer.close()
    (server.data / "blobs" / lot / "0077-0123456789abcdef.dcm").write_bytes(b"half")
    (server.data / "blobs" / lot / "0077-0123456789abcdef.seg").write_bytes(b"half")


def is_table(path: Path, offset: int) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(MAGIC)) == MAGIC


def test_a_clean_end_leaves_no_lot(server: GantryServer) -> None:
    web = Web(Gantry(server))
    web.stored(make_instance("1.1", "1.1.1", "1.1.1.1"))
    assert len(rows(server, "SELECT * FROM upload")) == 1
    server.stop()
    assert rows(server, "SELECT * FROM upload") == []
    server.start()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed by Linux alone")
def test_a_deleted_store_leaves_no_open_file(server: GantryServer) -> None:
    """The disk keeps the bytes of a file without a name as long as it is open."""
    gantry = Gantry(server)
    Web(gantry).stored(make_instance("1.1", "1.1.1", "1.1.1.1"))
    gantry.call("DELETE", f"v1/{gantry.store}")

    def open_blobs() -> list[str]:
        found = []
        for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(each))
        return [path for path in found if "/stow/" in path]

    server.wait_until(lambda: files(server.data / "blobs") == set())
    server.wait_until(lambda: open_blobs() == [])  # the sweep itself has a directory open for a moment
    assert rows(server, "SELECT * FROM upload") == []


def test_two_requests_for_the_same_instance(server: GantryServer) -> None:
    """One wins, the other is told; never both, never none."""
    web = Web(Gantry(server))
    content_type, body = multipart([make_instance("1.1", "1.1.1", f"1.1.1.{n}") for n in range(50)])

    def store(_number: int) -> httpx.Response:
        headers = {"content-type": content_type, "accept": "application/dicom+json"}
        return web.gantry.request("POST", f"{web.root}/studies", content=body, headers=headers)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(store, range(4)))
    assert all(answer.status_code in (200, 409) for answer in answers), [answer.text for answer in answers]
    stored = [value(item, "00081155") for answer in answers for item in values(answer.json(), "00081199")]
    failed = [value(item, "00081155") for answer in answers for item in values(answer.json(), "00081198")]
    assert sorted(stored) == sorted(f"1.1.1.{n}" for n in range(50))
    assert len(failed) == 150
    assert len(blobs(server)) == 50
