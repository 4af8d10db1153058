"""Answers that are sent before the body of their request was read (RFC 9112 §9.3, §9.6): clients get them, and no byte
of the body is read as a next request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.support.access import ADMIN, Guarded

DATASETS = "/v1/projects/p/locations/us-central1/datasets"
WEB = f"{DATASETS}/d/dicomStores/s/dicomWeb/studies"
TRAP = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
"""A body made of requests: one of them that is answered shows that a body was read as requests."""

SMALL, LARGE = 1 << 20, 64 << 20
ACCESS, JSON = ["authorization: Bearer {admin}"], ["content-type: application/json"]
REFUSALS = {
    "no credentials": (401, "POST", DATASETS, JSON),
    "no permission": (403, "POST", f"{DATASETS}?datasetId=x", ["authorization: Bearer {bob}", *JSON]),
    "no such page": (404, "POST", "/nothing", ACCESS),
    "no such method": (404, "PUT", "/v1/projects/p", ACCESS),
    "not read": (404, "GET", f"{DATASETS}/other", ACCESS),
    "a form": (400, "POST", "/token", ["content-type: application/x-www-form-urlencoded"]),
    "no instance": (415, "POST", WEB, [*ACCESS, "content-type: image/png"]),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("early"), "bob")
    made.server.call("POST", f"{DATASETS}?datasetId=d", headers={"authorization": f"Bearer {made.tokens[ADMIN]}"})
    path = f"{DATASETS}/d/dicomStores?dicomStoreId=s"
    made.server.call("POST", path, headers={"authorization": f"Bearer {made.tokens[ADMIN]}"})
    yield made
    made.server.stop()


class Talk:
    """A connection whose client sends all of its body before it reads, as most do; errors of sending do not matter."""

    def __init__(self, guarded: Guarded) -> None:
        self._tokens = {"admin": guarded.tokens[ADMIN], "bob": guarded.tokens["bob"]}
        self._socket = socket.create_connection(("127.0.0.1", guarded.server.port), timeout=60)
        self._came = b""

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, verb: str, path: str, headers: list[str], body: bytes = b"", version: str = "1.1") -> None:
        lines = [f"{verb} {path} HTTP/{version}", "host: localhost", *(h.format(**self._tokens) for h in headers)]
        try:
            self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """One answer, by its length; 100 is none."""
        while b"\r\n\r\n" not in self._came:
            self._receive()
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        status, headers = int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)
        if status == 100:
            return self.read()
        size = int(headers["content-length"])
        while len(self._came) < size:
            self._receive()
        body, self._came = self._came[:size], self._came[size:]
        return status, headers, body

    def _receive(self) -> None:
        piece = self._socket.recv(65536)
        assert piece, f"closed after {self._came!r}"
        self._came += piece

    def read_to_the_end(self) -> bytes:
        while piece := self._socket.recv(65536):
            self._came += piece
        return self._came


def trap(size: int) -> bytes:
    return TRAP * (size // len(TRAP))


def as_chunks(body: bytes) -> bytes:
    parts = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    ("framing", "ending"),
    [
        *product(["length", "chunked"], ["keep-alive", "close", "expect"]),
        ("length", "HTTP/1.0"),  # which has no chunks
    ],
)
def test_a_refusal_before_the_body_arrives(
    guarded: Guarded, refusal: str, framing: str, ending: str, size: int
) -> None:
    status, verb, path, headers = REFUSALS[refusal]
    body = trap(size)
    headers = [*headers, f"content-length: {len(body)}" if framing == "length" else "transfer-encoding: chunked"]
    headers += {"close": ["connection: close"], "expect": ["expect: 100-continue"]}.get(ending, [])
    with Talk(guarded) as talk:
        version = "1.0" if ending == "HTTP/1.0" else "1.1"
        talk.send(verb, path, headers, body if framing == "length" else as_chunks(body), version)
        found, answered, _ = talk.read()
        assert found == status
        if answered.get("connection") == "close":
            assert talk.read_to_the_end() == b"", "the body was answered, too"
            return
        assert ending in ("keep-alive", "expect") and size == SMALL, "a connection that cannot be used again says so"
        talk.send("GET", "/healthz", ["connection: close"])
        assert talk.read()[2] == b"ok\n" and talk.read_to_the_end() == b""


@pytest.mark.parametrize("verb", ["POST", "PATCH", "PUT"])
def test_a_client_that_waits_to_send_its_body_sees_the_refusal_alone(guarded: Guarded, verb: str) -> None:
    """Its next bytes may be its body or a request, so the connection serves no further one (RFC 9110 §10.1.1)."""
    with Talk(guarded) as talk:
        talk.send(verb, WEB, ["content-length: 100", "expect: 100-continue", *JSON])
        status, headers, _ = talk.read()
        assert status in (401, 405) and headers["connection"] == "close"
        talk.send("GET", "/healthz", [])
        assert talk.read_to_the_end() == b""


def test_a_client_that_may_send_its_body_is_told_so_once(guarded: Guarded) -> None:
    with Talk(guarded) as talk:
        talk.send(
            "POST", f"{DATASETS}?datasetId=expected", [*ACCESS, *JSON, "content-length: 2", "expect: 100-continue"]
        )
        assert talk._socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        talk._socket.sendall(b"{}")
        assert talk.read()[0] == 200


def test_http_1_0_knows_no_100(guarded: Guarded) -> None:
    """RFC 9110 §10.1.1: its expectation is ignored, and its client would take it for the answer."""
    with Talk(guarded) as talk:
        headers = [*ACCESS, *JSON, "content-length: 2", "expect: 100-continue"]
        talk.send("POST", f"{DATASETS}?datasetId=old", headers, b"{}", "1.0")
        assert talk.read()[0] == 200


def test_a_wish_for_another_protocol_loses_no_body(guarded: Guarded) -> None:
    """Java's client sends it with its first request (RFC 9110 §7.8); the parser took the body for that protocol."""
    wish = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"]
    for headers, body in ((["content-length: 2"], b"{}"), (["transfer-encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n")):
        with Talk(guarded) as talk:
            path = f"{DATASETS}?datasetId=java-{len(body)}"
            talk.send("POST", path, [*ACCESS, *JSON, *wish, *headers], body + TRAP)
            assert talk.read()[0] == 200
            assert talk.read()[2] == b"ok\n"
            talk.send("GET", "/healthz", [*wish, "connection: close"])
            assert talk.read()[2] == b"ok\n" and talk.read_to_the_end() == b""


def test_a_head_that_is_too_large_is_refused_readably(guarded: Guarded) -> None:
    """431, although the client is still sending."""
    with Talk(guarded) as talk:
        talk.send("GET", "/healthz", ["long: " + "x" * 900_000])
        assert talk.read()[0] == 431 and talk.read_to_the_end() == b""


def test_a_target_that_is_too_long_is_refused_readably(guarded: Guarded) -> None:
    """RFC 9112 §3: with 414."""
    with Talk(guarded) as talk:
        talk.send("GET", "/healthz?x=" + "x" * 900_000, [])
        assert talk.read()[0] == 414 and talk.read_to_the_end() == b""


def test_an_answer_is_not_lost_by_what_follows_it(guarded: Guarded) -> None:
    """Garbage behind a request that is being answered; its answer is sent, and the connection is closed."""
    with Talk(guarded) as talk:
        talk.send("GET", DATASETS, ACCESS, b"this is no HTTP\r\n\r\n")
        assert talk.read()[0] == 200 and talk.read_to_the_end() == b""


@pytest.mark.slow
def test_many_refused_uploads_at_a_time(guarded: Guarded) -> None:
    found: list[int] = []

    def refuse() -> None:
        with Talk(guarded) as talk:
            talk.send("POST", DATASETS, [f"content-length: {16 * SMALL}", *JSON], bytes(16 * SMALL))
            found.append(talk.read()[0])

    threads = [threading.Thread(target=refuse) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [401] * 20


@pytest.mark.slow
def test_the_stop_of_a_server_does_not_wait_for_such_clients(tmp_path: Path) -> None:
    made = Guarded(tmp_path, "bob")
    with Talk(made) as talk:
        talk.send("POST", DATASETS, [f"content-length: {LARGE}"], b"x" * 1000)
        assert talk.read()[0] == 401
        made.server.stop()
