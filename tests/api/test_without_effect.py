"""What would have no effect is refused, with the reason; a setting has it kept all the same."""

from __future__ import annotations

import re

import pytest

from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.server import Json

TOPIC = {"pubsubTopic": "projects/p/topics/t"}
KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
STREAM = {"bigqueryDestination": {"tableUri": "bq://p.d.t", "writeDisposition": "WRITE_APPEND"}}
AUDITS = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
CONFIGS: list[tuple[Json, str]] = [
    ({"notificationConfig": TOPIC}, "notificationConfig"),
    ({"notification_config": {"pubsub_topic": "projects/p/topics/t"}}, "notificationConfig"),
    ({"notificationConfig": TOPIC | {"sendForBulkImport": True}}, "notificationConfig"),
    ({"notificationConfigs": [TOPIC]}, "notificationConfigs"),
    ({"streamConfigs": [STREAM]}, "streamConfigs"),
    ({"stream_configs": [{"bigquery_destination": {"table_uri": "bq://p.d.t"}}]}, "streamConfigs"),
]
EMPTY: list[Json] = [
    {},
    {"notificationConfig": {"sendForBulkImport": False}},
    {"notificationConfig": {}},
    {"notificationConfig": {"pubsubTopic": ""}, "notificationConfigs": [], "streamConfigs": []},
    {"notificationConfig": None, "notificationConfigs": None, "streamConfigs": None},
]


def create(gantry: Gantry, body: Json, store: str = "new") -> Json:
    return gantry.call("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId={store}", json=body)


@pytest.mark.parametrize(("body", "name"), CONFIGS)
def test_a_store_is_not_made_with_what_would_have_no_effect(gantry: Gantry, body: Json, name: str) -> None:
    response = gantry.request("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=new", json=body)
    error = refused(response, "INVALID_ARGUMENT", f"{name} is not supported by this server: no ", "accept_without_eff")
    assert violated_field(error) == name
    refused(gantry.request("GET", f"v1/{gantry.dataset}/dicomStores/new"), "NOT_FOUND")


@pytest.mark.parametrize("mask", ["", "?updateMask=*"])
@pytest.mark.parametrize(("body", "name"), CONFIGS)
def test_a_store_does_not_get_what_would_have_no_effect(gantry: Gantry, body: Json, name: str, mask: str) -> None:
    refused(gantry.request("PATCH", f"v1/{gantry.store}{mask}", json=body), "INVALID_ARGUMENT", f"{name} is not")
    assert gantry.call("GET", f"v1/{gantry.store}") == {"name": gantry.store}


def require_nothing_set(gantry: Gantry) -> None:
    """But for an object that is empty, or has what is false."""
    left = gantry.call("GET", f"v1/{gantry.store}")
    assert left.pop("name") == gantry.store
    assert not any(any(each.values()) if isinstance(each, dict) else each for each in left.values()), left


@pytest.mark.parametrize("body", EMPTY)
def test_empty_settings_are_accepted(gantry: Gantry, body: Json) -> None:
    """gcloud always sends the second of them."""
    create(gantry, body)
    gantry.call("PATCH", f"v1/{gantry.store}", json=body)
    require_nothing_set(gantry)


@pytest.mark.parametrize("mask", ["notificationConfig", "notificationConfig.pubsubTopic", "notificationConfigs,*"])
def test_a_mask_that_clears_is_accepted(gantry: Gantry, mask: str) -> None:
    gantry.call("PATCH", f"v1/{gantry.store}?updateMask={mask}", json={})
    gantry.call("PATCH", f"v1/{gantry.store}?updateMask=streamConfigs", json={"streamConfigs": []})
    require_nothing_set(gantry)


