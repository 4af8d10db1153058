"""``updateMask``."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from gantry.api.masks import apply_mask
from gantry.api.wire import DicomStoreBody
from gantry.errors import InvalidArgument

FIELDS = ("labels", "notification_config", "stream_configs")
OLD = {"labels": {"a": "1", "b": "2"}, "notification_config": {"pubsub_topic": "t", "send_for_bulk_import": True}}


def masked(mask: str | None, body: dict[str, Any], old: dict[str, Any] = OLD) -> dict[str, Any]:
    return apply_mask({} if mask is None else {"updateMask": mask}, DicomStoreBody, FIELDS, old, body)


def test_a_masked_field_is_taken_from_the_body_and_no_other() -> None:
    body = {"labels": {"c": "3"}, "notification_config": {"pubsub_topic": "u"}}
    assert masked("labels", body) == OLD | {"labels": {"c": "3"}}


def test_a_masked_field_that_the_body_lacks_is_cleared() -> None:
    assert masked("labels", {}) == {"notification_config": OLD["notification_config"]}


@pytest.mark.parametrize("mask", ["notificationConfig.pubsubTopic", "notification_config.pubsub_topic"])
def test_a_path_reaches_below_its_field_in_both_spellings(mask: str) -> None:
    new = masked(mask, {"notification_config": {"pubsub_topic": "u", "send_for_bulk_import": False}})
    assert new["notification_config"] == {"pubsub_topic": "u", "send_for_bulk_import": True}


def test_one_label_can_be_changed_and_cleared() -> None:
    assert masked("labels.a", {"labels": {"a": "9", "b": "9"}})["labels"] == {"a": "9", "b": "2"}
    assert masked("labels.a", {})["labels"] == {"b": "2"}


def test_a_path_below_what_is_not_there_makes_it() -> None:
    body = {"notification_config": {"pubsub_topic": "u"}}
    assert masked("notificationConfig.pubsubTopic", body, old={}) == body


def test_several_paths_and_spaces() -> None:
    body = {"labels": {"c": "3"}, "notification_config": {"pubsub_topic": "u"}}
    assert masked(" labels , notificationConfig ", body) == body


def test_without_a_mask_what_the_body_holds_is_taken() -> None:
    for mask in (None, "", ","):
        assert masked(mask, {"labels": {"c": "3"}}) == OLD | {"labels": {"c": "3"}}


def test_a_star_is_every_field() -> None:
    assert masked("*", {"labels": {"c": "3"}}) == {"labels": {"c": "3"}}


def test_the_parameter_may_be_written_in_snake_case() -> None:
    new = apply_mask({"update_mask": "labels"}, DicomStoreBody, FIELDS, OLD, {})
    assert "labels" not in new


def test_the_old_value_stays_as_it_was() -> None:
    before = deepcopy(OLD)
    masked("labels.a,notificationConfig.pubsubTopic", {"labels": {"a": "9"}})
    assert before == OLD


@pytest.mark.parametrize(
    "mask",
    [
        *("name", "label", "notificationConfig.topic", "notificationConfig.pubsubTopic.x", "labels,name", "*.a", "."),
        *("labels.a.b", "labels.c.d", "labels.", "notificationConfigs"),
    ],
)
def test_a_path_that_cannot_be_changed_is_refused(mask: str) -> None:
    with pytest.raises(InvalidArgument, match="updateMask"):
        masked(mask, {"labels": {"a": "9"}})
