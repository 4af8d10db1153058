"""projects.locations.datasets.dicomStores.patch (§4.2.3)."""

from __future__ import annotations

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import Json

TOPIC = "projects/p/topics/t2"
STREAMS = [{"bigqueryDestination": {"tableUri": "bq://p.d.t1"}}]


def patch(gantry: Gantry, mask: str | None, body: Json, version: str = "v1") -> Json:
    params = {} if mask is None else {"updateMask": mask}
    changed = gantry.call("PATCH", f"{version}/{gantry.store}", params=params, json=body)
    assert gantry.call("GET", f"v1/{gantry.store}") == changed
    assert changed.pop("name") == gantry.store
    return changed


def test_only_masked_paths_apply_though_gcloud_sends_more(accepting: Gantry) -> None:
    """§4.2.3: the body holds sendForBulkImport, the mask does not."""
    body = {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": True}}
    assert patch(accepting, "notificationConfig.pubsubTopic", body) == {"notificationConfig": {"pubsubTopic": TOPIC}}


def test_the_other_half_of_a_masked_message_stays(accepting: Gantry) -> None:
    patch(accepting, "notificationConfig", {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": True}})
    body = {"notificationConfig": {"pubsubTopic": "projects/p/topics/t3", "sendForBulkImport": False}}
    assert patch(accepting, "notificationConfig.pubsubTopic", body) == {
        "notificationConfig": {"pubsubTopic": "projects/p/topics/t3", "sendForBulkImport": True}
    }


def test_the_long_mask_of_gcloud(accepting: Gantry) -> None:
    """§13"""
    body = {"notificationConfig": {"pubsubTopic": TOPIC, "sendForBulkImport": True}, "streamConfigs": STREAMS}
    mask = "notificationConfig.pubsubTopic,notificationConfig.sendForBulkImport,streamConfigs"
    assert patch(accepting, mask, body) == body


@pytest.mark.parametrize("mask", ["notification_config.pubsub_topic", "notificationConfig.pubsub_topic"])
def test_masks_in_snake_case(accepting: Gantry, mask: str) -> None:
    """§1.14"""
    body = {"notification_config": {"pubsub_topic": TOPIC}}
    assert patch(accepting, mask, body) == {"notificationConfig": {"pubsubTopic": TOPIC}}


def test_a_masked_field_that_the_body_lacks_is_cleared(accepting: Gantry) -> None:
    patch(accepting, "labels,streamConfigs", {"labels": {"k": "v"}, "streamConfigs": STREAMS})
    assert patch(accepting, "streamConfigs", {}) == {"labels": {"k": "v"}}
    assert patch(accepting, "labels", {"labels": {}}) == {}


def test_one_label_can_be_changed_alone(gantry: Gantry) -> None:
    patch(gantry, "labels", {"labels": {"a": "1", "b": "2"}})
    assert patch(gantry, "labels.a", {"labels": {"a": "3", "b": "4"}}) == {"labels": {"a": "3", "b": "2"}}
    assert patch(gantry, "labels.a", {}) == {"labels": {"b": "2"}}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_without_a_mask_what_is_in_the_body_changes(accepting: Gantry, version: str) -> None:
    """§3: in v1beta1 the mask is optional."""
    patch(accepting, "labels", {"labels": {"k": "v"}})
    assert patch(accepting, None, {"streamConfigs": STREAMS}, version) == {
        "labels": {"k": "v"},
        "streamConfigs": STREAMS,
    }


@pytest.mark.parametrize("mask", ["name", "label", "labels.", "notificationConfig.topic", "streamConfigs.0", "x.y"])
def test_a_path_that_cannot_be_updated_is_refused(gantry: Gantry, mask: str) -> None:
    """§4.2.3"""
    response = gantry.request("PATCH", f"v1/{gantry.store}", params={"updateMask": mask}, json={"name": "x"})
    refused(response, "INVALID_ARGUMENT", "updateMask")


def test_a_mask_of_no_path_is_none(gantry: Gantry) -> None:
    patch(gantry, "labels", {"labels": {"k": "v"}})
    response = gantry.request("PATCH", f"v1/{gantry.store}", params={"updateMask": ","}, json={})
    assert (response.status_code, response.json()) == (200, {"name": gantry.store, "labels": {"k": "v"}})


def test_a_bad_value_is_refused_and_nothing_changes(gantry: Gantry) -> None:
    body = {"labels": {"k": "v"}, "notificationConfig": {"pubsubTopic": "bad"}}
    response = gantry.request("PATCH", f"v1/{gantry.store}?updateMask=labels,notificationConfig", json=body)
    refused(response, "INVALID_ARGUMENT", "pubsubTopic")
    assert gantry.call("GET", f"v1/{gantry.store}") == {"name": gantry.store}


def test_a_missing_store_is_not_found(gantry: Gantry) -> None:
    refused(gantry.request("PATCH", f"v1/{gantry.store}-no?updateMask=labels", json={}), "NOT_FOUND")
