"""Signed webhooks: each message is one POST, as Pub/Sub pushes it, signed as Standard Webhooks says.

https://cloud.google.com/pubsub/docs/push#receive_push, https://github.com/standard-webhooks/standard-webhooks
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from gantry.errors import FailedPrecondition, StatusError
from gantry.notices import Message
from gantry.notifications.requests import Requests, make_error
from gantry.system_errors import describe_os_error

_IN_FLIGHT = 8
"""Requests at a time: a receiver that takes 30 ms for each then gets 250 messages in a second."""
_MOST_MESSAGES = 64  # of one round, each of which waits for its slowest request
_PREFIX = "whsec_"
_LEAST_BYTES = 24  # of a secret, as Standard Webhooks wants it


class Webhook:
    def __init__(self, url: str, secret_file: str, requests: Requests) -> None:
        self._url, self._secret_file, self._requests = url, secret_file, requests

    def require(self, topic: str) -> None:
        self._read_secret(topic)

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        """Several requests at a time; those of one key follow each other, and none is begun after one has failed that
        comes before it: who does not answer is not waited for once more."""
        some, secret = messages[:_MOST_MESSAGES], self._read_secret(topic)
        numbered = sorted(enumerate(some), key=lambda pair: pair[1].key)  # stable: the order within a key stays
        lanes = sorted(
            ([*lane] for _, lane in groupby(numbered, lambda pair: pair[1].key)), key=lambda lane: lane[0][0]
        )
        failed: dict[int, StatusError] = {}
        with ThreadPoolExecutor(_IN_FLIGHT) as threads:
            for _ in threads.map(lambda lane: self._send_lane(topic, lane, secret, failed), lanes):
                pass
        first = min(failed, default=len(some))
        if 0 in failed:
            raise failed[0]
        return first

    def _send_lane(
        self, topic: str, lane: Sequence[tuple[int, Message]], secret: bytes, failed: dict[int, StatusError]
    ) -> None:
        """What fails is added to ``failed``, by its number."""
        for number, message in lane:
            if min([*failed], default=number) < number:
                return
            try:
                self._send(topic, message, secret)
            except StatusError as error:
                failed[number] = error
                return

    def _send(self, topic: str, message: Message, secret: bytes) -> None:
        body, stamp = _make_body(topic, message), str(int(time.time()))
        signed = b".".join([message.id.encode(), stamp.encode(), body])
        signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode("ascii")
        headers = {"webhook-id": message.id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
        name = f"the webhook of topic {topic}"
        answer = self._requests.post(name, self._url, headers, body)
        if not 200 <= answer.status < 300:
            raise make_error(name, answer.status)

    def _read_secret(self, topic: str) -> bytes:
        """Each time anew, so it may be replaced while the server runs. Raises FailedPrecondition."""
        try:
            with open(self._secret_file, encoding="ascii") as file:
                text = file.read(4096).strip()
            secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except OSError as error:
            raise FailedPrecondition(f"{_about(topic)} cannot be read: {describe_os_error(error)}") from None
        except (ValueError, binascii.Error):
            secret, text = b"", ""
        if not text.startswith(_PREFIX) or len(secret) < _LEAST_BYTES:
            raise FailedPrecondition(
                f"{_about(topic)} has no secret: {_PREFIX} and the base64 of {_LEAST_BYTES} bytes or more",
                advice='make one: echo "whsec_$(openssl rand -base64 32)"',
            )
        return secret


def _about(topic: str) -> str:
    return f"the secret_file of topic {topic}"


def _make_body(topic: str, message: Message) -> bytes:
    """With names in both spellings, as Pub/Sub has them."""
    moment = message.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    inner = {
        "attributes": dict(message.attributes),
        "data": base64.b64encode(message.data).decode("ascii"),
        "messageId": message.id,
        "message_id": message.id,
        "publishTime": moment,
        "publish_time": moment,
    }
    return json.dumps({"message": inner, "subscription": topic}).encode()
