"""HTTP below the level of client libraries: bytes on a socket."""

from __future__ import annotations

import socket

from tests.support.server import GantryServer


class RawConnection:
    """One TCP connection. ``receive`` reads until ``end`` has come or the server closes."""

    def __init__(self, server: GantryServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, end: bytes = b"") -> bytes:
        data = b""
        while not end or end not in data:
            chunk = self._socket.recv(65536)
            if not chunk:
                break
            data += chunk
        return data

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def exchange(server: GantryServer, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request with exactly this head and body; status code and everything after the answer's head."""
    with RawConnection(server) as connection:
        lines = "\r\n".join([*head.splitlines(), "Host: localhost", "Connection: close"])
        connection.send(lines.encode("latin-1") + b"\r\n\r\n" + body)
        answer = connection.receive()
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split(b" ", 2)[1]), rest
