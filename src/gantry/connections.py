"""Limits for connections: size of the request head, time to send it, number of connections.

A connection past a limit gets an error response and is closed. Where there are too many, one without a request makes
room for the next.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
from itertools import islice
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gantry.api.intake import IS_UNREAD
from gantry.closing import Wire

MAX_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
REST_SECONDS, REST_BYTES = 60.0, 8 << 20
"""Time to send the rest of a body after the response, and its size: some clients read the response only when all is
sent. A connection with more to come is closed (RFC 9112 §9.3)."""

DEPARTED_SECONDS = 1.0
"""After which a client that sends no more, and to whom no answer has begun, counts as one that has left: nothing is
made for it any more."""

_SHORT = 2.0, 1 << 20  # seconds and bytes read after a refusal: what came was no request

SPARE = 64
"""Connections over the limit that are closed with care, so that their clients can read why."""

_LOOKED_AT = 1000  # connections of which one without a request is closed: a bound for the work of a refusal

_MOST_DESCRIPTORS = 1 << 16  # more than clients of one server need; asyncio's selector takes memory for each


class LimitedProtocol(HttpToolsProtocol):
    """Adds limits, because uvicorn reads headers of any length at any speed (RFC 6585 §5, RFC 9110 §15.5.9)."""

    limit = 1000  # connections at a time; each takes a file descriptor, and operations need descriptors too
    _head: int | None = None  # bytes of the head received so far; None once it is complete
    _timer: asyncio.TimerHandle | None = None
    _departure: asyncio.TimerHandle | None = None
    _in_body = False  # from the end of a head to the end of its body, which may come after the response
    _around = 0  # bytes of chunk extensions or trailers since the last bytes of the body
    _left: float = 0  # bytes of the body that are declared and have not come; of one in chunks nobody knows
    _rest = 0  # bytes that came of the body after the response
    url = b""  # the target of the request whose head comes
    _is_deaf = False  # nothing more is read: what came is not HTTP, or was refused
    _is_upgrade = False  # the head asks for another protocol
    transport: Wire  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        wire = Wire(transport, self.loop, self._may_be_sent_more, self._begin_linger)
        super().connection_made(wire)  # type: ignore[arg-type]
        if len(self.connections) > self.limit and not self._close_idle():
            self._refuse(503, "this server has too many connections; try again later", "UNAVAILABLE")
            return
        self._begin()

    def _close_idle(self) -> bool:
        """Close a connection that waits for another request; of those looked at the one that has waited longest."""
        some = (each for each in islice(self.connections, _LOOKED_AT) if isinstance(each, LimitedProtocol))
        longest = min((each for each in some if each.idle_until), key=lambda each: each.idle_until, default=None)
        if longest is not None:
            longest.transport.close()
        return longest is not None

    @property
    def idle_until(self) -> float:
        """When it is closed if no request comes (time of the loop); 0 while it has one, or is being closed."""
        is_busy = self._head is not None or self._in_body or self.transport.is_closing()
        return 0 if is_busy or self.timeout_keep_alive_task is None else self.timeout_keep_alive_task.when()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        if self._departure is not None:
            self._departure.cancel()
        self.transport.forget()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more. It has left, or it waits for the answer to what it has sent.

        Only what is sent to it later shows which: an answer that has begun within a moment is sent to its end. Without
        a whole request, and with TLS, which knows no such half, the transport closes itself once everything is sent.
        """
        if not self._owes_an_answer() or self.transport.get_extra_info("sslcontext") is not None:
            self.transport.watch()
            return False
        self.cycle.keep_alive = False
        self._departure = self.loop.call_later(DEPARTED_SECONDS, self._take_for_departed)
        return True

    def _owes_an_answer(self) -> bool:
        is_whole = self.cycle is not None and not self._in_body and not self._is_deaf
        return is_whole and not self.cycle.response_complete and not self.transport.is_closing()

    def _take_for_departed(self) -> None:
        if not self.cycle.response_started:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.transport.unwatch()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_lingering:
            self.transport.close_now()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_lingering:
            self.transport.drop(len(data))
            return
        if self._is_deaf:
            return
        if self.timeout_keep_alive_task is not None:
            if self._in_body and self._timer is None:
                self._timer = self.loop.call_later(REST_SECONDS, self.transport.close)
            elif not self._in_body and self._head is None:
                self._begin()  # the first bytes after a pause
        if self._head is not None:
            self._head += len(data)
            # The last packet of a head may hold body bytes too, so one packet more is allowed.
            if self._head > MAX_HEAD_BYTES + len(data):
                self._refuse_head()
                return
        if self._in_body:
            self._around += len(data)
            if self._around > MAX_HEAD_BYTES + len(data):
                self._refuse(431, f"around the body of the request are more than {MAX_HEAD_BYTES} bytes")
                return
            if self.cycle.response_complete and not self._is_short(len(data)):
                return
        self._parse(data)

    def _is_short(self, more: int) -> bool:
        """Whether the rest of a body that was answered is within its limit. Else the connection is closed."""
        self._rest += more
        if self._rest > REST_BYTES:
            self.transport.close()
        return self._rest <= REST_BYTES

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (end,) = upgrade.args  # of the head
            if self._is_upgrade:
                self._parse_without_upgrade(data[end:])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Read the head again, without its wish for another protocol, which a server may ignore (RFC 9110 §7.8).

        The parser takes whatever follows such a head for that protocol, also the body.
        """
        version, method = self.parser.get_http_version(), self.parser.get_method()
        head = b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())
        kept = [(name, value) for name, value in self.headers if name not in (b"upgrade", b"http2-settings")]
        for name, value in kept:
            head += b"%s: %s\r\n" % (name, _without_upgrade(value) if name == b"connection" else value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head + b"\r\n" + rest)

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
        self._is_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._is_upgrade:
            return
        self._in_body, self._around, self._rest = True, 0, 0
        self._left = next((_length(value) for name, value in self.headers if name == b"content-length"), math.inf)
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110 §10.1.1
        self.scope[IS_UNREAD] = self._is_unread  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._around = 0
        self._left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_upgrade:
            return
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

    def _refuse_head(self) -> None:
        """A target that is too long has a code of its own (RFC 9112 §3)."""
        if len(self.url) > MAX_HEAD_BYTES // 2:
            self._refuse(414, "the address of the request is too long; its query can be sent as a form in the body")
        else:
            self._refuse(431, f"the headers of the request have more than {MAX_HEAD_BYTES} bytes")

    def _refuse(self, code: int, message: str, status: str = "INVALID_ARGUMENT") -> None:
        self._end()
        if self.transport.is_closing():
            return
        self._is_deaf = True
        if self._is_answering():
            self._end_after_answers()
            return
        error: dict[str, Any] = {"code": code, "message": message, "status": status}
        body = json.dumps({"error": error}).encode() + b"\n"
        head = f"HTTP/1.1 {code} Refused\r\ncontent-type: application/json; charset=UTF-8\r\nconnection: close\r\n"
        head += "x-content-type-options: nosniff\r\ncache-control: private, no-store\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close(*_SHORT)

    def _end_after_answers(self) -> None:
        """What came is refused, but requests before it are being answered."""
        if self._in_body:
            self.transport.close(*_SHORT)
        else:
            self.cycle.keep_alive = False

    def _is_unread(self) -> bool:
        """Whether, when an answer begins, too much of its request is still to come for the connection to serve another.

        A client that waits to be told to send its body may send it all the same, or not (RFC 9110 §10.1.1).
        """
        return self._in_body and (self.cycle.waiting_for_100_continue or self._left > REST_BYTES)

    def _may_be_sent_more(self) -> bool:
        if len(self.connections) > self.limit + SPARE:
            return False
        return self._in_body or self._is_deaf or bool(self.pipeline) or self.flow.read_paused

    def _begin_linger(self) -> None:
        self._end()
        self.flow.resume_reading()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for whoever still makes the answer
            self.cycle.message_event.set()

    def _is_answering(self) -> bool:
        """Whether a response has begun, or was sent to this request: an error would be read as a part of it."""
        if self.cycle is None:
            return False
        return self.cycle.response_started if self._in_body else not self.cycle.response_complete


def _length(value: bytes) -> int:
    """Of Content-Length, which the parser has checked."""
    return int(value.split(b",")[0])


def _without_upgrade(value: bytes) -> bytes:
    """Of Connection: the other options."""
    options = (option.strip() for option in value.split(b","))
    return b", ".join(option for option in options if option.lower() not in (b"upgrade", b"http2-settings"))


def make_limited_protocol() -> type[LimitedProtocol]:
    """The protocol for this process: connections may use half of its file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return type("Protocol", (LimitedProtocol,), {"limit": most // 2})
