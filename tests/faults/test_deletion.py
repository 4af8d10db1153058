"""Deletion and kill -9: what was told to be deleted goes, rows and bytes, and nothing else does."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kill import check_disk
from tests.faults.scene import blobs, exported
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

COUNT = 900
MANY = 3000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    """With a bucket of COUNT instances, a third of them in the second of two studies."""
    made = GantryServer(tmp_path / "data", tmp_path / "buckets")
    for bucket in ("source", "new", "out"):
        (made.buckets / bucket).mkdir()
    put(made, range(COUNT))
    (made.buckets / "new" / "a.dcm").write_bytes(make_instance("1.2.1", "1.2.1.1", "9.1", 500))
    try:
        yield made
        made.stop()
    finally:
        made.process.kill()


def put(server: GantryServer, numbers: range) -> None:
    for number in numbers:
        study = "1.2.2" if number % 3 == 0 else "1.2.1"
        data = make_instance(study, f"{study}.{number % 70}", f"9.{number}", 2000)
        (server.buckets / "source" / f"{number}.dcm").write_bytes(data)


def rows(server: GantryServer, table: str) -> int:
    connection = sqlite3.connect(server.data / "index.sqlite")
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def filled(server: GantryServer, count: int = COUNT) -> str:
    store = server.create_store("d", "s")
    assert counts(server.wait(server.import_(store, "gs://source/**"))) == (count, 0)
    return store


def test_a_store_whose_purge_is_killed_goes_and_its_namesake_stays(server: GantryServer) -> None:
    put(server, range(COUNT, MANY))
    store = filled(server, MANY)
    server.call("DELETE", f"v1/{store}")
    server.kill9()
    assert len(blobs(server.data)) > MANY // 2, "the purge was over before the kill"
    server.start()
    assert server.create_store("d", "s") == store
    importing = server.import_(store, "gs://new/**")
    for pause in (0.02, 0.1, 0):
        time.sleep(pause)
        server.kill9()
        server.start()
    assert counts(server.wait(importing)) == (1, 0)
    server.wait_until(lambda: len(blobs(server.data)) == 1 and rows(server, "dicom_store") == 1)
    server.wait_until(lambda: rows(server, "garbage") == 0)
    assert [rows(server, table) for table in ("study", "series", "instance", "garbage")] == [1, 1, 1, 0]
    assert counts(server.wait(server.export(store, "gs://out"))) == (1, 0)
    (name,) = exported(server.buckets / "out")
    assert name == "1.2.1/1.2.1.1/9.1"
    check_disk(server)


def test_a_study_that_is_deleted_before_a_kill_stays_deleted(server: GantryServer) -> None:
    store = filled(server)
    deleted = server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.1")
    server.kill9()
    server.start()
    assert server.operation(deleted["name"]) == deleted
    server.wait_until(lambda: len(blobs(server.data)) == COUNT // 3 and rows(server, "garbage") == 0)
    assert counts(server.wait(server.export(store, "gs://out"))) == (COUNT // 3, 0)
    assert {name.split("/")[0] for name in exported(server.buckets / "out")} == {"1.2.2"}
    check_disk(server)


def test_a_study_that_is_deleted_while_it_is_imported_holds_what_came_after(server: GantryServer) -> None:
    store = server.create_store("d", "s")
    operation = server.import_(store, "gs://source/**")
    server.wait_until(lambda: counts(server.operation(operation))[0] > 0)
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.1")
    server.wait_until(lambda: rows(server, "garbage") == 0)
    assert counts(server.wait(operation)) == (COUNT, 0)
    assert counts(server.wait(server.export(store, "gs://out"))) == (rows(server, "instance"), 0)
    server.wait_until(lambda: len(blobs(server.data)) == rows(server, "instance"))
    metrics = server.call("GET", f"v1/{store}:getDICOMStoreMetrics")
    assert int(metrics["instanceCount"]) == rows(server, "instance") < COUNT


def test_bytes_of_single_instances_go_from_the_disk(server: GantryServer) -> None:
    store = filled(server)
    for number in range(0, 60, 3):
        server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.2/series/1.2.2.{number % 70}/instances/9.{number}")
    server.wait_until(lambda: len(blobs(server.data)) == COUNT - 20)
    assert rows(server, "instance") == COUNT - 20
    check_disk(server)
