"""An index that is missing, another one, or an older one: no start works over blobs that do not fit, and none loses
what it does not know."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lost import bytes_on_disk, copy_index, lose_index, put_index_back, tree
from tests.faults.older import make_unmarked
from tests.faults.test_refused_directories import refused
from tests.faults.test_refused_starts import start
from tests.support.databases import query
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts
from tests.support.web import Web, uid_path

pytestmark = pytest.mark.slow

LARGE = 9 << 20  # has a file of its own


def made(study: int, number: int, pixel_bytes: int = 2000) -> bytes:
    return make_instance(f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}", pixel_bytes=pixel_bytes)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    env = {"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / 'near'}"}
    made = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def web(server: GantryServer) -> Web:
    """Three instances: one has a file of its own, one lies in the directory of a storage class."""
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(made(1, 1), made(1, 2, LARGE))
    gantry.put(gantry.bucket, "1.dcm", made(2, 1))
    assert counts(gantry.import_("**", blobStorageSettings={"blob_storage_class": "NEARLINE"})) == (1, 0)
    return web


def refuse(server: GantryServer) -> str:
    """What a start says that is refused. It changes nothing."""
    before = tree(server.data, server.data.parent / "near")
    line = refused(*start(server.data, "--buckets", str(server.buckets), "--port", "0", **server.env))
    after = tree(server.data, server.data.parent / "near")
    for each in (before, after):
        for ending in ("-wal", "-shm"):
            each.pop(str(server.data / f"index.sqlite{ending}"), None)
    assert after == before
    return line


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a file without tables", "a directory moved away"])
def test_no_start_without_an_index_over_stored_instances(server: GantryServer, web: Web, left: str) -> None:
    server.stop()
    index = server.data / "index.sqlite"
    index.rename(server.data.parent / "moved.sqlite")
    lose_index(server.data)
    if left == "an empty file":
        index.touch()
    elif left == "a file without tables":
        query(server.data, "PRAGMA journal_mode=WAL")
    elif left == "a directory moved away":
        shutil.move(server.data / "blobs" / "main", server.data.parent / "main")
    line = refuse(server)
    assert str(index) in line and ("is missing" in line or "is empty" in line)
    place = server.data.parent / "near" if left == "a directory moved away" else server.data / "blobs"
    assert str(place) in line and "gantry storage rebuild" in line and "backup" in line
    (server.data.parent / "moved.sqlite").replace(index)
    if left != "a directory moved away":
        server.start()
        assert len(web.gantry.stored()) == 3


def test_a_start_without_index_and_blobs_begins_anew(server: GantryServer, web: Web) -> None:
    """As the message says it: the old blobs are moved away."""
    server.stop()
    lose_index(server.data)
    for place in (server.data / "blobs" / "main", server.data.parent / "near" / "NEARLINE"):
        place.rename(place.with_name("aside"))
    server.start()
    again = Web(Gantry(server))
    again.stored(made(1, 1))
    server.restart()
    assert len(again.gantry.stored()) == 1


def test_the_index_of_another_server_is_refused(server: GantryServer, web: Web, tmp_path: Path) -> None:
    server.stop()
    other = GantryServer(tmp_path / "other", tmp_path / "buckets")
    Web(Gantry(other)).stored(made(3, 1))
    other.stop()
    copy_index(server.data, tmp_path / "own.sqlite")
    put_index_back(server.data, other.data / "index.sqlite")
    line = refuse(server)
    assert "do not belong together" in line
    assert str(server.data / "index.sqlite") in line and str(server.data / "blobs" / "main") in line
    put_index_back(server.data, tmp_path / "own.sqlite")
    server.start()
    assert len(web.gantry.stored()) == 3


@pytest.mark.parametrize("place", ["main", "NEARLINE"])
def test_blobs_without_their_mark_are_refused(server: GantryServer, web: Web, place: str) -> None:
    """The disk is not mounted, or another one is."""
    server.stop()
    root = server.data / "blobs" if place == "main" else server.data.parent / "near"
    mark = root / f"{place}.generation"
    mark.rename(mark.with_name("away"))
    line = refuse(server)
    assert f"{root}/{place}" in line and str(server.data / "index.sqlite") in line and "mounted" in line
    mark.write_text("damaged")
    assert "is damaged" in refuse(server)
    mark.with_name("away").replace(mark)
    server.start()


def test_blobs_of_another_server_are_refused(server: GantryServer, web: Web, tmp_path: Path) -> None:
    server.stop()
    other = GantryServer(tmp_path / "other", tmp_path / "buckets")
    Web(Gantry(other)).stored(made(3, 1))
    other.stop()
    (server.data / "blobs").rename(tmp_path / "blobs")
    shutil.copytree(other.data / "blobs", server.data / "blobs")
    assert "do not belong together" in refuse(server)


# --- an older index


def settle(server: GantryServer, uploads: bool = True) -> None:
    """Wait until every sweep has run: nothing is left to be deleted. ``uploads``: none has come since the start."""
    if uploads:
        server.wait_until(lambda: query(server.data, "SELECT * FROM upload") == [], 60)
    for store in query(server.data, "SELECT id FROM dicom_store WHERE deleted"):
        server.wait_until(lambda store=store: store not in query(server.data, "SELECT id FROM dicom_store"), 60)  # type: ignore[misc]
    server.wait_until(lambda: query(server.data, "SELECT * FROM garbage") == [], 60)
    time.sleep(0.5)


def roots(server: GantryServer) -> tuple[Path, Path]:
    return server.data / "blobs", server.data.parent / "near"


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("copied", ["while it runs", "stopped"])
def test_an_older_index_loses_nothing_that_it_does_not_know(
    server: GantryServer, web: Web, end: str, copied: str
) -> None:
    """Uploads into the same lot, imports, other stores: whatever came after the copy."""
    gantry, copy = web.gantry, server.data.parent / "copy.sqlite"
    if copied == "stopped":
        server.stop()
    copy_index(server.data, copy)
    if copied == "stopped":
        server.start()
    web.stored(*(made(4, number) for number in range(20)))
    web.stored(made(5, 1, LARGE))
    gantry.put(gantry.bucket, "new/2.dcm", made(6, 1))
    gantry.put(gantry.bucket, "new/3.dcm", made(6, 2, LARGE))
    assert counts(gantry.import_("new/**")) == (2, 0)
    other = gantry.new_store("other")
    second = Web(gantry)
    second.root, second.url = f"v1/{other}/dicomWeb", f"{server.url}/v1/{other}/dicomWeb"
    second.stored(*(made(7, number) for number in range(5)))
    if end == "stop":
        server.stop()
    else:
        server.kill9()
    before = bytes_on_disk(*roots(server))
    assert len(before) == 3 + 20 + 1 + 2 + 5
    put_index_back(server.data, copy)
    server.start()
    settle(server)
    assert "the index is older than the blobs" in server.log_text()
    assert bytes_on_disk(*roots(server)) == before
    assert set(gantry.stored()) == {
        "/".join((f"1.2.{s}", f"1.2.{s}.1", f"1.2.{s}.1.{n}")) for s, n in ((1, 1), (1, 2), (2, 1))
    }

    again = gantry.new_store("other")  # its number, and those of uploads, are other ones
    third = Web(gantry)
    third.root, third.url = f"v1/{again}/dicomWeb", f"{server.url}/v1/{again}/dicomWeb"
    third.stored(*(made(8, number) for number in range(5)))
    web.stored(*(made(4, number) for number in range(20)))
    gantry.call("DELETE", f"v1/{again}")
    gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    server.restart()
    settle(server)
    after = bytes_on_disk(*roots(server))
    lost = {key: content for key, content in before.items() if after.get(key) != content}
    assert set(lost.values()) == {made(1, 1), made(1, 2, LARGE)}, "what was deleted by its own name is gone, no more"
    server.restart()
    assert server.log_text().count("the index is older than the blobs") == 1


def test_an_operation_of_an_older_index_goes_on_and_deletes_nothing_of_the_newer(
    server: GantryServer, web: Web
) -> None:
    gantry, copy = web.gantry, server.data.parent / "copy.sqlite"
    for number in range(3000):
        gantry.put(gantry.bucket, f"many/{number:03d}.dcm", made(10 + number % 7, number))
    name = server.import_(gantry.store, f"gs://{gantry.bucket}/many/**")
    server.wait_until(lambda: counts(server.operation(name))[0] > 0)
    server.kill9()
    copy_index(server.data, copy)
    done = query(server.data, "SELECT success FROM operation WHERE end_time IS NULL")
    assert done and 0 < int(str(done[0][0])) < 3000, "the copy was made while it ran"
    server.start()
    assert counts(server.wait(name)) == (3000, 0)
    server.kill9()
    before = bytes_on_disk(*roots(server))
    put_index_back(server.data, copy)
    server.start()
    assert counts(server.wait(name)) == (3000, 0)
    settle(server)
    after = bytes_on_disk(*roots(server))
    assert {key for key in before if after.get(key) != before[key]} == set()
    assert len(gantry.stored()) == 3003
    server.process.kill()
    server.process.wait()
    server.start()
    settle(server)
    after = bytes_on_disk(*roots(server))
    assert {key for key in before if after.get(key) != before[key]} == set()


def test_an_instance_that_the_older_index_knows_is_answered_as_lost_where_it_was_deleted_since(
    server: GantryServer, web: Web
) -> None:
    copy = server.data.parent / "copy.sqlite"
    copy_index(server.data, copy)
    web.gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    settle(server, uploads=False)
    server.stop()
    put_index_back(server.data, copy)
    server.start()
    answer = web.get(uid_path("1.2.1", "1.2.1.1", "1.2.1.1.1"))
    assert answer.status_code in (404, 500), answer.text
    assert len(web.search("instances")) == 3
    web.gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    settle(server, uploads=False)
    assert len(web.gantry.stored()) == 1


def test_an_index_of_an_older_version_is_an_older_index(server: GantryServer, web: Web) -> None:
    """It has no mark, but the blobs have: they were written by a newer version since."""
    copy, before_upgrade = server.data.parent / "copy.sqlite", server.data.parent / "before.sqlite"
    copy_index(server.data, copy)
    make_unmarked(copy)
    copy.rename(before_upgrade)
    web.stored(*(made(4, number) for number in range(20)))
    server.kill9()
    before = bytes_on_disk(*roots(server))
    put_index_back(server.data, before_upgrade)
    server.start()
    settle(server)
    assert "the index is older than the blobs" in server.log_text()
    assert bytes_on_disk(*roots(server)) == before
    server.restart()
    assert server.log_text().count("the index is older than the blobs") == 1
