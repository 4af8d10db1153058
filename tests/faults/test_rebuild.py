"""``gantry storage rebuild``: an index that is lost, or an older one, gets rows for all blobs that are there."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.cli.harness import run
from tests.faults.lost import bytes_on_disk, copy_index, lose_index, put_index_back
from tests.faults.test_lost_index import LARGE, made, roots, settle
from tests.faults.test_refused_directories import refused
from tests.faults.test_refused_starts import start
from tests.support import prepared
from tests.support.blobs import find_blobs
from tests.support.databases import query
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts
from tests.support.web import Web, uid_path, value

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    env = {"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / 'near'}"}
    made = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def rebuild(server: GantryServer, *flags: str, code: int = 0) -> dict[str, Any]:
    done = run("storage", "rebuild", "--data", str(server.data), "--json", *flags, env=server.env)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def web_of(gantry: Gantry, store: str) -> Web:
    web = Web(gantry)
    web.root, web.url = f"v1/{store}/dicomWeb", f"{gantry.server.url}/v1/{store}/dicomWeb"
    return web


def total(summary: dict[str, Any], name: str) -> int:
    return sum(each[name] for each in summary["stores"])


def test_everything_is_there_again_under_its_name(server: GantryServer) -> None:
    gantry = Gantry(server)
    web = Web(gantry)
    other = gantry.new_store("other")
    web.stored(*(made(1, number) for number in range(30)), made(2, 1, LARGE))
    web_of(gantry, other).stored(made(1, 1, 500), made(3, 1))
    gantry.put(gantry.bucket, "1.dcm", made(4, 1))
    assert counts(gantry.import_("**", blobStorageSettings={"blob_storage_class": "NEARLINE"})) == (1, 0)
    gantry.call("DELETE", f"{web.root}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.7")
    gone = gantry.new_store("gone")
    web_of(gantry, gone).stored(made(9, 1))
    gantry.call("DELETE", f"v1/{gone}")
    settle(server, uploads=False)
    held, others = gantry.stored(), gantry.stored(other)
    said = web.search("instances", limit=100, includefield="all")
    server.stop()
    before = bytes_on_disk(*roots(server))
    lose_index(server.data)

    summary = rebuild(server)
    assert {each["name"] for each in summary["stores"] if each["restored"]} == {gantry.store, other}
    assert (total(summary, "restored"), total(summary, "freed")) == (len(held) + len(others), 1)
    assert total(summary, "unreadable") == total(summary, "duplicates") == 0
    assert bytes_on_disk(*roots(server)) == before
    server.start()
    assert gantry.stored() == held and gantry.stored(other) == others
    key = lambda each: value(each, "00080018")  # noqa: E731
    assert sorted(web.search("instances", limit=100, includefield="all"), key=key) == sorted(said, key=key)
    info = gantry.call("GET", f"{web.root}/studies/1.2.4/series/1.2.4.1/instances/1.2.4.1.1:getStorageInfo")
    assert info["blobStorageInfo"]["storageClass"] == "NEARLINE"
    assert [item["name"] for item in gantry.call("GET", f"v1/{gantry.dataset}/dicomStores")["dicomStores"]] == sorted(
        [gantry.store, other]
    )
    settle(server)
    assert bytes_on_disk(*roots(server)) == before, "no sweep takes what was taken up"

    web.stored(made(5, 1))
    gantry.call("DELETE", f"v1/{other}")
    settle(server, uploads=False)
    left = bytes_on_disk(*roots(server)).values()
    assert made(3, 1) not in left and len(left) == len(held) + 1


def test_what_stands_in_the_names_of_stores_is_given_where_it_is_lost(server: GantryServer) -> None:
    """The blobs of an older version have no such file."""
    gantry = Gantry(server)
    Web(gantry).stored(made(1, 1), made(1, 2))
    server.stop()
    lose_index(server.data)
    for root, place in zip(roots(server), ("main", "NEARLINE"), strict=True):
        for name in (f"{place}.stores", f"{place}.generation"):
            (root / name).unlink(missing_ok=True)  # a place has no names before its first blob
    summary = rebuild(server, code=1)
    assert "--store 1=projects/" in summary["stores"][0]["problem"]
    assert run("storage", "rebuild", "--store", "x", "--data", str(server.data), env=server.env).returncode == 2
    summary = rebuild(server, "--store", f"1={gantry.store}")
    assert total(summary, "restored") == 2
    server.start()
    assert len(gantry.stored()) == 2


def test_a_store_whose_name_is_taken_gets_another(server: GantryServer) -> None:
    gantry, copy = Gantry(server), server.data.parent / "copy.sqlite"
    copy_index(server.data, copy)
    other = gantry.new_store("other")
    web_of(gantry, other).stored(made(1, 1))
    server.stop()
    put_index_back(server.data, copy)
    server.start()
    web_of(gantry, gantry.new_store("other")).stored(made(2, 1))
    server.stop()
    summary = rebuild(server, code=1)
    (problem,) = [each for each in summary["stores"] if each["problem"]]
    assert "exists already" in problem["problem"]
    assert total(rebuild(server, "--store", f"{problem['store_id']}={other}-2"), "restored") == 1
    server.start()
    assert set(gantry.stored(f"{other}-2")) == {"1.2.1/1.2.1.1/1.2.1.1.1"}
    assert set(gantry.stored(other)) == {"1.2.2/1.2.2.1/1.2.2.1.1"}


def test_beside_an_older_index_it_takes_up_what_that_does_not_know(server: GantryServer) -> None:
    gantry, copy = Gantry(server), server.data.parent / "copy.sqlite"
    web = Web(gantry)
    web.stored(made(1, 1), made(1, 2))
    copy_index(server.data, copy)
    web.stored(made(1, 3), made(2, 1, LARGE))
    assert web.store(made(1, 1, 3000)).status_code == 409, "the UIDs are there"
    held = gantry.stored()
    server.kill9()
    put_index_back(server.data, copy)
    summary = rebuild(server)
    assert (total(summary, "restored"), total(summary, "known")) == (2, 2)
    server.start()
    assert gantry.stored() == held


def test_rows_whose_bytes_are_gone_take_those_that_are_there(server: GantryServer) -> None:
    """An instance was moved after the copy, as a change of its storage class does it."""
    gantry, copy = Gantry(server), server.data.parent / "copy.sqlite"
    web = Web(gantry)
    web.stored(made(1, 1), made(1, 2))
    copy_index(server.data, copy)
    path = f"{gantry.store}/dicomWeb/studies/1.2.1"
    body = {"blobStorageSettings": {"blob_storage_class": "NEARLINE"}}
    answer = gantry.request("POST", f"v1beta1/{path}:setBlobStorageSettings", json=body | {"resource": path})
    assert answer.status_code == 200, answer.text
    gantry.wait(answer.json()["name"], version="v1beta1")
    settle(server, uploads=False)
    server.stop()
    put_index_back(server.data, copy)
    assert total(rebuild(server), "restored") == 2
    server.start()
    assert len(gantry.stored()) == 2


def test_what_cannot_be_read_is_named_and_everything_else_is_taken_up(server: GantryServer) -> None:
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(*(made(1, number) for number in range(10)), made(2, 1, LARGE), made(2, 2, LARGE))
    server.stop()
    blobs = find_blobs(server.data / "blobs")
    small = sorted(key for key in blobs if "@" in key)
    large = sorted(key for key in blobs if "@" not in key)
    blobs[small[3]].write(b"\xff" * 800)
    with blobs[large[0]].path.open("r+b") as file:
        file.truncate(1 << 20)
    (server.data / "blobs" / "main" / "1" / "stray.dcm").write_bytes(b"nothing")
    lose_index(server.data)
    summary = rebuild(server, code=1)
    assert (total(summary, "restored"), total(summary, "unreadable")) == (10, 3)
    assert {key for key, _ in summary["not_restored"]} == {small[3], large[0], "main/1/stray.dcm"}
    server.start()
    assert len(gantry.stored()) == 10
    gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    settle(server, uploads=False)
    assert blobs[small[3]].path.exists(), "what has no row is never deleted with the segment"


def is_complete(data: Path) -> bool:
    try:
        return query(data, "SELECT rebuilding, (SELECT count(*) FROM dicom_store) > 0 FROM generation") == [(0, 1)]
    except OperationalError as error:
        assert "no such table" in str(error)
        return False  # killed before it had made them


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_is_run_again(server: GantryServer, seed: int) -> None:
    gantry = Gantry(server)
    for number in range(1500):
        gantry.put(gantry.bucket, f"{number}.dcm", made(number % 9, number))
    assert counts(gantry.import_("**")) == (1500, 0)
    held = gantry.stored()
    server.stop()
    before = bytes_on_disk(*roots(server))
    lose_index(server.data)
    command = [sys.executable, "-m", "gantry", "storage", "rebuild", "--data", str(server.data)]
    chance = random.Random(seed)
    interrupted = 0
    for attempt in range(4):
        process = prepared.Popen(command, env=os.environ | server.env, stderr=subprocess.DEVNULL)
        server.wait_until((server.data / "index.sqlite").exists)
        time.sleep(chance.uniform(0, 0.3 * (attempt + 1)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not is_complete(server.data):  # else the kill came too late, or to one beside an index that was complete
            interrupted += 1
            line = refused(*start(server.data, "--port", "0", **server.env))
            assert "gantry storage rebuild" in line
    assert interrupted
    rebuild(server)
    assert bytes_on_disk(*roots(server)) == before
    assert query(server.data, "SELECT count(*) FROM instance") == [(1500,)]
    server.start()
    assert gantry.stored() == held


def test_no_rebuild_while_a_server_runs_or_over_blobs_of_another(server: GantryServer, tmp_path: Path) -> None:
    gantry = Gantry(server)
    Web(gantry).stored(made(1, 1))
    done = run("storage", "rebuild", "--data", str(server.data), env=server.env)
    assert done.returncode == 2 and "in use by another gantry server" in done.stderr
    server.stop()
    other = GantryServer(tmp_path / "other", tmp_path / "buckets")
    Web(Gantry(other)).stored(made(3, 1))
    other.stop()
    copy_index(server.data, tmp_path / "own.sqlite")
    put_index_back(server.data, other.data / "index.sqlite")
    done = run("storage", "rebuild", "--data", str(server.data), env=server.env)
    assert done.returncode == 2 and "do not belong together" in done.stderr
    done = run("storage", "rebuild", "--data", str(tmp_path / "none"), env=server.env)
    assert done.returncode == 2 and "holds no blobs" in done.stderr
    put_index_back(server.data, tmp_path / "own.sqlite")
    assert total(rebuild(server), "known") == 1
    server.start()
    assert Web(gantry).get(uid_path("1.2.1", "1.2.1.1", "1.2.1.1.1")).status_code == 200


@pytest.mark.parametrize("cancelled", [False, True])
def test_beside_its_own_index_it_takes_up_nothing_that_an_operation_will_remove(
    server: GantryServer, cancelled: bool
) -> None:
    """An import was interrupted: what it had written and not committed is written again, or removed."""
    gantry = Gantry(server)
    for number in range(4000):
        gantry.put(gantry.bucket, f"{number:04d}.dcm", made(number % 9, number))
    name = server.import_(gantry.store, f"gs://{gantry.bucket}/**")
    server.wait_until(lambda: counts(server.operation(name))[0] > 0)
    server.kill9()
    time.sleep(1)  # its workers end
    if cancelled:
        rows = "SELECT store_id, id, blob_prefix FROM operation WHERE end_time IS NULL"
        [(store_id, number, prefix)] = query(server.data, rows)
        with closing(sqlite3.connect(server.data / "index.sqlite")) as connection, connection:
            connection.execute("UPDATE operation SET end_time = create_time, error_code = 1, error_message = ''")
            rest = f"main/{store_id}/{number}/>main/{prefix}/~"
            connection.execute("INSERT INTO garbage VALUES (?)", (rest,))
    (server.data / "hold").touch()
    assert total(rebuild(server), "restored") == 0
    (server.data / "hold").unlink()
    server.start()
    if not cancelled:
        assert counts(server.wait(name)) == (4000, 0)
    settle(server, uploads=False)
    held = gantry.stored()
    assert all(held.values()) and (cancelled or len(held) == 4000)
