"""Publishes to whatever the settings say of a topic."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from gantry.errors import FailedPrecondition
from gantry.notices import Message
from gantry.notifications.pubsub import PubSub
from gantry.notifications.requests import Requests
from gantry.notifications.topics import Headers, TopicRule, find_rule
from gantry.notifications.webhook import Webhook


class Topics:
    """``find_headers``: those of the identity of a rule. Promises: ``notices.Publisher``."""

    def __init__(self, rules: Sequence[TopicRule], find_headers: Callable[[TopicRule], Headers]) -> None:
        self._rules, self._find_headers = rules, find_headers
        self._lock = threading.Lock()
        self._ways: dict[TopicRule, PubSub | Webhook] = {}

    def covers(self, topic: str) -> bool:
        return find_rule(self._rules, topic) is not None

    def require(self, topic: str) -> None:
        self._find(topic).require(topic)

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        return self._find(topic).publish(topic, messages)

    def _find(self, topic: str) -> PubSub | Webhook:
        rule = find_rule(self._rules, topic)
        if rule is None:
            raise FailedPrecondition(
                f"the settings of this server do not say where messages of topic {topic} go",
                advice="add an entry to the setting topics",
            )
        with self._lock:
            if rule not in self._ways:
                self._ways[rule] = self._open(rule)
            return self._ways[rule]

    def _open(self, rule: TopicRule) -> PubSub | Webhook:
        requests = Requests(rule.ca_file)
        if rule.webhook:
            return Webhook(rule.webhook, rule.secret_file, requests)
        return PubSub(rule.pubsub, requests, self._find_headers(rule))
