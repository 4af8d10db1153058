"""A server goes on with its index in PostgreSQL, and later in SQLite again: all that it has answered holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.harness import run
from tests.faults.scene import Scene, blobs, exported
from tests.support.dicom import make_instance
from tests.support.postgresql import share, to_text
from tests.support.server import GantryServer, counts


@pytest.fixture
def address() -> Iterator[str]:
    """Of an empty database."""
    url = share().make()
    yield to_text(url).replace("+psycopg", "")
    share().drop(url)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    made = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def store(server: GantryServer, name: str, study: str) -> bytes:
    """A study of one instance, by STOW-RS."""
    body = make_instance(study, f"{study}.1", f"{study}.1.1")
    parts = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--x--\r\n"
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    answer = server.request("POST", f"v1/{name}/dicomWeb/studies", content=parts, headers=head)
    assert answer.status_code == 200, answer.text
    return body


def read(server: GantryServer, name: str, study: str) -> bytes:
    one = f"v1/{name}/dicomWeb/studies/{study}/series/{study}.1/instances/{study}.1.1"
    return server.request("GET", one, headers={"Accept": "application/dicom"}).content


def said(server: GantryServer, name: str, operation: str) -> dict[str, object]:
    """What a client sees of all that does not change any more."""
    policy = server.call("GET", f"v1/{name}:getIamPolicy")
    return {
        "operation": server.operation(operation),
        "failures": sorted(map(str, server.failures(operation))),
        "metrics": server.call("GET", f"v1/{name}:getDICOMStoreMetrics"),
        "policy": policy,
        "store": server.call("GET", f"v1/{name}"),
    }


def copy(source: object, target: object) -> dict[str, object]:
    done = run("index", "copy", str(source), str(target), "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def require_refused(server: GantryServer, database: str, words: str) -> None:
    arguments = ("serve", "--port", "0", "--data", str(server.data), "--buckets", str(server.buckets))
    refused = run(*arguments, env={"GANTRY_DATABASE": database})
    assert refused.returncode and words in refused.stderr, refused.stderr


@pytest.mark.slow
def test_a_server_goes_on_in_postgresql_and_comes_back(server: GantryServer, address: str) -> None:
    scene = Scene(server.buckets / "source", 60, 2000)
    name = server.create_store("d", "s")
    done = server.import_(name, "gs://source/**.dcm")
    assert counts(server.wait(done)) == (scene.success, scene.failure)
    binding = {"role": "roles/healthcare.dicomViewer", "members": ["user:a@example.org"]}
    server.call("POST", f"v1/{name}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    first = store(server, name, "1.7.1")
    store(server, name, "1.7.2")
    server.call("DELETE", f"v1/{name}/dicomWeb/studies/1.7.2")
    before = said(server, name, done)
    again = server.import_(name, "gs://source/**.dcm")
    server.kill9()

    refused = run("index", "copy", str(server.data), str(server.data.parent))
    assert refused.returncode == 2 and "one is a data directory" in refused.stderr
    up = copy(server.data, address)
    assert up["copied"] and up["instances"] == len(scene.stored) + 1
    require_refused(server, "sqlite", "is in PostgreSQL")
    server.env["GANTRY_DATABASE"] = address
    server.start()
    assert said(server, name, done) == before
    assert counts(server.wait(again)) == (scene.success, scene.failure)
    assert read(server, name, "1.7.1") == first
    second = store(server, name, "1.7.3")
    other = server.create_store("d", "t")
    third = store(server, other, "1.7.1")
    busy = run("index", "copy", address, str(server.data))
    assert busy.returncode == 2 and "in use by another gantry server" in busy.stderr
    server.stop()

    down = copy(address, server.data)
    assert down["instances"] == len(scene.stored) + 3
    require_refused(server, address, "were copied to")
    (server.data / "index.sqlite").rename(server.data / "away.sqlite")
    (server.data / "index.postgresql").touch()
    require_refused(server, address, "were copied to")
    (server.data / "index.postgresql").unlink()
    (server.data / "away.sqlite").rename(server.data / "index.sqlite")
    del server.env["GANTRY_DATABASE"]
    server.start()
    assert said(server, name, done)["failures"] == before["failures"]
    assert [read(server, *each) for each in ((name, "1.7.1"), (name, "1.7.3"), (other, "1.7.1"))] == [
        *(first, second, third)
    ]
    (server.buckets / "out").mkdir()
    server.call("DELETE", f"v1/{name}/dicomWeb/studies/1.7.1")
    server.call("DELETE", f"v1/{name}/dicomWeb/studies/1.7.3")
    assert counts(server.wait(server.export(name, "gs://out"))) == (len(scene.stored), 0)
    assert exported(server.buckets / "out") == scene.stored
    server.wait_until(lambda: len(blobs(server.data)) == len(scene.stored) + 1)
    assert "older than the blobs" not in server.log_text()
    server.stop()
    checked = run("check", "--read", "--data", str(server.data))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_an_old_index_that_is_put_back_beside_the_copy_is_refused(server: GantryServer, address: str) -> None:
    """Also once the new one has written, and under each setting."""
    name = server.create_store("d", "s")
    store(server, name, "1.7.1")
    server.stop()
    with closing(sqlite3.connect(server.data / "index.sqlite")) as index:
        index.execute("VACUUM INTO ?", (str(server.data / "backup.sqlite"),))
    copy(server.data, address)
    server.env["GANTRY_DATABASE"] = address
    server.start()
    store(server, name, "1.7.2")
    server.stop()
    (server.data / "backup.sqlite").rename(server.data / "index.sqlite")
    require_refused(server, "sqlite", "is in PostgreSQL")
    require_refused(server, address, "is an index already")
    (server.data / "index.sqlite.moved").rename(server.data / "index.sqlite")
    (server.data / "index.postgresql").unlink()
    require_refused(server, "sqlite", "were copied to")
