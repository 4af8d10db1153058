"""Topics of Pub/Sub, by its REST API (``projects.topics``), the service or an emulator."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from gantry.errors import NotFound, PermissionDenied, StatusError
from gantry.notices import Message
from gantry.notifications.requests import Answer, Requests, make_error
from gantry.notifications.topics import Headers

MOST_MESSAGES = 500
"""In one request: Pub/Sub takes 1,000 and 10 MB; each of these has about 1.5 kB."""
_PERMISSION, _ROLE = "pubsub.topics.publish", "roles/pubsub.publisher"
_MOST_SAID = 300  # characters of what Pub/Sub says
_NOT_THERE = (404, 405, 501)  # of emulators for what they do not know


class PubSub:
    def __init__(self, base: str, requests: Requests, headers: Headers) -> None:
        self._base, self._requests, self._headers = base.rstrip("/"), requests, headers

    def require(self, topic: str) -> None:
        answer = self._ask(topic, "testIamPermissions", {"permissions": [_PERMISSION]})
        given = _read(answer).get("permissions")
        if answer.status == 200 and isinstance(given, list) and _PERMISSION in given:
            return
        if answer.status == 200:
            raise PermissionDenied(f"topic {topic} lacks the permission {_PERMISSION} for this server", advice=_ADVICE)
        if answer.status == 404 and _read(answer).get("error", {}).get("status") == "NOT_FOUND":
            raise NotFound(f"topic {topic} does not exist", advice="create it first")
        if answer.status not in _NOT_THERE:
            raise self._explain(topic, answer)

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        some = messages[:MOST_MESSAGES]
        answer = self._ask(topic, "publish", {"messages": [_make(each) for each in some]})
        if answer.status != 200:
            raise self._explain(topic, answer)
        return len(some)

    def _ask(self, topic: str, verb: str, body: Any) -> Answer:
        url = f"{self._base}/v1/{topic}:{verb}"
        return self._requests.post(f"topic {topic}", url, self._headers(), json.dumps(body).encode())

    def _explain(self, topic: str, answer: Answer) -> StatusError:
        said = str(_read(answer).get("error", {}).get("message", ""))[:_MOST_SAID]
        error = make_error(f"topic {topic}", answer.status, said)
        if isinstance(error, PermissionDenied):
            return PermissionDenied(error.message, advice=_ADVICE)
        return error


_ADVICE = f"give the server's identity the role {_ROLE} on the topic"


def _make(message: Message) -> dict[str, Any]:
    data = base64.b64encode(message.data).decode("ascii")
    return {"data": data, "attributes": dict(message.attributes)} if message.attributes else {"data": data}


def _read(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer, whatever it is."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return value if isinstance(value.get("error", {}), dict) else {}
