"""A real server tells topics of each change: once where nothing fails, at least once whatever fails, in order."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dicom import make_instance
from tests.support.receivers import PubSubServer, Receiver, receiving
from tests.support.server import GantryServer, counts

TOPIC, OTHER = "projects/p/topics/t", "projects/p/topics/other"
SECRET = f"whsec_{base64.b64encode(b'0' * 32).decode()}"
Start = Callable[..., GantryServer]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def pubsub() -> Iterator[PubSubServer]:
    with receiving(PubSubServer) as made:
        made.topics[TOPIC] = {"pubsub.topics.publish"}
        yield made


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with entries of the setting ``topics``."""
    made: list[GantryServer] = []

    def begin(*topics: dict[str, Any], **env: str) -> GantryServer:
        given = {"GANTRY_TOPICS": json.dumps(topics)} if topics else {}
        made.append(GantryServer(tmp_path / "data", tmp_path / "buckets", env=given | env))
        (tmp_path / "buckets" / "in").mkdir(exist_ok=True)
        return made[-1]

    yield begin
    for server in made:
        server.process.kill()
        server.process.wait()


def to_hook(hook: Receiver, tmp_path: Path, topic: str = TOPIC) -> dict[str, Any]:
    (tmp_path / "secret").write_text(SECRET)
    return {"topic": topic, "webhook": f"{hook.url}/dicom", "secret_file": str(tmp_path / "secret")}


def set_topics(server: GantryServer, store: str, *topics: str) -> None:
    body = {"notificationConfigs": [{"pubsubTopic": each} for each in topics]}
    server.call("PATCH", f"v1/{store}", params={"updateMask": "notificationConfigs"}, json=body)


def stow(server: GantryServer, store: str, instance: bytes) -> None:
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n--b--\r\n"
    headers = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}
    assert server.request("POST", f"v1/{store}/dicomWeb/studies", content=body, headers=headers).status_code == 200


def fill(server: GantryServer, count: int, study: str = "1.2.826.1") -> None:
    for number in range(count):
        path = server.buckets / "in" / study / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_instance(study, f"{study}.1", f"{study}.1.{number}"))


