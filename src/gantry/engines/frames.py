"""Messages between processes of one machine: 8 bytes of length, most significant first, and as many bytes."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

_LENGTH = 8


def pack(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH) + data


async def receive(reader: asyncio.StreamReader) -> bytes:
    """Raises IncompleteReadError at the end, ConnectionError."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH)))


def read(file: BinaryIO) -> bytes | None:
    """None at the end."""
    head = file.read(_LENGTH)
    size = int.from_bytes(head)
    data = file.read(size)
    return data if len(head) == _LENGTH and len(data) == size else None