def test_a_key_is_refused_for_new_and_old_datasets(gantry: Gantry) -> None:
    body = {"encryptionSpec": {"kmsKeyName": KEY}}
    words = "encryptionSpec.kmsKeyName is not supported by this server: nothing would be encrypted"
    new = gantry.request("POST", f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-k", json=body)
    refused(new, "INVALID_ARGUMENT", words)
    refused(gantry.request("GET", f"v1/{gantry.dataset}-k"), "NOT_FOUND")
    refused(gantry.request("PATCH", f"v1/{gantry.dataset}", json=body), "INVALID_ARGUMENT", words)
    assert gantry.call("PATCH", f"v1/{gantry.dataset}?updateMask=encryptionSpec", json={}) == {"name": gantry.dataset}


@pytest.mark.parametrize("mask", [None, "auditConfigs", "bindings,etag,auditConfigs"])
def test_audit_configs_are_refused(gantry: Gantry, mask: str | None) -> None:
    for field in ("auditConfigs", "audit_configs"):
        body: Json = {"policy": {"bindings": [], field: AUDITS}} | ({"updateMask": mask} if mask else {})
        response = gantry.request("POST", f"v1/{gantry.store}:setIamPolicy", json=body)
        refused(response, "INVALID_ARGUMENT", "auditConfigs is not supported by this server: ")
    for name in ("auditConfigs", "audit_configs"):
        empty = {"policy": {name: []}, "updateMask": name}
        assert gantry.call("POST", f"v1/{gantry.store}:setIamPolicy", json=empty).keys() == {"etag"}


@pytest.mark.parametrize("world", ["gantry", "accepting"])
@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"notificationConfig": TOPIC, "notificationConfigs": [TOPIC]}, "notificationConfigs", "are not compatible"),
        ({"notificationConfigs": [{"pubsubTopic": ""}]}, "notificationConfigs.0.pubsubTopic", "required"),
        ({"notificationConfigs": [TOPIC, {"pubsubTopic": "t"}]}, "notificationConfigs.1.pubsubTopic", "topics/TOPIC"),
        *(
            ({"streamConfigs": [{"bigqueryDestination": STREAM["bigqueryDestination"] | extra}]}, field, words)
            for extra, field, words in (
                ({"tableUri": "gs://x"}, "tableUri", "bq://PROJECT.DATASET.TABLE"),
                ({"tableUri": "p.d.t"}, "tableUri", "bq://"),
                ({"tableUri": "bq://p.d.t", "schemaJson": {"x": 1}}, "schemaJson.x", "unknown field"),
                ({"tableUri": "bq://p.d.t", "schemaFlattened": {"x": 1}}, "schemaFlattened.x", "unknown field"),
                ({"tableUri": "bq://p.d"}, "tableUri", "bq://"),
                ({"tableUri": "bq://p.d.t/x"}, "tableUri", "bq://"),
                ({"tableUri": "bq://p.d." + "t" * 2000}, "tableUri", "bq://"),
                ({"tableUri": ""}, "tableUri", "required"),
                ({"writeDisposition": "WRITE_SOMETIMES"}, "writeDisposition", "WRITE_TRUNCATE"),
                ({"writeDisposition": "write_append"}, "writeDisposition", "WRITE_APPEND"),
                ({"writeDisposition": 4}, "writeDisposition", "WRITE_EMPTY"),
                ({"schemaJson": {}, "schemaFlattened": {}}, "schemaFlattened", "schemaJson"),
                ({"schema_json": {}, "schema_flattened": {}}, "schemaFlattened", "schemaJson"),
            )
        ),
    ],
)
def test_what_cannot_be_right_is_said_first(
    request: pytest.FixtureRequest, world: str, body: Json, field: str, words: str
) -> None:
    gantry: Gantry = request.getfixturevalue(world)
    for verb, path in (("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId=new"), ("PATCH", f"v1/{gantry.store}")):
        error = refused(gantry.request(verb, path, json=body), "INVALID_ARGUMENT", words)
        assert violated_field(error).endswith(field)


@pytest.mark.parametrize(
    ("extra", "field"), [({"tableUri": "gs://x"}, "tableUri"), ({"writeDisposition": "X"}, "writeDisposition")]
)
def test_an_export_has_the_same_rules_for_its_table(gantry: Gantry, extra: Json, field: str) -> None:
    body = {"bigqueryDestination": {"tableUri": "bq://p.d.t"} | extra}
    error = refused(gantry.request("POST", f"v1/{gantry.store}:export", json=body), "INVALID_ARGUMENT")
    assert violated_field(error) == f"bigqueryDestination.{field}"


