"""Messages reach topics of Pub/Sub and webhooks, or an error says why not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.notices import Message
from gantry.notifications.publishing import Topics
from gantry.notifications.topics import TopicRule
from tests.support.receivers import PubSubServer, Receiver, receiving

TOPIC = "projects/p/topics/t"
SECRET = b"0123456789abcdef0123456789abcdef"
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def make_messages(count: int) -> list[Message]:
    return [
        Message(f"id-{each}", f"key-{each % 7}", f"data-{each}".encode(), {"action": "A"}, MOMENT)
        for each in range(count)
    ]


def open_topics(**rule: Any) -> Topics:
    return Topics(
        [TopicRule.parse({"topic": "projects/p/topics/*", **rule})], lambda _: lambda: {"authorization": "Bearer x"}
    )


@pytest.fixture
def pubsub() -> Iterator[PubSubServer]:
    with receiving(PubSubServer) as made:
        made.topics[TOPIC] = {"pubsub.topics.publish"}
        yield made


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
    return str(path)


def test_messages_reach_a_topic_in_order(pubsub: PubSubServer) -> None:
    topics, messages = open_topics(pubsub=pubsub.url), make_messages(1200)
    arrived = 0
    while arrived < len(messages):
        arrived += topics.publish(TOPIC, messages[arrived:])
    assert pubsub.data() == [f"data-{each}" for each in range(1200)]
    assert pubsub.taken[0].attributes == {"action": "A"}
    assert pubsub.requests == 3


def test_a_topic_that_is_not_there_and_a_right_that_is_missing_are_named(pubsub: PubSubServer) -> None:
    topics = open_topics(pubsub=pubsub.url)
    topics.require(TOPIC)
    with pytest.raises(NotFound, match="projects/p/topics/other does not exist"):
        topics.require("projects/p/topics/other")
    pubsub.topics[TOPIC] = set()
    with pytest.raises(PermissionDenied, match=r"pubsub\.topics\.publish") as found:
        topics.require(TOPIC)
    assert "roles/pubsub.publisher" in found.value.advice
    with pytest.raises(PermissionDenied, match="not authorized"):
        topics.publish(TOPIC, make_messages(1))
    assert pubsub.taken == []


def test_an_emulator_that_knows_no_permissions_is_believed(pubsub: PubSubServer) -> None:
    topics = open_topics(pubsub=pubsub.url)
    for status in (404, 501):
        pubsub.answers = [status]
        topics.require(TOPIC)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidArgument),
        (401, PermissionDenied),
        (404, NotFound),
        (429, ResourceExhausted),
        (500, Unavailable),
        (302, Unavailable),
    ],
)
def test_each_refusal_is_an_error_of_ours(pubsub: PubSubServer, status: int, kind: type[Exception]) -> None:
    pubsub.answers = [status]
    with pytest.raises(kind, match=f"topic {TOPIC} answers with status {status}") as found:
        open_topics(pubsub=pubsub.url).publish(TOPIC, make_messages(1))
    assert pubsub.url not in str(found.value)


def test_who_does_not_answer_is_unavailable_and_no_address_is_told() -> None:
    with receiving(PubSubServer) as gone:
        pass
    with pytest.raises(Unavailable) as found:
        open_topics(pubsub=gone.url).publish(TOPIC, make_messages(1))
    assert str(found.value.message) == f"topic {TOPIC} does not answer"


def test_a_topic_that_no_rule_covers_says_which_setting_is_missing() -> None:
    topics = open_topics(pubsub="https://pubsub.googleapis.com")
    assert topics.covers(TOPIC)
    assert not topics.covers("projects/other/topics/t")
    with pytest.raises(FailedPrecondition, match="do not say where") as found:
        topics.publish("projects/other/topics/t", make_messages(1))
    assert "topics" in found.value.advice


def test_a_webhook_gets_each_message_signed(hook: Receiver, secret: str) -> None:
    topics = open_topics(webhook=f"{hook.url}/dicom", secret_file=secret)
    topics.require(TOPIC)
    assert topics.publish(TOPIC, make_messages(20)) == 20
    assert sorted(hook.data()) == sorted(f"data-{each}" for each in range(20))
    for taken in hook.taken:
        sent = taken.headers
        signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + taken.body
        wanted = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        assert sent["webhook-signature"] == f"v1,{wanted}"
        assert abs(int(sent["webhook-timestamp"]) - time.time()) < 60
        inner = json.loads(taken.body)["message"]
        assert inner["messageId"] == inner["message_id"] == sent["webhook-id"]
        assert inner["publishTime"].startswith("2026-01-02T00:00:00.000Z")
        assert taken.topic == TOPIC


def test_messages_of_one_key_stay_in_order_and_nothing_overtakes_one_that_failed(hook: Receiver, secret: str) -> None:
    topics, messages = open_topics(webhook=hook.url, secret_file=secret), make_messages(50)
    arrived = 0
    for status in (503, 500, 410, None, 400):
        hook.answers = [200] * 9 + [status]
        arrived += topics.publish(TOPIC, messages[arrived:])
    while arrived < len(messages):
        with suppress(StatusError):  # an answer that is left may be for the first one
            arrived += topics.publish(TOPIC, messages[arrived:])
    for key in range(7):
        numbers = [int(data.partition("-")[2]) for data in hook.data()]
        firsts = list(dict.fromkeys(each for each in numbers if each % 7 == key))
        assert firsts == list(range(key, 50, 7))


def test_no_messages_are_no_error(hook: Receiver, secret: str) -> None:
    assert open_topics(webhook=hook.url, secret_file=secret).publish(TOPIC, []) == 0
    assert hook.requests == 0


def test_the_first_message_that_fails_is_an_error(hook: Receiver, secret: str) -> None:
    hook.answers = [503]
    with pytest.raises(Unavailable, match=f"the webhook of topic {TOPIC} answers with status 503"):
        open_topics(webhook=hook.url, secret_file=secret).publish(TOPIC, make_messages(1))


def test_a_receiver_that_fails_is_not_asked_for_all_that_waits(hook: Receiver, secret: str) -> None:
    hook.answers = [503] * 64
    messages = [Message(f"id-{each}", f"key-{each}", b"x", {}, MOMENT) for each in range(64)]
    with pytest.raises(Unavailable):
        open_topics(webhook=hook.url, secret_file=secret).publish(TOPIC, messages)
    assert hook.requests <= 8


def test_no_cookie_of_a_receiver_is_kept(hook: Receiver, secret: str) -> None:
    hook.headers = {"set-cookie": "a=b; Path=/"}
    topics = open_topics(webhook=hook.url, secret_file=secret)
    for _ in range(2):
        topics.publish(TOPIC, make_messages(1))
    assert [each.headers.get("cookie") for each in hook.taken] == [None, None]


@pytest.mark.parametrize("given", ["pubsub.topics.publish", None, 5, {}])
def test_permissions_of_another_form_are_none(pubsub: PubSubServer, given: Any) -> None:
    pubsub.take = lambda *_: (200, {"permissions": given})  # type: ignore[method-assign]
    with pytest.raises(PermissionDenied):
        open_topics(pubsub=pubsub.url).require(TOPIC)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", base64.b64encode(SECRET).decode(), "é"])
def test_a_file_without_a_secret_is_refused_with_what_to_do(hook: Receiver, tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    topics = open_topics(webhook=hook.url, secret_file=str(path))
    with pytest.raises(FailedPrecondition, match="has no secret") as found:
        topics.require(TOPIC)
    assert "openssl" in found.value.advice
    assert str(tmp_path) not in str(found.value)


def test_a_secret_that_cannot_be_read_is_named(hook: Receiver, tmp_path: Path) -> None:
    topics = open_topics(webhook=hook.url, secret_file=str(tmp_path / "none"))
    with pytest.raises(FailedPrecondition, match="cannot be read: there is no such file"):
        topics.publish(TOPIC, make_messages(1))
    assert hook.requests == 0


def test_a_secret_may_be_replaced_while_the_server_runs(hook: Receiver, secret: str) -> None:
    topics = open_topics(webhook=hook.url, secret_file=secret)
    topics.publish(TOPIC, make_messages(1))
    other = b"f" * 32
    Path(secret).write_text(f"whsec_{base64.b64encode(other).decode()}")
    topics.publish(TOPIC, make_messages(1))
    first, second = (each.headers["webhook-signature"] for each in hook.taken)
    assert first != second


RIGHT = {"topic": "projects/p/topics/t", "pubsub": "https://pubsub.googleapis.com"}
HOOK = {"topic": "projects/p/topics/t", "webhook": "https://example.org/h", "secret_file": "/s"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "each needs a topic"),
        ("projects/p/topics/t", "each needs a topic"),
        ({"topic": "t", "pubsub": "https://x"}, "must be projects/PROJECT/topics/TOPIC"),
        ({"topic": "projects/p/topics/"}, "must be projects"),
        ({"topic": "projects/p/topics/[a]"}, "must be projects"),
        ({"topic": "projects/p/topics/t"}, "needs either pubsub"),
        ({**RIGHT, **HOOK}, "needs either pubsub"),
        ({**RIGHT, "web_hook": "x"}, "web_hook .* is no key"),
        ({**RIGHT, "plain_http": "yes"}, "plain_http .* is not true or false"),
        ({**RIGHT, "ca_file": ""}, "ca_file .* is not a text"),
        ({**RIGHT, "pubsub": "ftp://x"}, "must be https://HOST"),
        ({**RIGHT, "pubsub": "https://user:pw@x"}, "without a user"),
        ({**RIGHT, "pubsub": "https://x/path"}, "without a path"),
        ({**RIGHT, "pubsub": "https://x:99999"}, "must be https://HOST"),
        ({**RIGHT, "pubsub": "http://pubsub:8085"}, "on another machine"),
        ({**HOOK, "webhook": "http://example.org/h"}, "on another machine"),
        ({**RIGHT, "secret_file": "/s"}, "secret_file .* no effect"),
        ({**HOOK, "credentials_file": "/c"}, "credentials_file .* no effect"),
        ({**RIGHT, "pubsub": "http://localhost:1", "credentials_file": "/c"}, "credentials_file .* no effect"),
        ({**RIGHT, "pubsub": "http://localhost:1", "ca_file": "/c"}, "ca_file .* no effect"),
        ({"topic": "projects/p/topics/t", "webhook": "https://x"}, "needs a secret_file"),
    ],
)
def test_wrong_entries_are_refused_with_the_fault(entry: Any, said: str) -> None:
    with pytest.raises(InvalidArgument, match=f"topics: .*{said}"):
        TopicRule.parse(entry)


@pytest.mark.parametrize(
    "entry",
    [
        RIGHT,
        HOOK,
        {**RIGHT, "pubsub": "http://localhost:8085"},
        {**RIGHT, "pubsub": "http://pubsub:8085", "plain_http": True},
    ],
)
def test_right_entries_are_taken(entry: dict[str, Any]) -> None:
    assert TopicRule.parse(entry).topic == "projects/p/topics/t"
