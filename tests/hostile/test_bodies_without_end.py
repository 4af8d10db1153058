"""Bodies that claim to be, or are, without end (CVE-2026-5440; CWE-400, CWE-770)."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest

from tests.hostile.neighbours import UIDS, Neighbours
from tests.support.blobs import used_bytes
from tests.support.dicom import make_instance
from tests.support.web import multipart

FULL = 1 << 16


def speak(neighbours: Neighbours, head: str, piece: bytes, most: int, end: bytes = b"") -> tuple[int, int, bytes]:
    """Send a head and ``piece`` again and again until the server answers: status, bytes sent, body of the answer."""
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", neighbours.gantry.server.port), timeout=60) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        connection.setblocking(False)
        while sent < most and not answer:
            with suppress(BlockingIOError):
                answer = connection.recv(FULL)
                break
            connection.settimeout(60)
            try:
                connection.sendall(piece)
            except OSError:
                break
            connection.setblocking(False)
            sent += len(piece)
        connection.settimeout(60)
        with suppress(OSError):
            if end:
                connection.sendall(end)
            while data := connection.recv(FULL):
                answer += data
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]) if top else 0, sent, body


def head(verb: str, path: str, *lines: str) -> str:
    return "\n".join([f"{verb} /{path} HTTP/1.1", "Host: localhost", "Connection: close", *lines])


def refused_early(found: tuple[int, int, bytes], most: int) -> None:
    status, sent, body = found
    assert sent <= most, "it was read on and on"
    assert status in (400, 413), (status, body[:300])
    error = json.loads(body)["error"]
    assert error["code"] == status and "larger than" in error["message"]


PIECE = b"a" * (1 << 20)


@pytest.mark.parametrize("declared", [4_294_967_295, 1 << 40, 10**19, 10**400])
@pytest.mark.parametrize("tail", ["", ":import"])
def test_a_length_that_is_only_declared(neighbours: Neighbours, declared: int, tail: str) -> None:
    """Refused before anything comes; nothing is allocated."""
    lines = f"Content-Length: {declared}"
    found = speak(neighbours, head("POST" if tail else "PATCH", f"v1/{neighbours.gantry.store}{tail}", lines), b"", 1)
    if declared < 10**19:
        refused_early(found, 0)
    else:
        assert found[0] in (400, 413)


@pytest.mark.parametrize("declared", ["-1", "+5", "5, 6", "0x10", "1e3", "５", "", "5 5"])
def test_a_length_that_is_none(neighbours: Neighbours, declared: str) -> None:
    """RFC 9110 §8.6"""
    path = f"v1/{neighbours.gantry.store}"
    status, _, _ = speak(neighbours, head("PATCH", path, f"Content-Length: {declared}"), b"{}", 1)
    assert status == 400


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize("tail", ["", ":import", ":export"])
def test_chunks_without_end(neighbours: Neighbours, tail: str) -> None:
    path = f"v1/{neighbours.gantry.store}{tail}"
    lines = head("POST" if tail else "PATCH", path, "Transfer-Encoding: chunked", "Content-Type: application/json")
    refused_early(speak(neighbours, lines, chunk(PIECE), 1 << 30), 64 << 20)


def test_a_chunk_that_claims_to_be_very_long(neighbours: Neighbours) -> None:
    lines = head("PATCH", f"v1/{neighbours.gantry.store}", "Transfer-Encoding: chunked")
    status, sent, _ = speak(neighbours, lines, b"ffffffffffffffff\r\n" + PIECE, 1 << 30)
    assert status in (0, 400, 413) and sent <= 64 << 20


@pytest.mark.parametrize("size", [b"xyz\r\n", b"-1\r\n", b"\r\n", b"0x5\r\n", b"f" * 40 + b"\r\n"])
def test_chunks_that_are_none(neighbours: Neighbours, size: bytes) -> None:
    lines = head("PATCH", f"v1/{neighbours.gantry.store}", "Transfer-Encoding: chunked")
    status, _, _ = speak(neighbours, lines, size + b"{}", 1)
    assert status in (0, 400)


def test_both_a_length_and_chunks(neighbours: Neighbours) -> None:
    """RFC 9112 §6.3: a request that a proxy may see as two is not answered twice."""
    smuggled = b"GET /v1/projects/p/locations HTTP/1.1\r\nHost: localhost\r\n\r\n"
    lines = head("PATCH", f"v1/{neighbours.gantry.store}", "Content-Length: 4", "Transfer-Encoding: chunked")
    status, _, body = speak(neighbours, lines, b"0\r\n\r\n" + smuggled, 1)
    assert status in (200, 400) and b"locations/" not in body


def test_a_part_without_end_is_given_back(neighbours: Neighbours) -> None:
    """A store request whose client goes away in the middle of an element of 4 GiB: its bytes go too."""
    data = make_instance(*UIDS)[:-8]
    content_type, body = multipart([data + b"\0" * 4])
    body = body[: body.rindex(b"\r\n--")]
    lines = head(
        "POST", f"{neighbours.web.root}/studies", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"
    )
    before = used_bytes(neighbours.gantry.server.data)
    with socket.create_connection(("127.0.0.1", neighbours.gantry.server.port), timeout=60) as connection:
        connection.sendall(lines.replace("\n", "\r\n").encode() + b"\r\n\r\n" + chunk(body))
        for _ in range(50):
            connection.sendall(chunk(PIECE))

    neighbours.gantry.server.wait_until(lambda: used_bytes(neighbours.gantry.server.data) < before + (8 << 20))
    assert neighbours.web.search("instances") == []