def test_the_setting_has_it_kept_and_shown(accepting: Gantry) -> None:
    body = {"notificationConfig": TOPIC, "streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://a.com:p.d.t"}}]}
    assert create(accepting, body) == {"name": f"{accepting.dataset}/dicomStores/new"} | body
    numbered = {"streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.d.t", "writeDisposition": 3}}]}
    assert create(accepting, numbered, "numbered")["streamConfigs"] == [STREAM]
    policy = {"policy": {"auditConfigs": AUDITS}, "updateMask": "auditConfigs"}
    assert accepting.call("POST", f"v1/{accepting.store}:setIamPolicy", json=policy)["auditConfigs"] == AUDITS
    none = {"policy": {"auditConfigs": []}, "updateMask": "bindings"}
    assert accepting.call("POST", f"v1/{accepting.store}:setIamPolicy", json=none)["auditConfigs"] == AUDITS
    none["updateMask"] = "audit_configs"
    assert "auditConfigs" not in accepting.call("POST", f"v1/{accepting.store}:setIamPolicy", json=none)
    page = accepting.request("GET", f"console/{accepting.dataset}/dicomStores/new").text
    said = dict(re.findall(r"<code>(\w+)</code>: <span[^>]*>([^<]*)", page))
    assert said["notificationConfig"].startswith("no notifications would be sent")
    assert said["streamConfigs"].startswith("no metadata would be streamed to BigQuery")


def test_the_start_says_what_is_accepted(accepting: Gantry, gantry: Gantry) -> None:
    assert "accepted without effect: notificationConfig, " in accepting.server.log_text()
    assert "accepted without effect" not in gantry.server.log_text()


@pytest.mark.slow
@pytest.mark.one_process("stops a server and starts it with other settings")
def test_what_was_kept_before_stays_until_it_is_changed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Labels of a store can be changed whatever an earlier setting has let in, and it can be cleared."""
    home = tmp_path_factory.mktemp("kept")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_ACCEPT_WITHOUT_EFFECT": "notificationConfig"})
    try:
        gantry = Gantry(server)
        gantry.call("PATCH", f"v1/{gantry.store}", json={"notificationConfig": TOPIC})
        server.env = {}
        server.restart()
        changed = gantry.call("PATCH", f"v1/{gantry.store}?updateMask=labels", json={"labels": {"a": "b"}})
        assert changed["notificationConfig"] == TOPIC
        bulk = {"notificationConfig": {"sendForBulkImport": True}}
        path = f"v1/{gantry.store}?updateMask=notificationConfig.sendForBulkImport"
        refused(gantry.request("PATCH", path, json=bulk), "INVALID_ARGUMENT", "no notifications")
        cleared = gantry.call("PATCH", f"v1/{gantry.store}?updateMask=notificationConfig", json={})
        assert cleared == {"name": gantry.store, "labels": {"a": "b"}}
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"foo": 1}, "foo"),
        ({"service": 5}, "service"),
        ({"service": "allServices", "auditLogConfigs": [{"logType": "NOPE"}]}, "logType"),
        ({"service": "allServices", "auditLogConfigs": [{"logType": 4}]}, "logType"),
        ({"service": "allServices", "auditLogConfigs": [{"exemptedMembers": "user:a@b.c"}]}, "exemptedMembers"),
        ({"service": "allServices", "auditLogConfigs": {}}, "auditLogConfigs"),
    ],
)
def test_audit_configs_of_another_shape(accepting: Gantry, config: Json, field: str) -> None:
    """Also where they have no effect."""
    policy = {"policy": {"auditConfigs": [config]}, "updateMask": "auditConfigs"}
    response = accepting.request("POST", f"v1/{accepting.store}:setIamPolicy", json=policy)
    assert field in violated_field(refused(response, "INVALID_ARGUMENT"))


@pytest.mark.parametrize("key", ["k" * 64, "k\n", "k k", "k/cryptoKeyVersions/1", "é", ""])
def test_keys_that_no_service_has(accepting: Gantry, key: str) -> None:
    name = f"projects/p/locations/us-central1/keyRings/r/cryptoKeys/{key}"
    body = {"encryptionSpec": {"kmsKeyName": name}}
    refused(accepting.request("PATCH", f"v1/{accepting.dataset}", json=body), "INVALID_ARGUMENT", "kmsKeyName")
