"""kill -9 while everything runs at once: uploads, imports, deletions, changes of class, compaction.

Whatever was answered holds afterwards, nothing is there twice, and every byte on the disk belongs to a row.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gantry.storage.contents import read_tables
from gantry.storage.extents import SUFFIX, align
from gantry.storage.local_blobs import LocalBlobs
from tests.support.blobs import find_blobs, used_bytes
from tests.support.checked import check_clean
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web, value, values

pytestmark = pytest.mark.slow

SIZES = (300, 3000, 4000, 20_000, 60_000, 2_200_000)
"""Of pixel data: several in a block, about a block, several blocks, and one with a file of its own."""


class Clients:
    """What clients did, were answered, and do not know."""

    def __init__(self, server: GantryServer, seed: int) -> None:
        self.server, self.chance = server, random.Random(seed)
        self.web = Web(Gantry(server))
        self.lock = threading.Lock()
        self.stored: dict[str, bytes] = {}  # answered
        self.imported: dict[str, bytes] = {}  # by operations that were answered and may still be running
        self.unsure: set[str] = set()  # sent, no answer
        self.deleted: set[str] = set()  # answered
        self.number = 0

    def new_instances(self, count: int) -> dict[str, bytes]:
        with self.lock:
            numbers = range(self.number, self.number + count)
            self.number += count
            sizes = self.chance.choices(SIZES, (30, 30, 20, 20, 20, 1), k=count)
        paths = [(f"1.{number % 7}", f"1.{number % 7}.{number % 3}", f"9.{number}") for number in numbers]
        data = [make_instance(*uids, pixel_bytes=size) for uids, size in zip(paths, sizes, strict=True)]
        return dict(zip(map("/".join, paths), data, strict=True))

    def upload(self) -> None:
        new = self.new_instances(self.chance.choice((1, 1, 1, 5, 30)))
        with self.lock:
            self.unsure |= set(new)
        response = self.web.store(*new.values())
        assert response.status_code == 200, response.text
        answered = {value(item, "00081155") for item in values(response.json(), "00081199")}
        assert answered == {path.rpartition("/")[2] for path in new}
        with self.lock:
            self.unsure -= set(new)
            self.stored |= new

    def delete(self) -> None:
        with self.lock:
            if not self.stored:
                return
            path = self.chance.choice(sorted(self.stored))
            del self.stored[path]
            self.unsure.add(path)
        study, series, instance = path.split("/")
        address = f"{self.web.root}/studies/{study}/series/{series}/instances/{instance}"
        assert self.web.gantry.request("DELETE", address).status_code == 200
        with self.lock:
            self.unsure.discard(path)
            self.deleted.add(path)

    def run_import(self) -> None:
        new = self.new_instances(40)
        prefix = f"in-{self.chance.getrandbits(40)}"
        with self.lock:
            self.unsure |= set(new)
        bucket = self.server.buckets / self.web.gantry.bucket
        (bucket / prefix).mkdir()
        for number, data in enumerate(new.values()):
            (bucket / prefix / f"{number}.dcm").write_bytes(data)
        self.server.import_(self.web.gantry.store, f"gs://{bucket.name}/{prefix}/**")
        with self.lock:  # an operation that was answered runs to its end, whatever happens
            self.unsure -= set(new)
            self.imported |= new

    def change_class(self) -> None:
        name = self.chance.choice(("STANDARD", "ARCHIVE"))
        study = f"1.{self.chance.randrange(7)}"
        address = f"{self.web.root}/studies/{study}:setBlobStorageSettings"
        self.web.gantry.request(
            "POST", address.replace("v1/", "v1beta1/", 1), json={"blobStorageSettings": {"blobStorageClass": name}}
        )

    def work(self, stop: threading.Event, seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            act: Callable[[], None] = chance.choices(
                (self.upload, self.delete, self.run_import, self.change_class), (30, 40, 3, 3)
            )[0]
            try:
                act()
            except httpx.HTTPError:
                return


def kill_and_start(server: GantryServer, clients: Clients, chance: random.Random) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(clients.work, stop, chance.getrandbits(30)) for _ in range(4)]
        time.sleep(chance.uniform(0.02, 1.0))
        server.process.kill()
        stop.set()
        for each in working:
            each.result()
    server.process.wait()
    server.start()


def check_some(clients: Clients, chance: random.Random) -> None:
    for path in chance.sample(sorted(clients.deleted), min(5, len(clients.deleted))):
        assert get(clients, path).status_code == 404, path


def get(clients: Clients, path: str) -> httpx.Response:
    study, series, instance = path.split("/")
    accept = "application/dicom; transfer-syntax=*"
    return clients.web.get(f"studies/{study}/series/{series}/instances/{instance}", accept)


def check_all(server: GantryServer, clients: Clients, cheap: Path) -> None:
    server.wait_until(lambda: not rows(server, "SELECT 1 FROM operation WHERE end_time IS NULL"))
    server.wait_until(lambda: not rows(server, "SELECT 1 FROM garbage"))
    clients.stored |= clients.imported
    for path, data in clients.stored.items():
        answer = get(clients, path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.content == data
    for path in clients.deleted:
        assert get(clients, path).status_code == 404
    server.stop()
    assert not rows(server, "SELECT * FROM upload")
    there = {f"9.{path.rpartition('.')[2]}" for path in (*clients.stored, *clients.unsure)}
    uids = [uid for (uid,) in rows(server, "SELECT sop_instance_uid FROM instance")]
    assert len(uids) == len(set(uids)), "nothing is there twice"
    assert set(uids) <= there
    check_clean(server.data)
    check_disk(server, (server.data / "blobs", cheap))


def check_disk(server: GantryServer, roots: tuple[Path, ...]) -> None:
    """Every byte on the disk belongs to a row, or is a table of contents."""
    text = "SELECT coalesce(g.key || '@' || i.segment_offset || '+' || i.size, i.blob_key), i.size FROM instance i "
    named = dict(rows(server, f"{text} LEFT JOIN segment g ON g.id = i.segment_id"))
    found = {key: blob for root in roots for key, blob in find_blobs(root).items()}
    assert set(found) == set(named)
    tables = marks = 0
    for root in roots:
        marks += sum(align(path.stat().st_size) for path in root.glob("*.gantry"))
        for path in root.rglob(f"*{SUFFIX}"):
            with LocalBlobs(str(root)).open(str(path.relative_to(root))) as opened:
                tables += sum(align(table.end - table.offset) for table in read_tables(opened))
    assert sum(map(used_bytes, roots)) == sum(align(int(size)) for size in named.values()) + tables + marks  # type: ignore[call-overload]


def rows(server: GantryServer, text: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(server.data / "index.sqlite", timeout=60)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def kill_often(tmp_path: Path, kills: int, seed: int) -> None:
    cheap = tmp_path / "cheap"
    cheap.mkdir()
    config = tmp_path / "gantry.toml"
    config.write_text(f'storage_classes = {{ ARCHIVE = "{cheap}" }}\n')
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_CONFIG": str(config)})
    try:
        clients, chance = Clients(server, seed), random.Random(seed)
        for _ in range(kills):
            kill_and_start(server, clients, chance)
            check_some(clients, chance)
        assert len(clients.stored) > kills
        assert clients.deleted
        check_all(server, clients, cheap)
    finally:
        server.process.kill()


@pytest.mark.timeout(240)
def test_four_kills_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, 4, seed=1)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(2, 6))
def test_fifty_kills_lose_nothing_and_leave_nothing(tmp_path: Path, seed: int) -> None:
    kill_often(tmp_path, 50, seed)
