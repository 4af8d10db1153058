"""projects.locations.datasets.dicomStores.changeFeed, a method of our own (docs/decisions/0026)."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.answers import refused, violated_field
from tests.support.dicom import make_instance
from tests.support.feed import Follower, feed_path, read_feed, uids_of
from tests.support.filled import CONTENT, A, B, C, D, fill, path, web
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, Json
from tests.support.web import Web

COMMON = {"studyInstanceUID": "1.1", "seriesInstanceUID": "1.1.1", "sopInstanceUID": "1.1.1.1"}
NEW = make_instance(*A, pixel_bytes=999)


def told(changes: list[Json]) -> list[tuple[str, str]]:
    return [(change["change"], change["action"]) for change in changes]


def test_every_way_to_change_an_instance(gantry: Gantry) -> None:
    fill(gantry, blobStorageSettings={"blobStorageClass": "NEARLINE"})
    follower, client = Follower(gantry), Web(gantry, "v1beta1")
    follower.read()
    assert told(follower.changes) == [("STORED", "ImportDicomData")] * 4
    assert set(follower.known) == set(CONTENT)
    assert client.store(make_instance("1.3", "1.3.1", "1.3.1.1")).status_code == 200
    assert client.store(make_instance("1.3", "1.3.1", "1.3.1.1", 99), method="PUT").status_code == 200
    assert client.store(make_instance("1.3", "1.3.1", "1.3.1.2"), method="PUT").status_code == 200
    patch = [{"op": "replace", "path": "/00100020/Value/0", "value": "new"}]
    assert gantry.request("PATCH", f"{web(gantry, *A, version='v1beta1')}/metadata", json=patch).status_code == 200
    gantry.wait(gantry.call("PATCH", f"{web(gantry, 'x', version='v1beta1')[:-1]}1.2/metadata", json=patch)["name"])
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}
    gantry.wait(gantry.call("POST", f"{web(gantry, *B)}:setBlobStorageSettings", json=body)["name"])
    gantry.wait(gantry.call("POST", f"{web(gantry, *B)}:setBlobStorageSettings", json=body)["name"])
    gantry.call("DELETE", web(gantry, *C))
    gantry.call("DELETE", web(gantry, "1.2"))
    del follower.changes[:]
    follower.catch_up()
    assert [(change["change"], change["action"], uids_of(change)) for change in follower.changes] == [
        ("STORED", "StoreInstances", ("1.3", "1.3.1", "1.3.1.1")),
        ("REPLACED", "UpdateInstance", ("1.3", "1.3.1", "1.3.1.1")),
        ("STORED", "StoreInstances", ("1.3", "1.3.1", "1.3.1.2")),
        ("UPDATED", "UpdateInstance", A),
        ("UPDATED", "UpdateInstance", D),
        ("MOVED", "SetBlobSettings", B),
        ("DELETED", "DeleteInstances", C),
        ("DELETED", "DeleteInstances", D),
    ]
    moved = follower.changes[5]
    assert (moved["storageClass"], moved["previousStorageClass"]) == ("ARCHIVE", "NEARLINE")


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha2"])
def test_a_change(gantry: Gantry, version: str) -> None:
    Web(gantry).stored(CONTENT[A])
    page = gantry.call("GET", feed_path(gantry, version=version))
    assert page.keys() == {"changes", "nextPageToken"}
    (change,) = page["changes"]
    version_id, moment = change.pop("versionId"), change.pop("lastUpdatedTime")
    expected = {"change": "STORED", "action": "StoreInstances", "modality": "OT", "storageClass": "STANDARD"}
    assert change == expected | COMMON
    assert re.fullmatch("[A-Za-z0-9_-]{16}", version_id)
    age = datetime.now(UTC) - datetime.fromisoformat(moment)
    assert timedelta() <= age < timedelta(minutes=5)


def test_what_was_refused_or_was_there_is_not_told(gantry: Gantry) -> None:
    fill(gantry)
    follower = Follower(gantry, read_feed(gantry, **{"from": "now"})["nextPageToken"])
    gantry.import_("**")
    assert Web(gantry).store(CONTENT[A]).status_code == 409
    assert Web(gantry).store(b"DICM nothing").status_code == 409
    assert follower.read() == []


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_pages(gantry: Gantry, size: int) -> None:
    fill(gantry)
    follower = Follower(gantry)
    while page := follower.read(size):
        assert len(page) <= size
    assert sorted(map(uids_of, follower.changes)) == sorted(CONTENT)


def test_from_now_and_from_the_start(gantry: Gantry) -> None:
    fill(gantry)
    now = read_feed(gantry, **{"from": "now"})
    assert now["changes"] == []
    Web(gantry).stored(make_instance("1.3", "1.3.1", "1.3.1.1"))
    (change,) = read_feed(gantry, pageToken=now["nextPageToken"])["changes"]
    assert uids_of(change) == ("1.3", "1.3.1", "1.3.1.1")
    for parameters in ({}, {"from": "start"}):
        assert len(read_feed(gantry, **parameters)["changes"]) == 5


def test_fields_select(gantry: Gantry) -> None:
    fill(gantry)
    page = read_feed(gantry, fields="changes(sopInstanceUID)", prettyPrint="false")
    assert page == {"changes": [{"sopInstanceUID": uids[2]} for uids in sorted(CONTENT)]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pageToken", "nonsense"),
        ("pageToken", "é"),
        ("pageSize", "-1"),
        ("pageSize", "x"),
        ("wait", "61"),
        ("wait", "-1"),
        ("wait", "1.5"),
        ("from", "yesterday"),
    ],
)
def test_wrong_values_are_refused(gantry: Gantry, name: str, value: str) -> None:
    error = refused(gantry.request("GET", feed_path(gantry), params={name: value}), "INVALID_ARGUMENT")
    assert violated_field(error) == name


def test_a_token_and_a_beginning_exclude_each_other(gantry: Gantry) -> None:
    token = read_feed(gantry)["nextPageToken"]
    response = gantry.request("GET", feed_path(gantry), params={"pageToken": token, "from": "now"})
    assert violated_field(refused(response, "INVALID_ARGUMENT")) == "from"


def test_tokens_of_others_are_refused(gantry: Gantry) -> None:
    """Of another store, of a store of the same name that was deleted, of another list."""
    other = gantry.new_store("other")
    tokens = [read_feed(gantry, other)["nextPageToken"], read_feed(gantry)["nextPageToken"]]
    gantry.call("DELETE", f"v1/{gantry.store}")
    gantry.new_store("store")
    gantry.import_("nothing")
    path = f"v1/{gantry.dataset}/operations"
    tokens.append(gantry.call("GET", path, params={"pageSize": 1})["nextPageToken"])
    for token in tokens:
        response = gantry.request("GET", feed_path(gantry), params={"pageToken": token})
        assert violated_field(refused(response, "INVALID_ARGUMENT")) == "pageToken"


def test_a_store_that_is_not_there(gantry: Gantry) -> None:
    refused(gantry.request("GET", feed_path(gantry, f"{gantry.store}-missing")), "NOT_FOUND")
    follower = Follower(gantry)
    follower.read()
    gantry.call("DELETE", f"v1/{gantry.store}")
    refused(gantry.request("GET", feed_path(gantry), params={"pageToken": follower.token}), "NOT_FOUND")


class TestLongPoll:
    def test_it_ends_with_the_first_change(self, gantry: Gantry) -> None:
        follower = Follower(gantry)
        follower.read()
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(follower.read, wait=60)
            time.sleep(1)
            assert not waiting.done()
            Web(gantry).stored(CONTENT[A])
            assert told(waiting.result(30)) == [("STORED", "StoreInstances")]

    def test_it_ends_when_a_deleted_study_is_told(self, gantry: Gantry) -> None:
        fill(gantry)
        follower = Follower(gantry)
        follower.read()
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(follower.read, wait=60)
            gantry.call("DELETE", web(gantry, "1.2"))
            assert told(waiting.result(30)) == [("DELETED", "DeleteInstances")]

    def test_it_ends_without_a_change(self, gantry: Gantry) -> None:
        token = read_feed(gantry)["nextPageToken"]
        assert read_feed(gantry, pageToken=token, wait=1) == {"changes": [], "nextPageToken": token}

    def test_it_does_not_wait_for_more_than_the_first(self, gantry: Gantry) -> None:
        fill(gantry)
        assert len(read_feed(gantry, wait=60)["changes"]) == 4

    def test_a_store_that_is_deleted_meanwhile(self, gantry: Gantry) -> None:
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(gantry.request, "GET", feed_path(gantry), params={"wait": 2})
            time.sleep(0.5)
            gantry.call("DELETE", f"v1/{gantry.store}")
            response = waiting.result(30)
        assert response.status_code in (200, 404)

    def test_those_who_wait_hold_no_thread(self, gantry: Gantry) -> None:
        """Many more than there are threads for short reads; others are answered meanwhile."""
        ends = threading.Barrier(41)
        with httpx.Client(base_url=gantry.server.url, timeout=90, limits=httpx.Limits(max_connections=64)) as client:

            def wait() -> httpx.Response:
                ends.wait(30)
                return client.get(f"/{feed_path(gantry)}", params={"wait": 60})

            with ThreadPoolExecutor(40) as threads:
                waiting = [threads.submit(wait) for _ in range(40)]
                ends.wait(30)
                time.sleep(1)
                for _ in range(20):
                    gantry.call("GET", f"v1/{gantry.store}")
                assert not any(each.done() for each in waiting)
                Web(gantry).stored(CONTENT[A])
                for each in waiting:
                    assert len(each.result(30).json()["changes"]) == 1

    def test_it_ends_when_the_server_stops(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        home = tmp_path_factory.mktemp("stops")
        server = GantryServer(home / "data", home / "buckets")
        gantry = Gantry(server)
        with ThreadPoolExecutor() as threads:
            url = f"{server.url}/{feed_path(gantry)}"
            waiting = threads.submit(httpx.get, url, params={"wait": 60}, timeout=90)
            time.sleep(1)
            server.stop()
            assert waiting.result(30).json()["changes"] == []
        assert "interrupted" not in server.log_text()


class TestOff:
    def test_it_is_said_and_tokens_of_before_are_good_no_more(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        home = tmp_path_factory.mktemp("off")
        server = GantryServer(home / "data", home / "buckets")
        gantry = Gantry(server)
        Web(gantry).stored(CONTENT[A])
        token = read_feed(gantry)["nextPageToken"]
        server.restart()
        assert read_feed(gantry, pageToken=token)["changes"] == [], "it survives a restart"
        server.env["GANTRY_CHANGES_DAYS"] = "0"
        server.restart()
        refused(gantry.request("GET", feed_path(gantry)), "FAILED_PRECONDITION", "changes_days")
        Web(gantry).stored(CONTENT[B])
        del server.env["GANTRY_CHANGES_DAYS"]
        server.restart()
        response = gantry.request("GET", feed_path(gantry), params={"pageToken": token})
        refused(response, "OUT_OF_RANGE", "turned off", "from=now")
        assert read_feed(gantry)["changes"] == []
        Web(gantry).stored(CONTENT[D])
        (change,) = read_feed(gantry)["changes"]
        assert uids_of(change) == D
        server.stop()


def test_head_and_other_verbs(gantry: Gantry) -> None:
    assert gantry.request("HEAD", feed_path(gantry)).status_code == 200
    refused(gantry.request("POST", feed_path(gantry), json={}), "NOT_FOUND")


def test_the_path_of_a_study_has_no_feed(gantry: Gantry) -> None:
    fill(gantry)
    response = gantry.request("GET", f"v1/{gantry.store}/dicomWeb/{path('1.1')}:changeFeed")
    assert response.status_code in (404, 405)
