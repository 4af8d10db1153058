"""Servers that take messages: topics of Pub/Sub as its REST API has them, and a webhook. Both can be made to fail."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_TOPIC = re.compile(r"/v1/(projects/[^/]+/topics/[^/:]+):(publish|testIamPermissions)")
_MOST_MESSAGES = 1000  # of one request ("Quotas and limits", Pub/Sub)
_MOST_ATTRIBUTES, _MOST_KEY, _MOST_VALUE = 100, 256, 1024


class Taken(NamedTuple):
    topic: str
    data: str
    attributes: Mapping[str, str]
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Receiver:
    """``taken`` are the messages, in the order in which they came. ``answers`` are given instead of taking any, one for
    each request; ``None`` among them: the connection is cut after the message was taken."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.answers: list[int | None] = []
        self.headers: dict[str, str] = {}  # of each answer
        self.requests = 0
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.lock:
                    receiver.requests += 1
                    answer = receiver.answers.pop(0) if receiver.answers else 200
                status, told = (200, {}) if answer is None else (answer, {})
                if status == 200:
                    status, told = receiver.take(self.path, dict(self.headers), body)
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                written = json.dumps(told).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(written)), **receiver.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """As a webhook that is pushed to."""
        message = json.loads(body)
        inner = message["message"]
        data = base64.b64decode(inner["data"], validate=True).decode()
        with self.lock:
            lowered = {name.lower(): value for name, value in headers.items()}
            self.taken.append(Taken(message["subscription"], data, inner["attributes"], lowered, body))
        return 200, {}

    def data(self) -> list[str]:
        with self.lock:
            return [each.data for each in self.taken]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class PubSubServer(Receiver):
    """``topics``: each with the permissions that whoever asks has."""

    def __init__(self) -> None:
        self.topics: dict[str, set[str]] = {}
        super().__init__()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        found = _TOPIC.fullmatch(path)
        if found is None:
            return 404, {}
        topic, verb = found.groups()
        if topic not in self.topics:
            return _refuse(404, "NOT_FOUND", f"Resource not found (resource={topic.rpartition('/')[2]}).")
        given = json.loads(body)
        if verb == "testIamPermissions":
            return 200, {"permissions": sorted(set(given["permissions"]) & self.topics[topic])}
        if "pubsub.topics.publish" not in self.topics[topic]:
            return _refuse(403, "PERMISSION_DENIED", "User not authorized to perform this action.")
        messages = given["messages"]
        if not 0 < len(messages) <= _MOST_MESSAGES or not all(map(_is_right, messages)):
            return _refuse(400, "INVALID_ARGUMENT", "The request is not one of projects.topics.publish.")
        with self.lock:
            first = len(self.taken)
            for each in messages:
                data = base64.b64decode(each["data"], validate=True).decode()
                self.taken.append(Taken(topic, data, each.get("attributes", {})))
        return 200, {"messageIds": [str(first + number) for number in range(len(messages))]}


def _is_right(message: Mapping[str, Any]) -> bool:
    attributes = message.get("attributes", {})
    return (
        message.keys() <= {"data", "attributes", "orderingKey"}
        and bool(message.get("data") or attributes)
        and len(attributes) <= _MOST_ATTRIBUTES
        and all(
            0 < len(key.encode()) <= _MOST_KEY and len(value.encode()) <= _MOST_VALUE
            for key, value in attributes.items()
        )
    )


def _refuse(status: int, name: str, message: str) -> tuple[int, Any]:
    return status, {"error": {"code": status, "message": message, "status": name}}


@contextmanager
def receiving(kind: type[Receiver] = Receiver) -> Iterator[Any]:
    made = kind()
    try:
        yield made
    finally:
        made.close()
