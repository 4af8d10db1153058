"""A server whose index is in PostgreSQL: what is refused, and what happens when one of both ends in the middle."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gantry.index.sql import SqlIndex
from tests.faults.kill import kill_during
from tests.faults.scene import Scene, blobs, exported
from tests.index.audit import audit, audit_orphans
from tests.support import postgresql as support
from tests.support.dicom import make_instance
from tests.support.postgresql import Databases, PostgresServer, to_text
from tests.support.server import GantryServer, counts


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    support.require()
    if support.find_programs() is None:
        pytest.skip("a server of the environment is not killed")
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    """Of a new database."""
    with closing(Databases(postgres.url)) as databases:
        url = databases.make()
        yield to_text(url).replace("+psycopg", "")
        databases.drop(url)


@pytest.fixture
def server(tmp_path: Path, address: str) -> Iterator[GantryServer]:
    made = GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_DATABASE": address})
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def begin(server: GantryServer, count: int) -> tuple[Scene, str, str]:
    """An import of so many files; its store and name."""
    scene = Scene(server.buckets / "source", count, 2000)
    store = server.create_store("d", "s")
    return scene, store, server.import_(store, "gs://source/**.dcm")


def check_end(server: GantryServer, address: str, scene: Scene, store: str, operation: str) -> None:
    """Counters are exact, each object is stored once and comes back as it was, and rows agree with each other."""
    assert counts(server.wait(operation)) == (scene.success, scene.failure)
    assert sorted(key for key, _ in server.failures(operation)) == sorted(f"gs://source/{key}" for key in scene.failing)
    (server.buckets / "out").mkdir()
    assert counts(server.wait(server.export(store, "gs://out"))) == (len(scene.stored), 0)
    assert exported(server.buckets / "out") == scene.stored
    server.wait_until(lambda: len(blobs(server.data)) == len(scene.stored))
    server.stop()
    index = SqlIndex(address)
    try:
        with index.database.read() as connection:
            audit(connection)
            audit_orphans(connection)
    finally:
        index.close()
    assert not (server.data / "index.sqlite").exists()


@pytest.mark.slow
def test_an_import_of_a_server_that_is_killed_ends_as_if_undisturbed(server: GantryServer, address: str) -> None:
    begun = begin(server, 600)
    assert kill_during(server, begun[2], 3, random.Random(5)) >= 1
    check_end(server, address, *begun)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_import_waits_for_postgresql_and_goes_on(
    server: GantryServer, address: str, postgres: PostgresServer, how: str
) -> None:
    """Meanwhile requests are told to come again."""
    begun = begin(server, 600)
    server.wait_until(lambda: counts(server.operation(begun[2]))[0] > 0)
    getattr(postgres, how)()
    try:
        answer = server.request("GET", f"v1/{begun[2]}")
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0, answer.text
        assert "Traceback" not in answer.text and str(postgres.directory) not in answer.text
        assert server.request("GET", "readyz").status_code == 503
        time.sleep(1)  # the operation meets it, too
    finally:
        postgres.start()
    server.wait_until(lambda: server.request("GET", "readyz").status_code == 200)
    check_end(server, address, *begun)


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    """A command of ``gantry`` that ends by itself."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
    command = [sys.executable, "-m", "gantry", *arguments]
    done = subprocess.run(command, env=known | environ, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_second_server_on_the_same_database_is_refused(server: GantryServer, address: str, tmp_path: Path) -> None:
    code, said = run("serve", "--port", "0", "--data", str(tmp_path / "other"), GANTRY_DATABASE=address)
    assert code and "another server of Gantry uses this database" in said
    server.create_store("d", "s")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("check",), ("storage", "show"), ("storage", "compact"), ("storage", "rebuild")], ids=" ".join
)
def test_a_command_without_the_setting_is_refused(server: GantryServer, command: tuple[str, ...]) -> None:
    """A directory that has its index elsewhere gets no other one."""
    server.stop()
    code, said = run(*command, "--data", str(server.data))
    assert code and "GANTRY_DATABASE" in said
    assert not (server.data / "index.sqlite").exists()


def check_directory(server: GantryServer, address: str, code: int = 0) -> str:
    """What ``gantry check`` says of all bytes and rows."""
    found, said = run("check", "--read", "--data", str(server.data), GANTRY_DATABASE=address)
    assert found == code, said
    return said


@pytest.mark.slow
def test_what_a_server_stores_is_checked_and_shown_while_it_runs(server: GantryServer, address: str) -> None:
    scene, _, operation = begin(server, 60)
    server.wait(operation)
    assert "nothing is wrong" in check_directory(server, address)
    code, said = run("storage", "show", "--json", "--data", str(server.data), GANTRY_DATABASE=address)
    assert code == 0 and sum(each["live_instances"] for each in json.loads(said)) == len(scene.stored)
    for command in ("compact", "clear", "rebuild"):
        code, said = run("storage", command, "--data", str(server.data), GANTRY_DATABASE=address)
        assert code and "in use by another gantry server" in said


