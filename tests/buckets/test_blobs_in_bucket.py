"""A server whose stored instances lie in a bucket: everything works as with directories, and the bucket has what it
should have, no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gantry.errors import Aborted, NotFound
from gantry.storage.remote.bucket import RemoteBucket
from tests.buckets.blob_home import BlobHome, settle
from tests.cli.harness import run
from tests.dicomweb.instances import instance
from tests.faults.lost import lose_index
from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry, without_tracebacks
from tests.support.providers import Served, serve_provider
from tests.support.server import GantryServer, counts, pending
from tests.support.web import JSON, ONE_AS_STORED, Web, parts_of, uid_path, value

LARGE = 9 << 20  # an object of its own
TIERS = {"s3": "GLACIER_IR", "gs": "NEARLINE", "az": "Cool"}
"""By the scheme of the addresses of a provider."""


def made(study: int, number: int, pixel_bytes: int = 2000) -> bytes:
    return make_instance(f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}", pixel_bytes=pixel_bytes)


@pytest.fixture(
    scope="module",
    params=["s3", pytest.param("gcs", marks=pytest.mark.slow), pytest.param("azure", marks=pytest.mark.slow)],
)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve_provider(request.param) as found:
        yield found


@pytest.fixture
def home(served: Served, tmp_path: Path) -> BlobHome:
    tier = next(tier for scheme, tier in TIERS.items() if f'"{scheme}://' in served.buckets.settings)
    return BlobHome(tmp_path, served.buckets, tiers={"ARCHIVE": tier})


@pytest.fixture
def server(home: BlobHome) -> Iterator[GantryServer]:
    started = GantryServer(home.data, home.home / "buckets", env={"GANTRY_CONFIG": str(home.config)})
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def put(home: BlobHome, objects: dict[str, bytes]) -> str:
    """The address of a new bucket with these objects."""
    source = home.buckets.make_bucket()
    home.buckets.put(source, objects)
    return source


def bytes_in(home: BlobHome) -> bytes:
    return b"".join(home.blobs().values())


def are_gone(home: BlobHome, *data: bytes) -> bool:
    """Whether the bucket has none of these bytes. False where an object is deleted, or rewritten, as it is read."""
    try:
        there = bytes_in(home)
    except (Aborted, NotFound, ClientError, AssertionError):
        return False
    return not any(each in there for each in data)


@pytest.mark.slow
def test_a_whole_walk(home: BlobHome, server: GantryServer) -> None:
    gantry = Gantry(server)
    web = Web(gantry, "v1beta1")
    imported = {f"1.2.1/1.2.1.1/1.2.1.1.{number}": made(1, number) for number in range(30)}
    imported["1.2.1/1.2.1.1/1.2.1.1.99"] = made(1, 99, LARGE)
    picture = instance(("1.2.3", "1.2.3.1", "1.2.3.1.1"), PatientID="walk")
    with without_tracebacks(server):
        source = put(home, {uids.rpartition("/")[2]: data for uids, data in imported.items()} | {"broken": b"no DICOM"})
        done = gantry.import_(f"{source}/**")
        assert counts(done) == (31, 1) and not pending(done)
        web.stored(made(2, 1), made(2, 2, LARGE), picture)
        held = {
            **imported,
            "1.2.2/1.2.2.1/1.2.2.1.1": made(2, 1),
            "1.2.2/1.2.2.1/1.2.2.1.2": made(2, 2, LARGE),
            "1.2.3/1.2.3.1/1.2.3.1.1": picture,
        }
        assert gantry.stored(buckets=home.buckets) == held
        assert web.store(made(2, 1)).status_code == 409, "it is stored already"
        _look(web, picture)
        _require_in_bucket(home, server, held)
        _change_class(home, web, gantry)
        _replace_and_delete(home, server, web, picture)
    left = gantry.stored(buckets=home.buckets)
    assert left == {uids: data for uids, data in held.items() if not uids.startswith(("1.2.1/", "1.2.3/"))} | {
        "1.2.3/1.2.3.1/1.2.3.1.1": instance(("1.2.3", "1.2.3.1", "1.2.3.1.1"), PatientID="replaced")
    }
    server.restart()
    assert gantry.stored(buckets=home.buckets) == left
    assert findings(home.data, settings=home.load()) == []
    server.stop()
    checked = run("check", "--data", str(home.data), "--read", "--config", str(home.config))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _look(web: Web, picture: bytes) -> None:
    path = uid_path("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert web.get(path, ONE_AS_STORED).content == picture
    (frame,) = parts_of(web.get(f"{path}/frames/1"))
    assert frame.data == b"\0\x50\xa0\xf0"
    assert value(web.metadata(path)[0], "00100020") == "walk"
    assert len(web.search("instances", StudyInstanceUID="1.2.1", limit=100)) == 31
    assert web.get(f"{path}/rendered").status_code == 200
    large = web.get(uid_path("1.2.2", "1.2.2.1", "1.2.2.1.2"), ONE_AS_STORED)
    assert large.content == made(2, 2, LARGE)


def _require_in_bucket(home: BlobHome, server: GantryServer, held: dict[str, bytes]) -> None:
    there = home.objects()
    assert {key for key in there if "/" not in key} >= {"main.gantry", "main.generation", "main.stores"}
    joined = bytes_in(home)
    assert all(data in joined for data in held.values())
    assert len(home.blobs()) < 10, "small instances share objects"
    names = {path.name for path in (server.data / "blobs").rglob("*") if path.is_file()}
    assert names == {key for key in there if "/" not in key}, "only the files about them are here"


def _change_class(home: BlobHome, web: Web, gantry: Gantry) -> None:
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}
    started = gantry.call("POST", f"{web.root}/studies/1.2.2:setBlobStorageSettings", json=body)
    assert counts(gantry.wait(started["name"])) == (2, 0)
    place = home.load().own_bucket
    assert place is not None
    moved = list(RemoteBucket(place.place).list(f"{home.prefix}ARCHIVE/"))
    tier = home.tiers["ARCHIVE"]
    assert moved and {RemoteBucket(place.place).head(each.key).storage_class for each in moved} <= {tier, ""}
    assert web.get(uid_path("1.2.2", "1.2.2.1", "1.2.2.1.2"), ONE_AS_STORED).content == made(2, 2, LARGE)


def _replace_and_delete(home: BlobHome, server: GantryServer, web: Web, picture: bytes) -> None:
    new = instance(("1.2.3", "1.2.3.1", "1.2.3.1.1"), PatientID="replaced")
    assert web.store(new, method="PUT").status_code == 200
    deleted = web.gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    web.gantry.wait(deleted["name"])
    assert web.get("studies/1.2.1/metadata", JSON).status_code == 404
    gone = [picture, made(1, 5), made(1, 99, LARGE)]
    server.wait_until(lambda: are_gone(home, *gone), 60)
    settle(server)


@pytest.mark.slow
def test_everything_is_made_again_from_the_bucket_alone(home: BlobHome, server: GantryServer) -> None:
    gantry = Gantry(server)
    web, other = Web(gantry), gantry.new_store("other")
    web.stored(*(made(1, number) for number in range(20)), made(2, 1, LARGE))
    source = put(home, {"1.dcm": made(4, 1), "2.dcm": made(5, 1)})
    assert counts(
        gantry.import_(f"{source}/1.dcm", store=other, blobStorageSettings={"blob_storage_class": "ARCHIVE"})
    ) == (1, 0)
    gone = gantry.new_store("gone")
    assert counts(gantry.import_(f"{source}/2.dcm", store=gone)) == (1, 0)
    gantry.call("DELETE", f"{web.root}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.7")
    gantry.call("DELETE", f"v1/{gone}")
    settle(server)
    held, others = gantry.stored(buckets=home.buckets), gantry.stored(other, home.buckets)
    server.stop()
    before = home.blobs()
    lose_index(home.data)
    shutil.rmtree(home.data)

    rebuilt = run("storage", "rebuild", "--config", str(home.config), "--json")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert home.blobs() == before, "it deletes no bytes, and changes none"
    server.start()
    assert gantry.stored(buckets=home.buckets) == held and gantry.stored(other, home.buckets) == others
    names = [each["name"] for each in gantry.call("GET", f"v1/{gantry.dataset}/dicomStores")["dicomStores"]]
    assert names == sorted([gantry.store, other])
    web.stored(made(6, 1))
    server.stop()
    lose_index(home.data)
    rebuilt = run("storage", "rebuild", "--config", str(home.config), "--json")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    server.start()
    assert len(gantry.stored(buckets=home.buckets)) == len(held) + 1
    assert findings(home.data, settings=home.load()) == []


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_imports(home: BlobHome, server: GantryServer, served: Served) -> None:
    """Each instance is counted once, and no object is left that no row names."""
    gantry = Gantry(server)
    sent = {f"{number:04}.dcm": made(1, number) for number in range(300)}
    sent["9999.dcm"] = made(2, 1, LARGE)
    source = put(home, sent)
    moments: list[dict[str, Any]] = [
        {"methods": ["PutObject"], "keys": "main/"},
        {"methods": ["PutObject"], "keys": "main/", "after": 2},
        {"methods": ["CopyObject", "UploadPart"]},
    ]
    name = ""
    for moment in moments:
        with served.server.fail("stall", seconds=3600, **moment) as rule:
            if name:
                server.start()
            name = name or server.import_(gantry.store, f"{source}/**")
            server.wait_until(lambda rule=rule: rule.failed > 0, seconds=60)  # type: ignore[misc]
            assert "done" not in server.operation(name)
            server.kill9()
    server.start()
    done = server.wait(name)
    assert counts(done) == (len(sent), 0) and not pending(done)
    assert sorted(gantry.stored(buckets=home.buckets).values()) == sorted(sent.values())
    settle(server)
    assert findings(home.data, settings=home.load()) == [], "no object without a row, no row without its bytes"
    assert [path.name for path in (home.data / "uploads").glob("*/*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("served", ["s3"], indirect=True)
def test_a_bucket_that_is_away(home: BlobHome, server: GantryServer, served: Served) -> None:
    """Imports wait and say so, uploads are answered with 503, and all goes on by itself."""
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(made(1, 1))
    for number in range(20):  # the source is a directory, which is there
        gantry.put(gantry.bucket, f"{number}.dcm", made(3, number))
    with served.server.fail("403 InvalidAccessKeyId"):
        server.wait_until(lambda: gantry.request("GET", "readyz").status_code == 503)
        parts = gantry.request("GET", "readyz").json()["parts"]
        assert {each["part"] for each in parts} == {"blobs/main", "blobs/ARCHIVE"}
        assert web.store(made(2, 1)).status_code == 503
        assert web.get(uid_path("1.2.1", "1.2.1.1", "1.2.1.1.1"), ONE_AS_STORED).status_code == 503
        assert len(web.search("instances")) == 1, "the index answers"
        gantry.call("DELETE", f"{web.root}/studies/1.2.1")
        name = server.import_(gantry.store, f"gs://{gantry.bucket}/**")
        server.wait_until(lambda: server.operation(name)["metadata"].get("waiting"), 60)
        waiting = server.operation(name)["metadata"]["waiting"]
        assert waiting["for"] == "DISK" and "the bucket of stored instances" in waiting["message"]
        assert home.address not in waiting["message"] and "own/" not in waiting["message"]
    assert counts(server.wait(name)) == (20, 0)
    web.stored(made(2, 1))
    assert gantry.request("GET", "readyz").status_code == 200
    assert len(gantry.stored(buckets=home.buckets)) == 21
    server.wait_until(lambda: are_gone(home, made(1, 1)), 60)


def test_stored_instances_are_no_source(home: BlobHome, server: GantryServer) -> None:
    gantry = Gantry(server)
    for uri in (f"{home.bucket}/**", f"{home.address}/main/**"):
        done = server.wait(server.import_(gantry.store, uri))
        assert done["error"]["code"] == 7, done
        assert "keeps the bytes of its stored instances" in done["error"]["message"]
    done = server.wait(server.export(gantry.store, f"{home.address}/main"))
    assert done["error"]["code"] == 7, done