def list_actions(receiver: Receiver) -> dict[str, list[str]]:
    """The actions of each instance, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for each in receiver.taken:
        found.setdefault(each.attributes["sopInstanceUID"], []).append(each.attributes["action"])
    return found


def test_a_webhook_is_told_of_each_change_in_order(hook: Receiver, start: Start, tmp_path: Path) -> None:
    server = start(to_hook(hook, tmp_path))
    store = server.create_store("d", "s")
    stow(server, store, make_instance("1.2.826.1", "1.2.826.1.1", "1.2.826.1.1.99"))
    set_topics(server, store, TOPIC)
    fill(server, 5)
    assert counts(server.wait(server.import_(store, "gs://in/**"))) == (5, 0)
    server.wait(
        server.call(
            "POST",
            f"v1/{store}/dicomWeb/studies/1.2.826.1:setBlobStorageSettings",
            json={"blobStorageSettings": {"blobStorageClass": "NEARLINE"}},
        )["name"]
    )
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.826.1")
    stow(server, store, make_instance("1.2.826.1", "1.2.826.1.1", "1.2.826.1.1.0", 16))
    server.wait_until(lambda: len(hook.data()) == 5 + 6 + 6 + 1)
    every = ["ImportDicomData", "SetBlobSettings", "DeleteInstances"]
    wanted = {f"1.2.826.1.1.{number}": every for number in range(1, 5)}
    assert list_actions(hook) == wanted | {"1.2.826.1.1.0": [*every, "StoreInstances"], "1.2.826.1.1.99": every[1:]}
    moved = next(each for each in hook.taken if each.attributes["action"] == "SetBlobSettings")
    assert (
        moved.data
        == f"{store}/dicomWeb/studies/1.2.826.1/series/1.2.826.1.1/instances/{moved.attributes['sopInstanceUID']}"
    )
    assert {
        name: moved.attributes[name] for name in ("storageClass", "previousStorageClass", "modality", "storeName")
    } == {
        "storageClass": "NEARLINE",
        "previousStorageClass": "STANDARD",
        "modality": "OT",
        "storeName": store,
    }
    assert re.fullmatch(
        r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d UTC", moved.attributes["lastUpdatedTime"]
    )
    assert moved.attributes["versionId"]
    assert len({each.headers["webhook-id"] for each in hook.taken}) == len(hook.taken)


@pytest.mark.parametrize("imports", [False, True])
def test_the_older_configuration_tells_of_what_is_stored_without_attributes(
    pubsub: PubSubServer, start: Start, imports: bool
) -> None:
    server = start({"topic": "projects/*/topics/*", "pubsub": pubsub.url})
    store = server.create_store("d", "s")
    body = {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": imports}}
    mask = "notificationConfig.pubsubTopic,notificationConfig.sendForBulkImport"
    server.call("PATCH", f"v1/{store}", params={"updateMask": mask}, json=body)
    fill(server, 3)
    server.wait(server.import_(store, "gs://in/**"))
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.826.1")
    stow(server, store, make_instance(sop="1.2.3"))
    server.wait_until(lambda: any(data.endswith("/1.2.3") for data in pubsub.data()))
    assert len(pubsub.taken) == (4 if imports else 1)
    assert all(each.attributes == {} and each.topic == TOPIC for each in pubsub.taken)


@pytest.mark.slow
def test_a_receiver_that_is_away_keeps_nobody_waiting_and_misses_nothing(
    hook: Receiver, start: Start, tmp_path: Path
) -> None:
    server = start(to_hook(hook, tmp_path))
    store = server.create_store("d", "s")
    set_topics(server, store, TOPIC)
    hook.answers = [*[200] * 12, *[503] * 16, 500, 404, None, 302, 400]  # eight are sent at a time
    fill(server, 40)
    assert counts(server.wait(server.import_(store, "gs://in/**"))) == (40, 0)
    server.wait_until(lambda: len(list_actions(hook)) == 40)
    assert f"the webhook of topic {TOPIC} answers with status 503" in server.log_text()
    assert hook.url not in server.log_text()
    text = server.request("GET", "metrics").text
    failed = re.search(r'gantry_notifications_total\{outcome="failed"\} ([\d.]+)', text)
    assert failed is not None and float(failed[1]) >= 1
    server.wait_until(lambda: "gantry_notification_lag_seconds 0.0" in server.request("GET", "metrics").text)


@pytest.mark.slow
def test_a_topic_that_fails_keeps_no_other_waiting(
    hook: Receiver, pubsub: PubSubServer, start: Start, tmp_path: Path
) -> None:
    server = start(to_hook(hook, tmp_path), {"topic": OTHER, "pubsub": pubsub.url})
    pubsub.topics[OTHER] = {"pubsub.topics.publish"}
    store = server.create_store("d", "s")
    set_topics(server, store, TOPIC, OTHER)
    pubsub.topics[OTHER] = set()
    stow(server, store, make_instance(sop="1.2.3"))
    server.wait_until(lambda: len(hook.data()) == 1)
    assert pubsub.taken == []
    pubsub.topics[OTHER] = {"pubsub.topics.publish"}
    server.wait_until(lambda: len(pubsub.data()) == 1)
    assert len(hook.data()) == 1


@pytest.mark.slow
def test_kill_9_loses_no_message(hook: Receiver, start: Start, tmp_path: Path) -> None:
    server = start(to_hook(hook, tmp_path))
    store = server.create_store("d", "s")
    set_topics(server, store, TOPIC)
    fill(server, 400)
    name = server.import_(store, "gs://in/**")
    for count in (1, 120, 250):
        server.wait_until(lambda count=count: len(hook.data()) >= count)
        server.kill9()
        server.start()
    assert counts(server.wait(name)) == (400, 0)
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.826.1")
    server.wait_until(lambda: sum(actions[-1] == "DeleteInstances" for actions in list_actions(hook).values()) == 400)
    for actions in list_actions(hook).values():
        assert list(dict.fromkeys(actions)) == ["ImportDicomData", "DeleteInstances"]
        assert actions == sorted(actions, reverse=True)  # nothing is told of the import after the deletion


def refused(server: GantryServer, store: str, status: int, said: str) -> None:
    before = server.call("GET", f"v1/{store}")
    body = {"notificationConfigs": [{"pubsubTopic": TOPIC}]}
    answer = server.request("PATCH", f"v1/{store}", params={"updateMask": "notificationConfigs"}, json=body)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert server.call("GET", f"v1/{store}") == before
    parent = store.rpartition("/")[0]
    answer = server.request("POST", f"v1/{parent}?dicomStoreId=other", json=body)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert server.request("GET", f"v1/{parent}/other").status_code == 404


def test_what_could_not_be_sent_is_refused_when_it_is_configured(
    pubsub: PubSubServer, start: Start, tmp_path: Path
) -> None:
    server = start({"topic": TOPIC, "pubsub": pubsub.url})
    store = server.create_store("d", "s")
    pubsub.topics[TOPIC] = set()
    refused(server, store, 403, "lacks the permission pubsub.topics.publish")
    del pubsub.topics[TOPIC]
    refused(server, store, 404, f"topic {TOPIC} does not exist")
    pubsub.answers = [500, 500]
    refused(server, store, 503, f"topic {TOPIC} answers with status 500")
    server.stop()
    server.env = {
        "GANTRY_TOPICS": json.dumps([{"topic": TOPIC, "webhook": pubsub.url, "secret_file": str(tmp_path / "none")}])
    }
    server.start()
    refused(server, store, 400, "secret_file")
    assert str(tmp_path) not in server.request("GET", f"v1/{store}").text
    server.stop()
    server.env = {}
    server.start()
    refused(server, store, 400, "topics")


def test_without_the_change_feed_topics_are_refused(pubsub: PubSubServer, start: Start) -> None:
    server = start({"topic": TOPIC, "pubsub": pubsub.url}, GANTRY_CHANGES_DAYS="0")
    refused(server, server.create_store("d", "s"), 400, "change feed, which is off")


@pytest.mark.slow
def test_a_topic_that_is_taken_away_gets_nothing_more_and_one_that_comes_back_begins_anew(
    pubsub: PubSubServer, start: Start
) -> None:
    server = start({"topic": "projects/p/topics/*", "pubsub": pubsub.url})
    pubsub.topics[OTHER] = {"pubsub.topics.publish"}
    store = server.create_store("d", "s")
    set_topics(server, store, TOPIC)
    stow(server, store, make_instance(sop="1.2.1"))
    server.wait_until(lambda: len(pubsub.data()) == 1)
    set_topics(server, store, OTHER)
    stow(server, store, make_instance(sop="1.2.2"))
    server.wait_until(lambda: len(pubsub.data()) == 2)
    set_topics(server, store, TOPIC, OTHER)
    stow(server, store, make_instance(sop="1.2.3"))
    server.wait_until(lambda: len(pubsub.data()) == 4)
    told = [(each.topic, each.attributes["sopInstanceUID"]) for each in pubsub.taken]
    assert told[:2] == [(TOPIC, "1.2.1"), (OTHER, "1.2.2")]
    assert sorted(told[2:]) == sorted([(TOPIC, "1.2.3"), (OTHER, "1.2.3")])
