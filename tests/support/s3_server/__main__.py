"""The process: ``python -m tests.support.s3_server PORT LATENCY_SECONDS``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

from tests.support.s3_server.answers import Answer, Request, Server
from tests.support.s3_server.faults import Fault

_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 404: "Not Found", 503: "Slow Down"}


class Connection(asyncio.Protocol):
    """One request after the other. Methods named ``on_…`` are called by the parser."""

    server = Server()
    latency = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.headers: dict[str, str] = {}
        self.target, self.body = b"", bytearray()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.headers.get("expect") == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        request = Request(method, self.target.decode(), self.headers, bytes(self.body))
        self.headers, self.target, self.body = {}, b"", bytearray()
        if request.target.startswith("/-/"):
            self.send(self.control(request), request.method)
        elif self.latency:
            asyncio.get_running_loop().call_later(self.latency, self.reply, request)
        else:
            self.reply(request)

    def reply(self, request: Request) -> None:
        if not self.transport.is_closing():
            self.send(self.server.answer(request), request.method)

    def send(self, answer: Answer, method: str) -> None:
        if answer.fault in ("reset", "lost answer"):
            self.transport.abort()
            return
        if answer.fault == "stall":
            return
        body = answer.body
        length = answer.headers.pop("content-length", str(len(body)))
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Said')}", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.fault == "flip" and body:
            body = body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 4]) + body[len(body) // 2 + 1 :]
        if answer.fault == "cut":
            body = body[: len(body) // 2]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if method == "HEAD" else body))
        if answer.fault == "cut":
            self.transport.close()

    def control(self, request: Request) -> Answer:
        """What the parent asks: faults, counts."""
        path = urlsplit(request.target).path
        if path == "/-/fail":
            self.server.faults.add(Fault(**json.loads(request.body)))
        elif path == "/-/clear":
            self.server.faults.clear()
            self.server.requests.clear()
        said = {"met": self.server.faults.met, "requests": self.server.requests}
        return Answer(200, json.dumps(said).encode())


async def serve(port: int, latency: float) -> None:
    Connection.latency = latency
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
