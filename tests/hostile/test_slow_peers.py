"""Clients that send or read next to nothing (slowloris, CVE-2007-6750; slow reading, CVE-2012-5568): CWE-400.

How long each is waited for is in ``tests/faults/test_slow_clients.py``; here it is what many of them cost others.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.dicomweb.instances import instance
from tests.hostile.neighbours import Neighbours
from tests.support.web import ONE_AS_STORED, uid_path

MANY = 150
UIDS = ("1.2.5", "1.2.5.1", "1.2.5.1.1")


@pytest.fixture
def connect(neighbours: Neighbours) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def open_many(neighbours: Neighbours, stack: ExitStack, request: bytes) -> list[socket.socket]:
    """Connections that have sent this and no more; the window for what comes back is as small as it gets."""
    found = []
    for _ in range(MANY):
        connection = stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", neighbours.gantry.server.port))
        connection.sendall(request)
        found.append(connection)
    return found


def served(neighbours: Neighbours) -> None:
    """Everybody else is, in all that the server does; ``neighbours.check`` follows."""
    neighbours.web.stored(instance(("1.2.6", "1.2.6.1", "1.2.6.1.1")))
    assert len(neighbours.web.search("studies", StudyInstanceUID="1.2.6")) == 1
    assert neighbours.gantry.call("GET", f"v1/{neighbours.gantry.store}")["name"] == neighbours.gantry.store
    neighbours.check()


@pytest.mark.parametrize(
    "request_begun",
    [
        b"GET /v1/",
        b"GET /v1/projects/p/locations HTTP/1.1\r\nHost: localhost\r\nX-",
        b"PATCH /v1/projects/p/locations/l/datasets/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
        b"POST /token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ngr",
    ],
    ids=["request line", "headers", "body", "chunk"],
)
def test_many_that_send_next_to_nothing(neighbours: Neighbours, connect: ExitStack, request_begun: bytes) -> None:
    open_many(neighbours, connect, request_begun)
    served(neighbours)


def test_many_store_requests_that_stop(neighbours: Neighbours, connect: ExitStack) -> None:
    """In the middle of an instance."""
    kind = b'multipart/related; type="application/dicom"; boundary=b'
    head = f"POST /{neighbours.web.root}/studies HTTP/1.1\r\nHost: localhost\r\n".encode()
    head += b"Content-Length: 100000000\r\nContent-Type: " + kind + b"\r\n\r\n"
    open_many(neighbours, connect, head + b"--b\r\nContent-Type: application/dicom\r\n\r\n" + instance(UIDS)[:200])
    served(neighbours)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "/bulkdata/7FE00010", "/frames/1", "/metadata", "/rendered"])
def test_many_that_read_next_to_nothing(neighbours: Neighbours, connect: ExitStack, path: str) -> None:
    """Of an instance of 16 MB: what they do not read is not held for each of them."""
    neighbours.web.stored(instance(UIDS, Rows=4000, Columns=4000, PixelData=bytes(16_000_000)))
    root = f"{neighbours.web.root}/{uid_path(*UIDS)}"
    accept = ONE_AS_STORED if not path else "*/*"
    head = f"GET /{root}{path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()
    for connection in open_many(neighbours, connect, head)[:3]:
        assert connection.recv(12) == b"HTTP/1.1 200"
    served(neighbours)
