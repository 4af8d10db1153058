"""A client at the level of bytes: it reads exactly one answer to each request, and notices what nobody asked for."""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass, field

_LIMIT = 1 << 27  # bytes of one answer


class Broken(Exception):
    """The server closed the connection before the end of an answer, or without one."""


class NotHttp(AssertionError):
    """The bytes are not an answer to the request (RFC 9112 §6)."""


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "").lower()


class Connection:
    """One TCP connection to a server of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, data: bytes) -> None:
        """What a server that refuses early does not read is no error of the client."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end_sending(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        """Close without a goodbye: the other side gets RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def is_silent(self) -> bool:
        """Whether nothing has come that was not read: no bytes, and no end."""
        return not self._read and not select.select([self._socket], [], [], 0)[0]

    def receive(self, verb: str) -> Reply:
        """The next answer, as far as its own framing says. Raises Broken, NotHttp."""
        reply = self._head()
        while reply.status == 100:
            reply = self._head()
        if verb == "HEAD" or reply.status in (204, 304):
            return reply
        if "chunked" in reply.headers.get("transfer-encoding", ""):
            reply.body = self._chunks()
        elif "content-length" in reply.headers:
            reply.body = self._exactly(int(reply.headers["content-length"]))
        elif reply.closes:
            reply.body = self._rest()
        else:
            raise NotHttp(f"nothing says where the answer ends: {reply}")
        return reply

    def _head(self) -> Reply:
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise NotHttp(f"{head[:200]!r}")
        pairs = (each.partition(":") for each in lines)
        return Reply(int(rest[:3]), {name.lower(): value.strip() for name, _, value in pairs})

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self._until(b"\r\n"), 16):
            found += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise NotHttp("a chunk is longer than it says")
        if self._until(b"\r\n"):
            raise NotHttp("trailers that nobody asked for")
        return found

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _rest(self) -> bytes:
        try:
            while True:
                self._more()
        except Broken:
            found, self._read = self._read, b""
            return found

    def _more(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Broken
        self._read += data
        if len(self._read) > _LIMIT:
            raise NotHttp("an answer without end")
