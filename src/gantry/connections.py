"""Limits for connections: size of the request head, time to send it, number of connections.

A connection past a limit gets an error response and is closed.
"""

from __future__ import annotations

import asyncio
import json
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
REST_SECONDS = 60.0
"""Time to send the rest of a body after the response: some clients read the response only when all is sent."""

_MOST_DESCRIPTORS = 1 << 16  # more than clients of one server need; asyncio's selector takes memory for each


class LimitedProtocol(HttpToolsProtocol):
    """Adds limits, because uvicorn reads headers of any length at any speed (RFC 6585 §5, RFC 9110 §15.5.9)."""

    limit = 1000  # connections at a time; each takes a file descriptor, and operations need descriptors too
    _head: int | None = None  # bytes of the head received so far; None once it is complete
    _timer: asyncio.TimerHandle | None = None
    _in_body = False  # from the end of a head to the end of its body, which may come after the response
    _around = 0  # bytes of chunk extensions or trailers since the last bytes of the body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limit:
            self._refuse(503, "this server has too many connections; try again later", "UNAVAILABLE")
            return
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            if self._in_body and self._timer is None:
                self._timer = self.loop.call_later(REST_SECONDS, self.transport.close)
            elif not self._in_body and self._head is None:
                self._begin()  # the first bytes after a pause
        if self._head is not None:
            self._head += len(data)
            # The last packet of a head may hold body bytes too, so one packet more is allowed.
            if self._head > MAX_HEAD_BYTES + len(data):
                self._refuse(431, f"the headers of the request have more than {MAX_HEAD_BYTES} bytes")
                return
        if self._in_body:
            self._around += len(data)
            if self._around > MAX_HEAD_BYTES + len(data):
                self._refuse(431, f"around the body of the request are more than {MAX_HEAD_BYTES} bytes")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        super().on_message_begin()
        if self._head is None:
            self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Ignore trailers: they are not headers, and none is defined that matters here (RFC 9110 §6.5.1)."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end()
        self._in_body, self._around = True, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._around = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end()
        self._in_body = False
        super().on_message_complete()
        if self.cycle and self.cycle.response_complete and not self.transport.is_closing():
            # It was answered before its body ended: without a timer a silent client would keep the connection for ever.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP with the same JSON as other errors."""
        self._refuse(400, "this is not an HTTP/1.1 request")

    def _begin(self) -> None:
        self._end()
        self._head = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _end(self) -> None:
        self._head = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(408, f"the headers of the request did not arrive within {HEAD_SECONDS:g} seconds")

    def _refuse(self, code: int, message: str, status: str = "INVALID_ARGUMENT") -> None:
        self._end()
        if self.transport.is_closing():
            return
        if self._is_answering():
            self.transport.close()
            return
        error: dict[str, Any] = {"code": code, "message": message, "status": status}
        body = json.dumps({"error": error}).encode() + b"\n"
        head = f"HTTP/1.1 {code} Refused\r\ncontent-type: application/json; charset=UTF-8\r\nconnection: close\r\n"
        head += "x-content-type-options: nosniff\r\ncache-control: private, no-store\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _is_answering(self) -> bool:
        """Whether a response has begun, or was sent to this request: an error would be read as a part of it."""
        if self.cycle is None:
            return False
        return self.cycle.response_started if self._in_body else not self.cycle.response_complete


def make_limited_protocol() -> type[LimitedProtocol]:
    """The protocol for this process: connections may use half of its file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return type("Protocol", (LimitedProtocol,), {"limit": most // 2})
