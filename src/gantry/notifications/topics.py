"""What the settings say of topics: where their messages go, and with which credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from gantry.errors import InvalidArgument

SERVICE = "https://pubsub.googleapis.com"
_MOST_SHOWN = 100  # characters of what is wrong
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Headers = Callable[[], Mapping[str, str]]
"""Of the identity that publishes. Raises PermissionDenied, Unavailable where there is no token."""


@dataclass(frozen=True, slots=True)
class TopicRule:
    """``topic`` may hold ``*``. Of ``pubsub``, the address of the service or of an emulator, and ``webhook`` one is
    given. ``secret_file`` has the secret that signs what a webhook gets, ``credentials_file`` those of Google; without
    it Google's usual chain gives them, the metadata service of a machine only with ``instance_metadata``. Requests over
    ``http://`` have no credentials, and go to this machine alone, unless ``plain_http`` says otherwise. ``ca_file`` has
    more authorities to trust."""

    topic: str
    pubsub: str = ""
    webhook: str = ""
    secret_file: str = ""
    credentials_file: str = ""
    instance_metadata: bool = False
    plain_http: bool = False
    ca_file: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> TopicRule:
        """Read a table of the settings. Raises InvalidArgument, which names the fault."""
        if not isinstance(value, Mapping) or not isinstance(value.get("topic"), str):
            raise InvalidArgument('topics: each needs a topic, topic = "projects/PROJECT/topics/TOPIC"')
        topic = value["topic"]
        parts = topic.split("/")
        if len(parts) != 4 or parts[0] != "projects" or parts[2] != "topics" or not all(parts) or "[" in topic:
            raise InvalidArgument(
                f"topics: {topic[:_MOST_SHOWN]!r} must be projects/PROJECT/topics/TOPIC, with * or not"
            )
        for key, item in value.items():
            _check_type(topic, key, item)
        made = cls(**value)
        _check_together(made)
        return made

    @property
    def address(self) -> str:
        return self.pubsub or self.webhook

    @property
    def is_plain(self) -> bool:
        return self.address.startswith("http:")


_FIELDS = {each.name: each for each in fields(TopicRule)}


def find_rule(rules: Sequence[TopicRule], topic: str) -> TopicRule | None:
    """The first one that covers a topic."""
    return next((each for each in rules if fnmatchcase(topic, each.topic)), None)


def _check_type(topic: str, key: str, item: object) -> None:
    if key not in _FIELDS:
        near = get_close_matches(key, _FIELDS, 1)
        advice = f"write {near[0]}" if near else "all keys are in docs/howto/notifications.md"
        raise InvalidArgument(f"topics: {key[:_MOST_SHOWN]} of {topic!r} is no key of an entry", advice=advice)
    wanted = bool if key in ("instance_metadata", "plain_http") else str
    if type(item) is not wanted or item == "":
        kind = "true or false, without quotes" if wanted is bool else "a text in quotes"
        raise InvalidArgument(f"topics: {key} of {topic!r} is not {kind}")


def _check_together(rule: TopicRule) -> None:
    if bool(rule.pubsub) == bool(rule.webhook):
        raise InvalidArgument(
            f'topics: {rule.topic!r} needs either pubsub = "{SERVICE}", or the address of an emulator, or webhook = "https://…"'
        )
    _check_address(rule)
    if rule.webhook and not rule.secret_file:
        raise InvalidArgument(
            f"topics: the webhook of {rule.topic!r} needs a secret_file, whose secret signs each message"
        )
    for key in ("credentials_file", "instance_metadata") if rule.webhook or rule.is_plain else ("secret_file",):
        if getattr(rule, key):
            raise InvalidArgument(f"topics: {key} of {rule.topic!r} would have no effect; leave it out")
    if rule.is_plain and rule.ca_file:
        raise InvalidArgument(f"topics: ca_file of {rule.topic!r} has no effect without https://")


def _check_address(rule: TopicRule) -> None:
    try:
        parts = urlsplit(rule.address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or "@" in parts.netloc or not rule.address.isprintable():
        raise InvalidArgument(f"topics: the address of {rule.topic!r} must be https://HOST[:PORT], without a user")
    if rule.pubsub and (parts.path.strip("/") or parts.query or parts.fragment):
        raise InvalidArgument(f"topics: pubsub of {rule.topic!r} must be https://HOST[:PORT], without a path")
    if rule.is_plain and host not in _LOOPBACK and not rule.plain_http:
        raise InvalidArgument(
            f"topics: the address of {rule.topic!r} is http:// on another machine: whoever sits between reads the UIDs",
            advice="use https://, or set plain_http = true where the network is yours",
        )
