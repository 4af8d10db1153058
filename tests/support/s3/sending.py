"""Sends an answer: whole, or as the fault of its request says."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from tests.support.s3.messages import Answer, Request

PAUSE = 0.05
"""Seconds from the bytes to the reset that follows them, so that they arrive."""


class Sender(Protocol):
    """A connection, as far as it is needed here."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def write(self, request: Request, answer: Answer, body: bytes | memoryview) -> None: ...
    def finish(self, request: Request) -> None: ...
    def take_next(self) -> None: ...


def reset(transport: asyncio.Transport) -> None:
    """A connection reset (RST) in place of an orderly end."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def send_answer(sender: Sender, request: Request, answer: Answer) -> None:
    kind, body = request.fault.kind if request.fault is not None else "", answer.body
    half = len(body) // 2
    if kind in ("reset in body", "closed in body", "stall in body") and answer.length is None:
        sender.write(request, answer, body[:half])
        _end_half(sender, request, kind, body[half:])
        return
    if kind == "short body":
        answer.body = body = body[:half]
    elif kind == "wrong bit" and body:
        answer.body = body = flip_bit(body)
    sender.write(request, answer, body)
    sender.finish(request)


def flip_bit(body: bytes | memoryview) -> bytes:
    """The lowest one of the byte in the middle."""
    changed = bytearray(body)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def _end_half(sender: Sender, request: Request, kind: str, rest: bytes | memoryview) -> None:
    def go_on() -> None:
        if not sender.transport.is_closing():
            sender.transport.write(rest)
            sender.finish(request)
            sender.take_next()

    if kind == "closed in body":
        sender.transport.close()
    elif kind == "reset in body":
        sender.loop.call_later(PAUSE, reset, sender.transport)
    elif request.fault is not None:
        sender.loop.call_later(request.fault.seconds, go_on)
