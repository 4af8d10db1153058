"""Messages about instances, the port of what publishes them, and what became of them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
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


class Notified:
    """What became of messages, for ``/metrics``. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"published": 0, "failed": 0, "given_up": 0}
        self._waiting: dict[tuple[int, str], datetime] = {}

    def count(self, outcome: str, count: int) -> None:
        with self._lock:
            self._counts[outcome] += count

    def wait(self, key: tuple[int, str], since: datetime | None) -> None:
        """When the oldest change was that a topic of a store has not been told of; None where it knows all."""
        with self._lock:
            if since is None:
                self._waiting.pop(key, None)
            else:
                self._waiting[key] = since

    def keep(self, keys: Collection[tuple[int, str]]) -> None:
        """No others have topics any more."""
        with self._lock:
            self._waiting = {key: since for key, since in self._waiting.items() if key in keys}

    def read(self) -> tuple[dict[str, int], datetime | None]:
        """The counts by outcome, and the oldest change of all."""
        with self._lock:
            return dict(self._counts), min(self._waiting.values(), default=None)


class NoPublisher:
    """Where the settings name no topic."""

    def covers(self, topic: str) -> bool:
        return False

    def require(self, topic: str) -> None: ...

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        raise AssertionError(f"no way to publish to {topic}")
