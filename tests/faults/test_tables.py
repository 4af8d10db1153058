"""Exports to tables: killed, out of room, cancelled. A table has each instance once, or is as it was."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from tests.faults.failing import Faults
from tests.faults.kill import kill_during
from tests.faults.mounts import mounted, remount
from tests.faults.scene import Scene
from tests.faults.test_waits import cancelled, serving, until_it_waits
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

URI = "bq://p.d.t"
Rows = list[tuple[str, ...]]


def rows(root: Path, table: str = "t") -> Rows:
    source = f"read_parquet('{root}/{table}/*.parquet')"
    query = f"SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID FROM {source}"
    return sorted(duckdb.connect().execute(query).fetchall())


def view(root: Path) -> int:
    with duckdb.connect(root / "d.duckdb", read_only=True) as connection:
        (found,) = connection.execute("SELECT count(*) FROM t").fetchone() or (0,)
    return int(found)


def expected(scene: Scene) -> Rows:
    return sorted(tuple(path.split("/")) for path in scene.stored)


def start(server: GantryServer, store: str, disposition: str, **more: Any) -> str:
    body = {"bigqueryDestination": {"tableUri": URI, "writeDisposition": disposition, **more}}
    name: str = server.call("POST", f"v1/{store}:export", json=body)["name"]
    return name


def require_nothing_left(server: GantryServer, root: Path) -> None:
    """One version at most beside the one that readers see, and nothing of exports."""
    server.wait_until(lambda: not [name for name in os.listdir(root / ".gantry" / "t") if "op-" in name])


@contextmanager
def filled(tmp_path: Path, count: int, **env: str) -> Iterator[tuple[GantryServer, str, Scene, Path]]:
    root = tmp_path / "tables"
    with serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}", **env) as server:
        scene = Scene(server.buckets / "source", count, pixel_bytes=100)
        store = server.create_store("d", "s")
        server.wait(server.import_(store, "gs://source/**"))
        yield server, store, scene, root


class Watcher:
    """Counts the rows of a table again and again, by a file of views: never any but those that it may have."""

    def __init__(self, root: Path, allowed: set[int]) -> None:
        self._root, self._allowed = root, allowed
        self._stopping = threading.Event()
        self.wrong: list[object] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(0.02):
            try:
                found = view(self._root)
            except duckdb.Error as error:
                self.wrong.append(error)
                continue
            self.looks += 1
            if found not in self._allowed:
                self.wrong.append(found)


@pytest.mark.parametrize(("disposition", "factor"), [("WRITE_TRUNCATE", 1), ("WRITE_APPEND", 2)])
def test_kills_at_random_moments(tmp_path: Path, disposition: str, factor: int) -> None:
    with filled(tmp_path, 3000) as (server, store, scene, root):
        server.wait(start(server, store, "WRITE_EMPTY"))
        once = expected(scene)
        with Watcher(root, {len(once), len(once) * factor}) as watcher:
            name = start(server, store, disposition, includeSourceStore=True)
            assert kill_during(server, name, 6, random.Random(factor)) >= 1
            assert counts(server.wait(name)) == (len(once), 0)
        assert watcher.wrong == [] and watcher.looks
        assert rows(root) == sorted(once * factor)
        assert view(root) == len(once) * factor
        require_nothing_left(server, root)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", ["rename", "fsync", "link", "unlink"])
@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND"])
def test_kills_at_each_step(tmp_path: Path, call: str, disposition: str) -> None:
    """A process is killed before its first such call, then another before its second, and so on: the server or a
    worker, whichever makes it. Then the server is killed as well."""
    with Faults(tmp_path) as faults, filled(tmp_path, 60, **faults.env) as (server, store, scene, root):
        server.wait(start(server, store, "WRITE_EMPTY"))
        once, times = expected(scene), 1
        for after in range(100):
            with faults.failing(call, path="/tables/", after=after, times=1, mode="kill") as rule:
                name = start(server, store, disposition)
                server.wait_until(lambda rule=rule, name=name: rule.failed > 0 or is_done(server, name))
            after_it = times + 1 if disposition == "WRITE_APPEND" else 1
            assert len(rows(root)) in (len(once) * times, len(once) * after_it)
            if not rule.failed:
                break
            server.kill9()
            server.start()
            assert counts(server.wait(name)) == (len(once), 0)
            times = after_it
            assert rows(root) == sorted(once * times), after
            assert view(root) == len(once) * times
            require_nothing_left(server, root)
        assert after > (0 if call == "link" and disposition == "WRITE_APPEND" else -1)


def is_done(server: GantryServer, name: str) -> bool:
    with suppress(httpx.TransportError):
        return bool(server.operation(name).get("done"))
    return False


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "tables"
    with mounted(root, "size=90k"), filled(tmp_path, 1500) as (server, store, scene, _):
        name = start(server, store, "WRITE_EMPTY")
        said = until_it_waits(server, name, "ROOM")
        assert "the directory of the tables of p.d" in said["message"] and "disk is full" in said["message"]
        assert str(root) not in said["message"]
        remount(root, "size=100m")
        assert counts(server.wait(name)) == (len(scene.stored), 0)
        assert rows(root) == expected(scene)
        require_nothing_left(server, root)


@pytest.mark.parametrize("path", [".parquet", ".duckdb", "columns.json", ".json.new", "about.new"])
def test_room_that_ends_at_each_file(tmp_path: Path, path: str) -> None:
    with Faults(tmp_path) as faults, filled(tmp_path, 200, **faults.env) as (server, store, scene, root):
        with faults.failing("write", path=path, error=errno.ENOSPC) as rule:
            name = start(server, store, "WRITE_EMPTY")
            server.wait_until(lambda: rule.failed > 0 or is_done(server, name))
            if not rule.failed:
                pytest.skip(f"nothing was written to {path} by a call that can be made to fail")
            until_it_waits(server, name, "ROOM")
        assert counts(server.wait(name)) == (len(scene.stored), 0)
        assert rows(root) == expected(scene)
        assert view(root) == len(scene.stored)


def test_a_cancel_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, filled(tmp_path, 1500, **faults.env) as (server, store, scene, root):
        server.wait(start(server, store, "WRITE_EMPTY"))
        before = sorted(os.listdir(root / "t"))
        with faults.failing("fsync", path="/tables/", after=1, mode="hang") as rule:
            name = start(server, store, "WRITE_TRUNCATE")
            server.wait_until(lambda: rule.seen > 1)
            cancelled(server, name, 60)
        assert sorted(os.listdir(root / "t")) == before
        assert rows(root) == expected(scene)
        require_nothing_left(server, root)


def test_a_directory_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with Faults(tmp_path) as faults, filled(tmp_path, 300, **faults.env) as (server, store, scene, root):
        with faults.failing("fsync", path="/tables/", after=3, mode="hang") as rule:
            name = start(server, store, "WRITE_EMPTY")
            server.wait_until(lambda: rule.seen > 3)
            server.kill9()
        shutil.move(root, tmp_path / "elsewhere")
        server.start()  # makes an empty directory in its place, as below the mount point of a disk that is away
        said = until_it_waits(server, name, "DISK")
        assert "is not the one that the operation began with" in said["message"]
        shutil.rmtree(root)
        shutil.move(tmp_path / "elsewhere", root)
        assert counts(server.wait(name)) == (len(scene.stored), 0)
        assert rows(root) == expected(scene)
        require_nothing_left(server, root)
