"""How long a connection without requests stays open (RFC 9112 §9.3)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.raw import RawConnection
from tests.support.server import GantryServer

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BETWEEN = 5.0
"""Seconds between two looks of many clients at an operation: with each other connection closed just then, some fail."""


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "is_open"), [("1", False), ("60", True), (None, True)])
def test_it_stays_open_for_as_long_as_the_setting_says(tmp_path: Path, seconds: str | None, is_open: bool) -> None:
    env = {"GANTRY_KEEP_ALIVE_SECONDS": seconds} if seconds else {}
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env)
    with RawConnection(server) as connection:
        assert answers(connection)
        time.sleep(BETWEEN + 2)
        assert answers(connection) == is_open
    server.stop()


def answers(connection: RawConnection) -> bool:
    try:
        connection.send(ASK)
        return connection.receive(b"ok").startswith(b"HTTP/1.1 200")
    except ConnectionError:  # the server had closed it
        return False
