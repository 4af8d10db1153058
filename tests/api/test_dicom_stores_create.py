"""projects.locations.datasets.dicomStores.create (§2.3, §4.1)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry
from tests.support.server import Json

FULL: Json = {
    "labels": {"ward": "icu", "größe_1-a": "", "日本": "語"},
    "notificationConfig": {"pubsubTopic": "projects/p/topics/t", "sendForBulkImport": True},
    "streamConfigs": [
        {"bigqueryDestination": {"tableUri": "bq://p.d.t1"}},
        {"bigqueryDestination": {"tableUri": "bq://p.d.t2", "writeDisposition": "WRITE_APPEND"}},
    ],
}


def post(gantry: Gantry, store: str, body: Json) -> Json:
    return gantry.call("POST", f"v1/{gantry.dataset}/dicomStores", params={"dicomStoreId": store}, json=body)


def test_a_store_is_made_at_once(gantry: Gantry) -> None:
    """§4.2.2: synchronous."""
    name = f"{gantry.dataset}/dicomStores/new"
    assert post(gantry, "new", {}) == {"name": name}
    assert gantry.call("GET", f"v1/{name}") == {"name": name}


def test_the_body_of_gcloud(gantry: Gantry) -> None:
    """§4.1: gcloud always sends this, with no topic."""
    answer = post(gantry, "new", {"notificationConfig": {"sendForBulkImport": False}})
    assert answer["name"].endswith("/new")
    assert answer.get("notificationConfig", {}) == {}


@pytest.mark.parametrize("body", [FULL, {"notificationConfigs": [{"pubsubTopic": "projects/p/topics/t2"}]}])
def test_settings_are_kept(accepting: Gantry, body: Json) -> None:
    """§4.1"""
    expected = {"name": f"{accepting.dataset}/dicomStores/new"} | body
    assert post(accepting, "new", body) == expected
    assert accepting.call("GET", f"v1beta1/{accepting.dataset}/dicomStores/new") == expected


@pytest.mark.parametrize("store", ["a", "A-Z_0.9", "x" * 256, "..."])
def test_ids(gantry: Gantry, store: str) -> None:
    """§2.3"""
    assert post(gantry, store, {})["name"] == f"{gantry.dataset}/dicomStores/{store}"


@pytest.mark.parametrize("store", ["", "a b", "a/b", "a:import", "é", "x" * 257, "a\n", "*"])
def test_other_ids_are_refused(gantry: Gantry, store: str) -> None:
    """§2.3"""
    response = gantry.request("POST", f"v1/{gantry.dataset}/dicomStores", params={"dicomStoreId": store})
    refused(response, "INVALID_ARGUMENT", "dicomStoreId")


def test_a_missing_id_is_refused(gantry: Gantry) -> None:
    refused(gantry.request("POST", f"v1/{gantry.dataset}/dicomStores"), "INVALID_ARGUMENT", "dicomStoreId")


def test_a_second_store_of_the_same_name_is_refused_and_the_first_unchanged(gantry: Gantry) -> None:
    """§1.19"""
    post(gantry, "new", {"labels": FULL["labels"]})
    refused(gantry.request("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=new"), "ALREADY_EXISTS", "new")
    assert gantry.call("GET", f"v1/{gantry.dataset}/dicomStores/new")["labels"] == FULL["labels"]


def test_a_missing_dataset_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("POST", f"v1/{gantry.dataset}-no/dicomStores?dicomStoreId=s"), "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"labels": {"Upper": "x"}}, "labels"),
        ({"labels": {"1st": "x"}}, "labels"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"k": "Upper"}}, "labels"),
        ({"labels": {"k": "a b"}}, "labels"),
        ({"labels": {"k": "v" * 64}}, "labels"),
        ({"labels": {"k" * 64: "v"}}, "labels"),
        ({"labels": {"日" * 43: "v"}}, "labels"),
        ({"labels": {f"k{number}": "v" for number in range(65)}}, "labels"),
        ({"notificationConfig": {"pubsubTopic": "topic"}}, "pubsubTopic"),
        ({"notificationConfigs": [{"pubsubTopic": "projects/p/topic/t"}]}, "pubsubTopic"),
        ({"notificationConfigs": [{}]}, "notificationConfigs.0.pubsubTopic"),
        *(
            ({"notificationConfig": {"pubsubTopic": f"projects/p/topics/{topic}"}}, "pubsubTopic")
            for topic in ("1a", "a b", "é", "a\n", "a" * 256, "a/b", "a:publish", "")
        ),
        ({"notificationConfig": {"pubsubTopic": f"projects/{'p' * 1000}/topics/t"}}, "pubsubTopic"),
        (
            {"notificationConfigs": [{"pubsubTopic": f"projects/p/topics/t{n}"} for n in range(101)]},
            "notificationConfigs",
        ),
        ({"streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.d.t"}}] * 2}, "streamConfigs"),
        (
            {"streamConfigs": [{"bigqueryDestination": {"tableUri": f"bq://p.d.t{n}"}} for n in range(6)]},
            "streamConfigs",
        ),
        ({"streamConfigs": [{}]}, "streamConfigs"),
        ({"label": {}}, "label"),
    ],
)
def test_bad_settings_are_refused_and_nothing_is_made(gantry: Gantry, body: Json, field: str) -> None:
    """§4.1"""
    response = gantry.request("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=new", json=body)
    assert field in violated_field(refused(response, "INVALID_ARGUMENT")).replace("pubsub_topic", "pubsubTopic")
    refused(gantry.request("GET", f"v1/{gantry.dataset}/dicomStores/new"), "NOT_FOUND")
