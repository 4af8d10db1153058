"""One POST, whoever answers it, and however slowly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gantry.errors import Unavailable
from gantry.notifications import requests
from gantry.notifications.requests import Requests

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-long: " + b"a" * 200 + b"\r\n\r\n"


@contextmanager
def dribbling(seconds: float, before: bytes = b"") -> Iterator[str]:
    """A receiver that sends its answer byte by byte, ``before`` at once."""
    taking = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            while True:
                client, _ = taking.accept()
                client.recv(1 << 16)
                client.sendall(before)
                for byte in _HEAD:
                    client.sendall(bytes([byte]))
                    time.sleep(seconds)

    threading.Thread(target=answer, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{taking.getsockname()[1]}"
    finally:
        taking.close()


def test_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_MOST_SECONDS", 30.0)
    with dribbling(0.0) as url:
        assert Requests("").post("the webhook", url, {}, b"{}").status == 200


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_headers_that_come_byte_by_byte_are_waited_for_no_longer_than_the_whole_answer(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(requests, "_MOST_SECONDS", 0.5)
    with dribbling(0.02, before) as url, pytest.raises(Unavailable, match="the webhook does not answer"):
        Requests("").post("the webhook", url, {}, b"{}")


def test_a_deadline_ends_with_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Requests("")
    monkeypatch.setattr(requests, "_MOST_SECONDS", 0.5)
    with dribbling(0.02) as url, pytest.raises(Unavailable):
        client.post("the webhook", url, {}, b"{}")
    monkeypatch.setattr(requests, "_MOST_SECONDS", 30.0)
    with dribbling(0.0) as url:
        assert client.post("the webhook", url, {}, b"{}").status == 200