@pytest.mark.slow
def test_what_nobody_names_is_cleared_and_segments_are_compacted(server: GantryServer, address: str) -> None:
    scene, store, operation = begin(server, 600)  # three studies: one of them stays, in segments with gaps
    server.wait(operation)
    studies = sorted({uids.split("/")[0] for uids in scene.stored})
    assert len(studies) == 3
    for study in studies[::2]:
        server.call("DELETE", f"v1/{store}/dicomWeb/studies/{study}")
    server.stop()
    stranger = next(iter((server.data / "blobs").rglob("*.seg"))).with_name("stranger.dcm")
    stranger.write_bytes(b"stranger")
    assert "bytes-unknown" in check_directory(server, address, 1)
    for command in ("clear", "compact"):
        code, said = run("storage", command, "--data", str(server.data), GANTRY_DATABASE=address)
        assert code == 0, said
    assert not stranger.exists()
    assert "nothing is wrong" in check_directory(server, address)


@pytest.mark.slow
def test_an_index_that_is_lost_is_made_again_in_an_empty_database(
    server: GantryServer, address: str, postgres: PostgresServer
) -> None:
    scene, store, operation = begin(server, 60)
    server.wait(operation)
    server.stop()
    with closing(Databases(postgres.url)) as databases:
        url = databases.make()
        new = to_text(url).replace("+psycopg", "")
        code, said = run("serve", "--port", "0", "--data", str(server.data), GANTRY_DATABASE=new)
        assert code and "is empty" in said and "rebuild" in said
        code, said = run("storage", "rebuild", "--data", str(server.data), GANTRY_DATABASE=new)
        assert code == 0 and f"{len(scene.stored)} instances have rows again" in said, said
        assert "nothing is wrong" in check_directory(server, new)
        again = GantryServer(server.data, server.buckets, env={"GANTRY_DATABASE": new})
        (server.buckets / "out").mkdir()
        assert counts(again.wait(again.export(store, "gs://out"))) == (len(scene.stored), 0)
        again.stop()
        databases.drop(url)


@pytest.mark.slow
def test_a_directory_keeps_its_kind_of_database(server: GantryServer, address: str, tmp_path: Path) -> None:
    server.stop()
    code, said = run("serve", "--port", "0", "--data", str(server.data))
    assert code and "is in PostgreSQL" in said and "GANTRY_DATABASE" in said
    other = GantryServer(tmp_path / "other", tmp_path / "buckets")
    other.stop()
    code, said = run("serve", "--port", "0", "--data", str(other.data), GANTRY_DATABASE=address)
    assert code and "gantry index copy" in said


@pytest.mark.slow
def test_a_database_of_other_blobs_is_refused(server: GantryServer, address: str, tmp_path: Path) -> None:
    """An empty one beside blobs, and one that has stores beside a directory that has none."""
    scene, _, operation = begin(server, 30)
    server.wait(operation)
    server.stop()
    code, said = run("serve", "--port", "0", "--data", str(tmp_path / "new"), GANTRY_DATABASE=address)
    assert code and "do not belong together" in said and scene.stored


@pytest.mark.slow
def test_the_password_of_the_address_is_never_shown(tmp_path: Path) -> None:
    for address in ("postgresql://me:hidden@127.0.0.1:1/there", "postgresql://me:hidden@127.0.0.1:x/there"):
        code, said = run("serve", "--port", "0", "--data", str(tmp_path / "data"), GANTRY_DATABASE=address)
        assert code and "database" in said and "hidden" not in said


def test_a_study_is_stored_found_read_and_deleted(server: GantryServer) -> None:
    web = f"v1/{server.create_store('d', 's')}/dicomWeb"
    body = make_instance("1.2.1", "1.2.1.1", "1.2.1.1.1")
    parts = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--x--\r\n"
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    stored: httpx.Response = server.request("POST", f"{web}/studies", content=parts, headers=head)
    assert stored.status_code == 200, stored.text
    (found,) = server.call("GET", f"{web}/studies", params={"StudyInstanceUID": "1.2.1"})
    assert found["0020000D"]["Value"] == ["1.2.1"]
    one = f"{web}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"
    got = server.request("GET", one, headers={"Accept": "application/dicom"})
    assert got.content == body
    server.call("DELETE", f"{web}/studies/1.2.1")
    assert server.request("GET", f"{web}/studies/1.2.1/metadata").status_code == 404
    server.wait_until(lambda: blobs(server.data) == set())
