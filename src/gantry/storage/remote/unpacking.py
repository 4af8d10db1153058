"""Objects with Content-Encoding: gzip (RFC 9110 §8.4.1.3): what their provider stores is packed."""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import IO

from gantry.beats import beat_again
from gantry.errors import DataLoss, FailedPrecondition, ResourceExhausted, Unavailable
from gantry.storage.remote.unpacking_turns import Turn
from gantry.storage.room import Room
from gantry.system_errors import describe_os_error

MAGIC = b"\x1f\x8b"  # RFC 1952 §2.3.1
MOST_UNPACKED = 4 << 30
"""Bytes of one object: a few megabytes can be made to unpack to so many, and instances are rarely packed at all."""
_PIECE = 1 << 20
_SLICE = 32 << 10  # zlib copies what follows the end of a member, so it gets no more at a time
_FREE_MEMBERS, _LEAST_MEMBER = 1000, 1024
"""As for the bodies of requests: with more members than these, each must hold so many bytes on average."""


def is_packed(encoding: str) -> bool:
    """Whether a Content-Encoding says gzip, in any of its forms (§8.4.1, §8.4.1.3). Some servers keep the coding with
    which Amazon's clients send a body, though it is none of what they store."""
    named = {each.strip().lower() for each in encoding.split(",")} - {"", "identity", "aws-chunked"}
    return bool(named) and named <= {"gzip", "x-gzip"}


class Unpacked:
    """The plain bytes of an object: ``file``, and their number. On the disk it has no name: it is gone once it is
    closed, or its process has ended."""

    def __init__(self, file: IO[bytes], size: int, turn: Turn) -> None:
        self.file, self.size, self._turn = file, size, turn

    def close(self) -> None:
        self.file.close()
        self._turn.end()


def unpack(read: Callable[[], Generator[bytes, None, None]], held: int) -> Unpacked:
    """In memory up to ``held`` bytes. ``read`` gives the packed bytes; a second time where the disk had no room for
    them beside what other processes unpack: then it waits until they have done so.

    Raises DataLoss for what is no gzip, FailedPrecondition for too much, and ResourceExhausted where the disk of
    temporary files has no room. Nobody waits for that: an operation would meet the same object again.
    """
    turn = Turn()
    try:
        try:
            return _unpack(read, held, turn)
        except ResourceExhausted:
            if not turn.wait_alone():
                raise
        return _unpack(read, held, turn)
    except BaseException:
        turn.end()
        raise


def _unpack(read: Callable[[], Generator[bytes, None, None]], held: int, turn: Turn) -> Unpacked:
    file: IO[bytes] = tempfile.SpooledTemporaryFile(held)  # noqa: SIM115
    try:
        with closing(read()) as packed:
            return Unpacked(file, _write(_unpack_members(packed), file, held, turn), turn)
    except zlib.error:
        file.close()
        raise DataLoss("the object says Content-Encoding: gzip, and cannot be unpacked") from None
    except OSError as error:
        file.close()
        raise _translate(error) from None
    except BaseException:
        file.close()
        raise


def _write(pieces: Iterable[bytes], file: IO[bytes], held: int, turn: Turn) -> int:
    """The number of bytes."""
    room: Room | None = None
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MOST_UNPACKED:
            raise FailedPrecondition(f"the object is unpacked to more than {MOST_UNPACKED} bytes")
        if room is not None:
            room.take(len(piece))
        elif size > held:  # from now on all of it is on the disk
            turn.begin()
            room = Room(os.fsencode(tempfile.gettempdir()))
            room.take(size)
        file.write(piece)
        beat_again()
    return size


def _unpack_members(packed: Iterable[bytes]) -> Iterator[bytes]:
    """Of all members (RFC 1952 §2.2); zeros behind the last one are padding. Raises zlib.error, also for an end in the
    middle of one."""
    member, count, size = None, 0, 0
    for data in _slice(packed):
        while data:
            if member is None:
                data = data.lstrip(b"\0") if count else data
                if not data:
                    break
                member, count = zlib.decompressobj(zlib.MAX_WBITS | 16), count + 1
                if count > _FREE_MEMBERS and size < count * _LEAST_MEMBER:
                    raise zlib.error("too many members")
            for piece in _drain(member, data):
                size += len(piece)
                yield piece
            data, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise zlib.error("cut off")


def _slice(packed: Iterable[bytes]) -> Iterator[bytes]:
    for data in packed:
        for at in range(0, len(data), _SLICE):
            yield data[at : at + _SLICE]


def _drain(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while data and not member.eof:
        yield member.decompress(data, _PIECE)
        data = member.unconsumed_tail
    while not member.eof and (piece := member.decompress(b"", _PIECE)):
        yield piece


def _translate(error: OSError) -> ResourceExhausted | Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(
            "the object says Content-Encoding: gzip, and the disk of temporary files has no room for what it is "
            "unpacked to",
            advice="make room on it and import the object again, or unpack it in the bucket",
        )
    return Unavailable(f"the object cannot be unpacked into a temporary file: {describe_os_error(error)}")
