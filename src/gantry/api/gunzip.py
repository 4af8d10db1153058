"""gzip (RFC 1952) as a stream: all its members, in bounded memory, and time in proportion to the bytes in and out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from gantry.errors import BrokenBody, StatusError

PIECE = 1 << 20
"""Most bytes of one piece, however many a few bytes inflate to."""

FREE_MEMBERS, LEAST_MEMBER = 1000, 1024
"""FREE_MEMBERS members may have any size; with more, they must hold LEAST_MEMBER bytes each on average. Blocked gzip
has 64 KiB per member; to begin a member costs more than to read an empty one of 20 bytes."""

_SLICE = 32 << 10  # zlib copies what follows the end of a member, so it gets no more at a time


class Gunzip:
    """``read()`` returns the next plain bytes, b"" at the end. Every ``read()`` after an error raises it again.

    All members are read (§2.2); a body without any is empty. Raises BrokenBody for bytes that are no gzip, also behind
    a member, for a member that is cut off or has a wrong checksum, and for too many empty members.
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
    """Everything to which these bytes of a member inflate."""
    piece = _decompress(member, data, number)
    while piece:
        yield piece
        # A shorter piece is the last one; after a full one zlib may hold more output.
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
            f"the request body has more than {FREE_MEMBERS} gzip members, and almost nothing in them; "
            "compress it as one member"
        )


def _slices(read: Callable[[], bytes]) -> Iterator[bytes]:
    while data := read():
        for start in range(0, len(data), _SLICE):
            yield data[start : start + _SLICE]
