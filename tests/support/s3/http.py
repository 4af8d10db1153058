"""HTTP/1.1 on one connection: requests are parsed by httptools and answered one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import cast

import httptools

from tests.support.s3.messages import Answer, Request, parse_request
from tests.support.s3.sending import reset, send_answer
from tests.support.s3.service import CONTROL, Service

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
REASONS = {status.value: status.phrase for status in HTTPStatus}
WITHOUT_BODY = (204, 304)


class Connection(asyncio.Protocol):
    """The methods called ``on_…`` are those that httptools calls."""

    def __init__(self, service: Service) -> None:
        self.service, self.loop = service, asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.waiting: deque[Request] = deque()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # that of uvloop has its methods, not its class
        self.counted = False

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError:  # a fault of this server, to be seen in its error output
            self.transport.abort()
            raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.transport.write(BAD_REQUEST)
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.headers = b"", dict[str, str]()
        self.chunks: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        request = parse_request(self.parser.get_method().decode(), self.url, self.headers)
        request.body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        request.keep_alive = self.parser.should_keep_alive()
        if not self.counted and request.bucket != CONTROL:
            self.counted, self.service.counts.connections = True, self.service.counts.connections + 1
        self.waiting.append(request)
        self.take_next()

    def take_next(self) -> None:
        """Answers those that wait, in their order, until one of them has to be waited for."""
        while self.waiting and not self.busy:
            request = self.waiting.popleft()
            self.busy = True
            if seconds := self.service.prepare(request):
                self.loop.call_later(seconds, self.respond, request, True)
            else:
                self.respond(request, False)

    def respond(self, request: Request, later: bool) -> None:
        if self.transport.is_closing():
            return
        fault = request.fault
        if fault is not None and fault.kind == "reset before":
            reset(self.transport)
            return
        answer = self.service.answer(request)
        if fault is not None and fault.kind == "reset after":
            reset(self.transport)
            return
        self.service.answered += 1
        send_answer(self, request, answer)
        if later:
            self.take_next()

    def write(self, request: Request, answer: Answer, body: bytes | memoryview) -> None:
        """The head, and as much of the body as is given."""
        head = self.write_head(request, answer)
        if len(body) <= 65536:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])
        if request.bucket != CONTROL:
            self.service.counts.bytes_out += len(body)
            self.service.counts.statuses[answer.status] += 1

    def write_head(self, request: Request, answer: Answer) -> bytes:
        headers = {
            "Server": "AmazonS3",
            "x-amz-request-id": f"{self.service.answered:016X}",
            "Date": write_date(int(time())),
        }
        headers |= answer.headers
        if answer.status not in WITHOUT_BODY:
            headers["Content-Length"] = str(len(answer.body) if answer.length is None else answer.length)
        if not request.keep_alive:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def finish(self, request: Request) -> None:
        """The answer has been sent whole."""
        self.busy = False
        if not request.keep_alive:
            self.transport.close()


@lru_cache(maxsize=1)
def write_date(second: int) -> str:
    """Written once for all answers of this second."""
    return formatdate(second, usegmt=True)
