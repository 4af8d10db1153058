"""gzip (RFC 1952) as a stream: all members of it, in memory and time that do not depend on how it was made."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from gantry.errors import BrokenBody, StatusError

PIECE = 1 << 20
"""Most bytes of one piece, however much a few bytes inflate to."""

FREE_MEMBERS, LEAST_MEMBER = 1000, 1024
"""So many members may be of any size; with more, they must hold LEAST_MEMBER bytes each on average. Blocked gzip has
64 KiB per member; empty ones of 20 bytes would cost more to begin than to read."""

_SLICE = 32 << 10  # what follows the end of a member is copied, so no more is handed over at a time


class Gunzip:
    """``read()`` gives the next plain bytes, b"" at the end. A fault is raised again by every later ``read()``.

    Every member counts (§2.2); a body without any is empty. Raises BrokenBody for what is no gzip, also behind a
    member, for a member that is cut off or has a wrong checksum, and for too many empty members.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._pieces = _inflate(read)
        self._fault: StatusError | None = None

    def read(self) -> bytes:
        if self._fault is not None:
            raise self._fault
        try:
            return next(self._pieces, b"")
        except StatusError as error:
            self._fault = error
            raise


def _inflate(read: Callable[[], bytes]) -> Iterator[bytes]:
    member, members, size = None, 0, 0
    for data in _slices(read):
        while data:
            if member is None:
                members += 1
                _require_few(members, size)
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            for piece in _drain(member, data, members):
                size += len(piece)
                yield piece
            data, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise BrokenBody("the request body is declared as gzip but ends too early")


def _drain(member: zlib._Decompress, data: bytes, number: int) -> Iterator[bytes]:
    """All that some bytes of a member inflate to."""
    piece = _decompress(member, data, number)
    while piece:
        yield piece
        # Less than was allowed is all there is; else zlib may hold more, also of bytes that it has read.
        piece = _decompress(member, member.unconsumed_tail, number) if len(piece) == PIECE else b""


def _decompress(member: zlib._Decompress, data: bytes, number: int) -> bytes:
    try:
        return member.decompress(data, PIECE)
    except zlib.error:
        if number > 1:
            message = f"what follows member {number - 1} of the request body's gzip is no gzip, or is damaged"
        else:
            message = "the request body is declared as gzip but is not, or is damaged"
        raise BrokenBody(message) from None


def _require_few(members: int, size: int) -> None:
    if members > FREE_MEMBERS and size < (members - FREE_MEMBERS) * LEAST_MEMBER:
        raise BrokenBody(
            f"the request body has more than {FREE_MEMBERS} gzip members, and nearly nothing in them; "
            "compress it as one member"
        )


def _slices(read: Callable[[], bytes]) -> Iterator[bytes]:
    while data := read():
        for start in range(0, len(data), _SLICE):
            yield data[start : start + _SLICE]
