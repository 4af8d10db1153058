"""Reading a file for copying: long ones by way of one buffer.

New memory for each of its pieces would cost more than the copying: the C library gives freed memory of that size back
to the system, which clears every page again (docs/decisions/0016-segments.md).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from typing import Any

from gantry.storage.local_objects import LocalObject

PIECE_BYTES = 256 << 10


class _Buffer(threading.local):
    def __init__(self) -> None:
        self.bytes: Any = ctypes.create_string_buffer(PIECE_BYTES)


_buffer = _Buffer()


def read_pieces(source: LocalObject) -> Iterator[bytes]:
    """All bytes of a file. A piece holds them until the next one is asked for, and is no more than a buffer then.

    Raises what ``OpenedObject.chunks`` does.
    """
    offset = 0
    while source.size - offset >= PIECE_BYTES:
        piece = _buffer.bytes
        if _read(source, piece, offset) != PIECE_BYTES:
            break  # cut meanwhile
        offset += PIECE_BYTES
        yield piece
    if offset < source.size and (rest := source.read_at(offset, min(PIECE_BYTES, source.size - offset))):
        offset += len(rest)
        yield rest
    source.check_whole(offset)


def _read(source: LocalObject, piece: Any, offset: int) -> int:
    try:
        return os.preadv(source.fd, [piece], source.base + offset)
    except OSError as error:
        raise source.translate(error) from None
