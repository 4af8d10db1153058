"""What errors of JSON requests repeat of a client's text."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.api.messages import enum_name, read
from gantry.api.wire import BigQueryDestination, TopicConfig
from gantry.errors import InvalidArgument

NAMES = ("UNSPECIFIED", "ONE", "TWO")


@pytest.mark.parametrize(
    ("value", "shown"), [("THREE", "'THREE' is none of ONE, TWO"), (3, "3 is none of ONE, TWO"), (-1, "-1 is none")]
)
def test_a_value_that_is_none_is_named(value: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        enum_name("kind", value, NAMES)
    assert shown in refused.value.message


def test_a_long_value_is_named_by_its_beginning() -> None:
    with pytest.raises(InvalidArgument) as refused:
        enum_name("kind", "x" * 5000, NAMES)
    assert "'xxxx" in refused.value.message and len(refused.value.message) < 300


@pytest.mark.parametrize("body", [{}, {"pubsubTopic": None}])
def test_a_field_that_must_be_there_is_named(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="pubsubTopic: is required"):
        read(TopicConfig, body)


@pytest.mark.parametrize("name", ["schemaJson", "schema_json"])
def test_a_field_has_its_names_in_json_and_in_protocol_buffers(name: str) -> None:
    """Also where ours is another one."""
    assert read(BigQueryDestination, {name: {}}).schema_as_json is not None
