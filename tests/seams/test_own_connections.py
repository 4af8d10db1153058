"""Where our own clients send what they send: to the server of the settings, and to nobody else."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import FailedPrecondition, StatusError
from gantry.resources import ObjectMeta
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.connections import Connections
from gantry.storage.remote.place import RemotePlace
from tests.seams.test_s3_errors import make_certificate, serve_tls

AZURE = RemotePlace("azure", "in", "az://in", "http://localhost", account="lab", sas_token="sv=1&sig=hush")  # noqa: S106
GCS = RemotePlace("gcs", "in", "gs://in", "http://localhost", anonymous=True)
both = pytest.mark.parametrize("place", [AZURE, GCS], ids=["azure", "gcs"])
ACTS: dict[str, Callable[[RemoteBucket], object]] = {
    "exists": RemoteBucket.exists,
    "list": lambda bucket: list(bucket.list()),
    "head": lambda bucket: bucket.head("a"),
    "read": lambda bucket: bucket.open_found(ObjectMeta("a", 5)),
    "write": lambda bucket: bucket.put("a", [b"x"]),
    "delete": lambda bucket: bucket.delete("a"),
}


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "ATTEMPTS", 1)


@contextmanager
def answer_all(text: str) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer to everybody; its origin, and what it was sent."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(text.encode().replace(b"\n", b"\r\n"))

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)


@both
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_followed_elsewhere(place: RemotePlace, status: int, act: Callable[[RemoteBucket], object]) -> None:
    """Who asks is in every request."""
    with answer_all("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\n{}") as (elsewhere, asked):
        moved = f"HTTP/1.1 {status} Moved\nLocation: {elsewhere}/in/a?x=y\nContent-Length: 0\nConnection: close\n\n"
        with answer_all(moved) as (origin, _), pytest.raises(FailedPrecondition, match="sends its requests elsewhere"):
            act(RemoteBucket(replace(place, endpoint=origin)))
        assert asked == []


@both
def test_a_certificate_is_trusted_where_the_settings_say_so_only(
    place: RemotePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    with serve_tls(certificate, key) as address:
        bucket = RemoteBucket(replace(place, endpoint=address))
        with pytest.raises(StatusError, match="its TLS certificate is not trusted; ca_file can name its authority"):
            bucket.exists()
        trusting = RemoteBucket(replace(bucket.place, ca_file=str(certificate)))
        with pytest.raises(StatusError) as caught:
            trusting.exists()
        assert "certificate" not in caught.value.message, "it ends the connection behind that"
        other = RemoteBucket(replace(trusting.place, endpoint=address.replace("localhost", "127.0.0.1")))
        with pytest.raises(StatusError, match="its TLS certificate is not trusted"):
            other.exists()


def test_no_address_is_logged_where_an_answer_has_broken_headers(caplog: pytest.LogCaptureFixture) -> None:
    """A SAS token is in the address, with which urllib3 warns of such headers."""
    text = "HTTP/1.1 200 OK\nContent-Length: 1\nno header\nConnection: close\n\nx"
    with answer_all(text) as (origin, _), caplog.at_level(logging.INFO):
        assert Connections(AZURE, origin).send("GET", "/in?sig=hush", {}).status == 200
    assert "hush" not in caplog.text


def test_a_long_body_is_sent_in_pieces_each_of_which_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a socket is that of a whole ``sendall``: over a slow line 8 MiB would never arrive in it."""
    connections: Any = Connections(AZURE, "http://localhost")
    sent: dict[str, Any] = {}
    answer = SimpleNamespace(status=200, headers={}, stream=lambda *_, **__: [b""], release_conn=lambda: None)
    monkeypatch.setattr(connections._pool, "urlopen", lambda *_, **asked: sent.update(asked) or answer)
    body = bytes(range(256)) * (3 << 12) + b"x"
    connections.send("PUT", "/in/a", {}, body)
    pieces = list(sent["body"])
    assert b"".join(pieces) == body and max(map(len, pieces)) <= 1 << 20 and len(pieces) == 4
    assert sent["headers"]["content-length"] == str(len(body)), "no transfer coding: Google and Azure want the length"
