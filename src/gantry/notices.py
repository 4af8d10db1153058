"""Messages about instances, and the port of what publishes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from gantry.resources import DicomStore


class Message(NamedTuple):
    """``id`` stays the same where a message is sent again. Messages of one ``key`` stay in their order where the way
    allows it. ``time`` is that of the change, in UTC."""

    id: str
    key: str
    data: bytes
    attributes: Mapping[str, str]
    time: datetime


def list_topics(store: DicomStore, field: str = "") -> list[str]:
    """The topics of a DICOM store; ``field``: only those of this field of the API."""
    found = {"notificationConfig": [store.notification_config or {}], "notificationConfigs": store.notification_configs}
    configs = [each for name, several in found.items() if field in ("", name) for each in several]
    return [each["pubsub_topic"] for each in configs if each.get("pubsub_topic")]


class Publisher(Protocol):
    """Safe to use from many threads. ``topic`` is ``projects/PROJECT/topics/TOPIC``."""

    def covers(self, topic: str) -> bool:
        """Whether the settings say where messages of a topic go."""
        ...

    def require(self, topic: str) -> None:
        """Raises FailedPrecondition, NotFound, PermissionDenied, Unavailable where nothing could be published now, with
        the reason."""
        ...

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        """How many of the messages, from the first on, have arrived: all but where the way was cut, and at least one.
        Some of the others may have arrived too. Raises what ``require`` does, and InvalidArgument for a message that
        is refused, where the first one has not arrived."""
        ...


class NoPublisher:
    """Where the settings name no topic."""

    def covers(self, topic: str) -> bool:
        return False

    def require(self, topic: str) -> None: ...

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        raise AssertionError(f"no way to publish to {topic}")
