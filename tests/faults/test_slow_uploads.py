"""Clients that send a body slowly: they keep nobody else from storing, and are ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from gantry.api.intake import (
    BODY_SECONDS,
    FIRST,
    GRACE_SECONDS,
    LARGE_EACH,
    OPEN_EACH,
    WINDOW_SECONDS,
    WORKING,
    Pace,
    Shares,
    TooSlow,
    _Clock,
)
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.web import Web, multipart, uid_path

MANY = OPEN_EACH - 10
UIDS = "1.2.7", "1.2.7.1", "1.2.7.1.1"


@contextlib.contextmanager
def stalled(gantry: Gantry, verb: str, path: str, count: int, sent: bytes) -> Iterator[None]:
    """Connections that have sent a part of a body and nothing more."""
    head = f"{verb} /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dicom\r\n"
    head += "Content-Length: 9999999\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", gantry.server.port), timeout=30))
            connection.sendall(head.encode() + sent)
        yield


@pytest.mark.parametrize("length", [1, FIRST + 1])
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "v1/STORE/dicomWeb/studies"),
        ("PUT", "v1beta1/STORE/dicomWeb/studies"),
        ("PATCH", f"v1beta1/STORE/dicomWeb/{uid_path(*UIDS)}/metadata"),
        ("POST", "v1/STORE:import"),
    ],
)
def test_those_that_send_nothing_keep_nobody_waiting(gantry: Gantry, verb: str, path: str, length: int) -> None:
    assert MANY > WORKING
    data = make_instance(*UIDS) + bytes(FIRST)
    with stalled(gantry, verb, path.replace("STORE", gantry.store), MANY, data[:length]):
        web = Web(gantry)
        assert web.store(make_instance(*UIDS)).status_code == 200
        assert Web(gantry, "v1beta1").store(make_instance(*UIDS, b"other"), method="PUT").status_code == 200
        patch = [{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["P"]}}]
        gantry.call("PATCH", f"v1beta1/{gantry.store}/dicomWeb/{uid_path(*UIDS)}/metadata", json=patch)
        assert gantry.call("GET", f"v1/{gantry.store}")["name"] == gantry.store


def test_large_bodies_wait_for_no_more_than_their_own_caller(gantry: Gantry) -> None:
    """Half of a large body each: others still have their answers."""
    with stalled(gantry, "POST", f"v1/{gantry.store}:import", 5, bytes(2 << 20)):
        content_type, body = multipart([make_instance(*UIDS, 3 << 20)])
        path = f"v1/{gantry.store}/dicomWeb/studies"
        assert gantry.request("POST", path, content=body, headers={"content-type": content_type}).status_code == 200
        labels = {"labels": {"a": "b"}}
        assert gantry.call("PATCH", f"v1/{gantry.store}?updateMask=labels", json=labels)["labels"] == labels["labels"]


def test_large_bodies_that_stall_keep_their_own_caller_from_nothing(gantry: Gantry) -> None:
    """More of them than one caller has places in memory."""
    path = f"v1/{gantry.store}:import"
    body = json.dumps({"gcsSource": {"uri": f"gs://{gantry.bucket}/*"}}).encode() + b" " * (2 << 20)
    with stalled(gantry, "POST", path, LARGE_EACH + 2, bytes(2 << 20)):
        for _ in range(3):
            answer = gantry.request("POST", path, content=body, timeout=30)
            assert answer.status_code == 200, answer.text


def test_a_large_body_is_what_was_sent(gantry: Gantry) -> None:
    """Through the temporary directory: nothing is lost, doubled or out of order."""
    text = "".join(f"{number:07d}" for number in range(500_000))
    answer = gantry.request("PATCH", f"v1/{gantry.store}?updateMask=labels", json={"labels": {"a": text}})
    assert answer.status_code == 400
    answer = gantry.request("PATCH", f"v1/{gantry.store}?updateMask=labels", json={"labels": {"a": "b"}, text: 1})
    message = answer.json()["error"]["message"]
    assert message.startswith(text[:60]) and text[-30:] + ": unknown field" in message
    body = b" " * (3 << 20) + b'{"labels": {"a": "b"}}' + b" " * (3 << 20)
    answer = gantry.request("PATCH", f"v1/{gantry.store}?updateMask=labels", content=body)
    assert answer.json()["labels"] == {"a": "b"}


class TestClock:
    def ends(self, clock: _Clock, seconds: float, size: int, most: int = 100_000) -> float:
        """When a client that sends ``size`` bytes every ``seconds`` is ended."""
        waited = 0.0
        for _ in range(most):
            left = seconds
            while left > 0:  # as ``pieces`` does
                step = min(left, clock.patience)
                left -= step
                waited += step
                try:
                    clock.take(step, size if left <= 0 else 0)
                except TooSlow:
                    return waited
        return waited

    def test_a_byte_a_minute(self) -> None:
        assert self.ends(_Clock(Pace()), 59, 1) <= GRACE_SECONDS + WINDOW_SECONDS

    def test_nothing(self) -> None:
        assert self.ends(_Clock(Pace(0)), 10 * BODY_SECONDS, 1) == BODY_SECONDS

    def test_slightly_too_slow(self) -> None:
        assert self.ends(_Clock(Pace(1000)), 0.5, 400) <= GRACE_SECONDS + WINDOW_SECONDS + 0.5

    def test_what_came_early_is_no_credit(self) -> None:
        clock = _Clock(Pace(1000))
        clock.take(1, 100 << 20)
        assert self.ends(clock, 1, 10) <= GRACE_SECONDS + 2 * WINDOW_SECONDS

    def test_fast_enough_until_the_end_of_time(self) -> None:
        assert self.ends(_Clock(Pace(1000, 10_000)), 0.5, 600) == pytest.approx(10_000)

    def test_slow_in_the_first_seconds(self) -> None:
        clock = _Clock(Pace(1000))
        clock.take(GRACE_SECONDS, 1)
        assert self.ends(clock, 1, 1500, 1000) == 1000

    def test_any_rate(self) -> None:
        assert self.ends(_Clock(Pace(0, 5000)), 50, 1) == pytest.approx(5000)


def test_a_caller_has_a_part_of_the_places() -> None:
    async def run() -> list[str]:
        shares, entered = Shares(4, 2), []

        async def use(caller: str, leave: asyncio.Event) -> None:
            async with shares.hold(caller):
                entered.append(caller)
                await leave.wait()

        leave = asyncio.Event()
        tasks = [asyncio.ensure_future(use(caller, leave)) for caller in ("a", "a", "a", "a", "b", "b", "b")]
        await asyncio.sleep(0.01)
        first = list(entered)
        leave.set()
        await asyncio.gather(*tasks)
        assert not shares._own
        return [*first, str(len(entered))]

    assert asyncio.run(run()) == ["a", "a", "b", "b", "7"]
